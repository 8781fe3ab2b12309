"""Lets a script that was started by any Python run in the environment that has the connector."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def in_the_projects_environment() -> None:
    """Starts the script anew in the checkout's own environment, unless this one has the connector and what it needs.

    Ends with one line and exit code 2 where there is no such environment.
    """
    if find_spec("connector") and find_spec("msal"):
        return
    own = Path(__file__).resolve().parent.parent / ".venv"
    python = own / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and Path(sys.prefix).resolve() != own.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 (our own interpreter, our own script)
    sys.exit(_missing())


def _missing() -> int:
    """Says what to do; the exit code."""
    where = "run scripts/demo once, which makes an environment in .venv, or `pip install .` and emergency-connector"
    sys.stderr.write(f"error: this Python has no connector installed: {where}\n")
    return 2
