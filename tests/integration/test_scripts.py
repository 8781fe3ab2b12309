"""The scripts that schedulers call as files, by whichever Python they are called."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE = Path(sys.base_prefix) / "bin" / "python3"
"""A Python that has nothing of this project's."""


def called(script: Path) -> subprocess.CompletedProcess[str]:
    command = [str(BARE), str(script), "--help"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")


@pytest.mark.parametrize("name", ["validate_prerequisites.py", "set_recipients.py"])
def test_a_bare_python_runs_a_script_in_the_projects_environment(name: str) -> None:
    ended = called(ROOT / "scripts" / name)
    assert ended.returncode == 0, ended.stderr
    assert "--" in ended.stdout


@pytest.mark.parametrize("name", ["validate_prerequisites.py", "set_recipients.py"])
def test_where_there_is_none_one_line_says_what_to_run(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    ended = called(tmp_path / "scripts" / name)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert "pip install" in ended.stderr
