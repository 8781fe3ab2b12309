"""A headless Chromium, if the machine has one: gives a page as its DOM is after its scripts, or as a PDF."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """The path of a Chromium, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def dump_dom(profile: Path, url: str) -> str:
    """The DOM once the page has loaded and its scripts have run."""
    return _run(profile, "--dump-dom", url)


def print_pdf(profile: Path, url: str, to: Path) -> bytes:
    """The page as it prints."""
    _run(profile, f"--print-to-pdf={to}", "--no-pdf-header-footer", url)
    return to.read_bytes()


def _run(profile: Path, *arguments: str) -> str:
    path = find()
    assert path, f"no browser: install one of {', '.join(NAMES)}"
    command = [path, *_OPTIONS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
