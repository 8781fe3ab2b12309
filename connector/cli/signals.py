"""How commands that stay up are ended: by Ctrl-C, or by whoever runs them, with the same tidy end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Lets each of the signals that ask for an end raise KeyboardInterrupt, so that everything is taken down.

    A process that a script started in the background ignores Ctrl-C otherwise, and the others would end it at once.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_the_end(wait: Callable[[], object] | None = None) -> None:
    """Returns when `wait` does, or when somebody asks for an end."""
    with suppress(KeyboardInterrupt):
        (wait or threading.Event().wait)()
