"""Long-running operations of the phone-number service, as slow and as odd as they were recorded on 2022-12-08.

A purchase goes running, notStarted, succeeded: back and forth, in 26 s and eleven polls. `lastActionDateTime` is always
the first day of the calendar. No answer carries Retry-After.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.acs.responses import Call, ServiceError, wire_time

NEVER = "0001-01-01T00:00:00+00:00"

# From how many seconds after the start which status is shown.
BOUGHT = ((0.0, "running"), (4.8, "notStarted"), (24.0, "succeeded"))
TIMETABLES = {
    "search": ((0.0, "notStarted"), (3.0, "succeeded")),
    "purchase": BOUGHT,
    "reservationPurchase": BOUGHT,
    "releasePhoneNumber": ((0.0, "running"), (7.0, "succeeded")),
    "updatePhoneNumberCapabilities": ((0.0, "running"), (7.0, "succeeded")),
}
PREFIXES = {"releasePhoneNumber": "release", "updatePhoneNumberCapabilities": "capabilities"}


@dataclass
class Operation:
    """One operation: what it is, since when, and what it does when it succeeds."""

    key: str
    kind: str
    started: datetime
    created: datetime
    location: str | None
    on_success: Callable[[], None]
    on_failure: Callable[[], None]
    failure: dict[str, str] | None
    settled: bool = False

    def status(self, now: datetime) -> str:
        """The status at a time of the sandbox's clock."""
        elapsed = (now - self.started).total_seconds()
        shown = next(status for since, status in reversed(TIMETABLES[self.kind]) if elapsed >= since)
        return "failed" if shown == "succeeded" and self.failure else shown


def nothing() -> None:
    """The effect of an operation that has none."""


class Operations:
    """All operations. An effect takes place at the first request after its time has come."""

    def __init__(self, options: AcsOptions) -> None:
        self._options = options
        self._all: dict[str, Operation] = {}
        # Kept apart, so that cancelling does not give a quota back.
        self._starts: list[tuple[str, datetime]] = []

    def start(
        self,
        kind: str,
        guid: str,
        now: datetime,
        *,
        created: datetime | None = None,
        location: str | None = None,
        on_success: Callable[[], None] = nothing,
        on_failure: Callable[[], None] = nothing,
    ) -> Operation:
        """Starts one; `created` differs from now for a purchase, which shows the time of its search."""
        failing = self._options.failing_operations
        operation = Operation(
            key=f"{PREFIXES.get(kind, kind)}_{guid}",
            kind=kind,
            started=now,
            created=created or now,
            location=location,
            on_success=on_success,
            on_failure=on_failure,
            failure=failing.pop(0) if failing else None,
        )
        self._all[operation.key] = operation
        self._starts.append((kind, now))
        return operation

    def settle(self, now: datetime) -> None:
        """Lets everything happen that is due."""
        for operation in list(self._all.values()):
            if operation.settled:
                continue
            status = operation.status(now)
            if status in ("succeeded", "failed"):
                operation.settled = True
                (operation.on_success if status == "succeeded" else operation.on_failure)()

    def headers(self, operation: Operation, call: Call) -> dict[str, str]:
        """Headers of the 202. The locations are relative [recorded traffic]; official clients resolve them."""
        version = f"?api-version={call.api_version}"
        headers = {
            "Operation-Location": f"/phoneNumbers/operations/{operation.key}{version}",
            "operation-id": operation.key,
        }
        if operation.location:
            headers["Location"] = operation.location + version
        return headers

    def read(self, call: Call, now: datetime) -> tuple[dict[str, Any], dict[str, str]]:
        """Body and headers of a poll."""
        operation = self._find(call.path["operation"])
        body: dict[str, Any] = {
            "operationType": operation.kind,
            "status": operation.status(now),
            "resourceLocation": operation.location,
            "createdDateTime": wire_time(operation.created),
            "id": operation.key,
            "lastActionDateTime": NEVER,
        }
        if body["status"] == "failed":
            body["error"] = operation.failure
        if operation.location is None:
            return body, {}
        return body, {"Location": f"{operation.location}?api-version={call.api_version}"}

    def cancel(self, key: str) -> None:
        """Forgets an operation; one that has not finished never takes effect."""
        operation = self._find(key)
        if not operation.settled:
            operation.settled = True
            operation.on_failure()
        del self._all[key]

    def started_since(self, kind: str, now: datetime, days: float | None) -> int:
        """How many operations of a kind were started, at all or within some days: the quotas count them."""
        since = None if days is None else now - timedelta(days=days)
        return sum(1 for started, at in self._starts if started == kind and (since is None or at >= since))

    def _find(self, key: str) -> Operation:
        try:
            return self._all[key]
        except KeyError:
            raise ServiceError(404, "NotFound", f"Operation {key} cannot be found.", target="operation") from None
