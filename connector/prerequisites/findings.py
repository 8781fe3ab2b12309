"""What a check finds. Codes are stable; `docs/prerequisites.md` has a section for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """error: the call or its notice would not work. warning: to be looked at. unknown: cannot be seen from here."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or unknown, what decided it, and what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str
    evidence: str = ""


def error(code: str, message: str, remedy: str, evidence: str = "") -> Finding:
    """A finding for which the call or its notice would not work."""
    return Finding(code, Severity.ERROR, message, remedy, evidence)


def warning(code: str, message: str, remedy: str, evidence: str = "") -> Finding:
    """A finding to be looked at."""
    return Finding(code, Severity.WARNING, message, remedy, evidence)


def unknown(code: str, message: str, remedy: str, evidence: str = "") -> Finding:
    """Something that cannot be seen from here."""
    return Finding(code, Severity.UNKNOWN, message, remedy, evidence)
