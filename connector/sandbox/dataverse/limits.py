"""Service protection limits: requests, execution time and concurrency per client in a sliding window of 300 s.

A client that keeps sending is told to wait longer each time. [documented: API limits]
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from connector.clock import Clock
from connector.sandbox.dataverse.errors import WebApiError
from connector.sandbox.dataverse.options import DataverseOptions

WINDOW_SECONDS = 300


@dataclass
class _Usage:
    requests: deque[tuple[float, float]] = field(default_factory=deque)
    """Start and duration of the requests in the window."""
    executed: float = 0.0
    open: int = 0
    refused: int = 0


class Limits:
    """Counts per client; `enter` refuses with 429, `leave` settles the time used."""

    def __init__(self, clock: Clock, options: DataverseOptions) -> None:
        self._clock = clock
        self._options = options
        self._usage: dict[str, _Usage] = {}
        self._lock = threading.Lock()

    def enter(self, client_id: str) -> dict[str, str]:
        """Takes a place in the window, or raises a 429; the headers tell what is left."""
        options = self._options
        with self._lock:
            usage = self._usage.setdefault(client_id, _Usage())
            now = self._forget_old(usage)
            if options.concurrency_limit is not None and usage.open >= options.concurrency_limit:
                text = f"Number of concurrent requests exceeded the limit of {options.concurrency_limit}."
                raise self._refusal(usage, now, "0x80072326", text)
            if options.request_limit is not None and len(usage.requests) >= options.request_limit:
                text = (
                    f"Number of requests exceeded the limit of {options.request_limit} over "
                    f"time window of {WINDOW_SECONDS} seconds."
                )
                raise self._refusal(usage, now, "0x80072322", text)
            if options.execution_limit is not None and usage.executed >= options.execution_limit:
                text = (
                    "Combined execution time of incoming requests exceeded limit of "
                    f"{options.execution_limit * 1000:.0f} milliseconds over time window of {WINDOW_SECONDS} seconds."
                )
                raise self._refusal(usage, now, "0x80072321", text)
            usage.refused = 0
            usage.open += 1
            usage.requests.append((now, 0.0))
            return self._left(usage)

    def leave(self, client_id: str, seconds: float) -> None:
        """The request has been answered after so many seconds of work."""
        with self._lock:
            usage = self._usage[client_id]
            usage.open -= 1
            if usage.requests:
                usage.executed += seconds
                start, used = usage.requests.pop()
                usage.requests.append((start, used + seconds))

    def _forget_old(self, usage: _Usage) -> float:
        now = self._clock.now().timestamp()
        while usage.requests and usage.requests[0][0] <= now - WINDOW_SECONDS:
            usage.executed -= usage.requests.popleft()[1]
        return now

    def _refusal(self, usage: _Usage, now: float, code: str, message: str) -> WebApiError:
        usage.refused += 1
        # Concurrency is judged at once and clears within seconds; the others when the window has moved on.
        oldest = usage.requests[0][0] if usage.requests and code != "0x80072326" else now - WINDOW_SECONDS
        wait = max(1, round(oldest + WINDOW_SECONDS - now))
        return WebApiError(429, code, message, {"Retry-After": str(wait + usage.refused - 1), **self._left(usage)})

    def _left(self, usage: _Usage) -> dict[str, str]:
        requests, seconds = self._options.request_limit, self._options.execution_limit
        headers = {}
        if requests is not None:
            headers["x-ms-ratelimit-burst-remaining-xrm-requests"] = str(max(0, requests - len(usage.requests)))
        if seconds is not None:
            headers["x-ms-ratelimit-time-remaining-xrm-requests"] = f"{max(0.0, seconds - usage.executed):.2f}"
        return headers
