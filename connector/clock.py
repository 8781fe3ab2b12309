"""The time, injected: what waits, expires or forgets asks a `Clock`, so that tests and the demo can move it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time as an aware datetime in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """A clock that can be moved forward.

    Runs with the machine's clock plus an offset, or, given a `start`, stands still until it is moved.
    Safe to share between threads.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return (self._start or datetime.now(UTC)) + self._offset

    def advance(self, seconds: float) -> None:
        """Moves the clock by `seconds`; never back, since the services it stands for do not run backwards."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        with self._lock:
            self._offset += timedelta(seconds=seconds)
