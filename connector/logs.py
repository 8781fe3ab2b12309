"""Structured logs, one JSON object a line on standard error, that cannot hold personal data.

Only the fields named here are written. A value that would need another field is dropped and the drop is shown, so that
a careless line can leak nothing and is still seen in review.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

FIELDS = frozenset(
    {
        "event", "level", "timestamp",
        "call_id", "effect", "kind", "attempt", "step", "note", "count", "seconds",
        "service", "status", "code", "request_id", "error", "where", "problem",
        "table", "rows", "removed", "version", "address", "source", "age", "setting",
    }
)  # fmt: skip
"""`address` is a listening address of ours, `problem` a message of our own errors, `where` a place in the code."""

QUIET = ("azure", "msal", "urllib3", "uvicorn", "uvicorn.error", "alembic", "httpx")
"""Libraries whose chatter may quote requests: only their warnings pass, and only by name."""


def _only_fields(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    kept = {key: value for key, value in line.items() if key in FIELDS}
    dropped = sorted(line.keys() - kept.keys())
    if not dropped:
        return kept
    told = f"fields not allowed in a log: {', '.join(dropped)}"
    return {**kept, "problem": f"{kept['problem']}; {told}" if "problem" in kept else told}


class _LibraryHandler(logging.Handler):
    """Tells that a library warned, not what: its text may quote a request."""

    def emit(self, record: logging.LogRecord) -> None:
        log().warning("library_warning", source=record.name, where=f"{record.module}:{record.lineno}")


def configure(*, level: str = "info", stream: TextIO | None = None) -> None:
    """Sets up logging for this process; to standard error unless a stream is given."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_fields,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
    )
    for name in QUIET:
        library = logging.getLogger(name)
        library.handlers, library.propagate = [_LibraryHandler()], False
        library.setLevel(logging.WARNING)
    # Any other library's warnings would be printed as they are, by Python's last resort.
    root = logging.getLogger()
    if not any(isinstance(handler, _LibraryHandler) for handler in root.handlers):
        root.addHandler(_LibraryHandler(logging.WARNING))


def log() -> Any:
    """The logger. Any: structlog's bound loggers are assembled at run time."""
    return structlog.get_logger()


def where(error: BaseException) -> str:
    """Where an unexpected error arose, as file:line, since its text may quote personal data."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "unknown"
