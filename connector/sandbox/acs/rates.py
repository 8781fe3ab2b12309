"""Quotas of ACS e-mail: so many requests a minute and an hour, refused ones counted as well."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

from connector.sandbox.acs.responses import ServiceError

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Quota:
    """Counts requests over the last minute and hour of the sandbox's clock."""

    def __init__(self) -> None:
        self._seen: deque[datetime] = deque()

    def take(self, now: datetime, per_minute: int, per_hour: int, *, tell_wait: bool) -> None:
        """Counts a request; raises the 429 of the service where it is one too many.

        `tell_wait` adds Retry-After: official clients behave differently with and without it.
        """
        while self._seen and now - self._seen[0] >= HOUR:
            self._seen.popleft()
        wait = max(self._wait(now, MINUTE, per_minute), self._wait(now, HOUR, per_hour))
        self._seen.append(now)
        if wait > timedelta():
            headers = {"Retry-After": str(math.ceil(wait.total_seconds()))} if tell_wait else {}
            raise ServiceError(429, "TooManyRequests", "Too many requests. Try again later.", headers=headers)

    def _wait(self, now: datetime, window: timedelta, limit: int) -> timedelta:
        inside = [at for at in self._seen if now - at < window]
        return window - (now - inside[-limit]) if len(inside) >= limit else timedelta()
