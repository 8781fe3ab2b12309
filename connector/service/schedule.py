"""What the service does by itself: sync every few minutes, and throw away what is no longer needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from cronsim import CronSim

from connector.assembly import Connector
from connector.calls.effects import CloseWindow
from connector.directory.sync import UNTRACKED_EVERY
from connector.errors import AlreadyRunning, ConnectorError
from connector.logs import log, where
from connector.metrics import notes, sync_failures
from connector.service import validation
from connector.store import calls, outbox

DELIVERIES_KEPT = timedelta(days=2)
"""Longer than any sender repeats itself (Event Grid: 24 hours)."""
OVERDUE = timedelta(minutes=10)
"""How long after its end a window may still be open before somebody looks why."""
SETTLED_KEPT = timedelta(days=2)
"""Settled effects of remembered calls go with their call; this is for those that belong to none."""

LOOK_SECONDS = 1.0


def following(cron: str, after: datetime) -> datetime | None:
    """When a cron expression comes due next, None for an empty one."""
    return next(CronSim(cron, after)) if cron else None


class Schedule:
    """A thread that does the regular work until it is stopped."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        settings, clock = self._connector.settings, self._connector.clock
        next_sync = clock.now()
        next_validation = following(settings.validation_cron, next_sync)
        while True:
            if clock.now() >= next_sync:
                self._try("sync", self._sync)
                self._try("housekeeping", lambda: housekeep(self._connector))
                next_sync = clock.now() + timedelta(minutes=settings.sync_minutes)
            if next_validation and clock.now() >= next_validation:
                due = next_validation
                self._try("validation", lambda: self._validate(due))  # noqa: B023 (called at once)
                next_validation = following(settings.validation_cron, clock.now())
            if self._stopping.wait(LOOK_SECONDS):
                return

    def _validate(self, due: datetime) -> None:
        try:
            validation.run(self._connector, not_since=due)
        except AlreadyRunning:
            log().info("validation_skipped")

    def _try(self, what: str, act: Callable[[], None]) -> None:
        """One thing that fails must not keep the others from being done."""
        try:
            act()
        except ConnectorError as error:
            # The directory grows old but stays useful: /readyz and /metrics tell its age.
            self._count(what, error)
            log().error("schedule_failed", step=what, problem=str(error))
        except Exception as error:  # noqa: BLE001 (the schedule must go on)
            self._count(what, error)
            log().error("schedule_broke", step=what, error=type(error).__name__, where=where(error))

    def _count(self, what: str, error: Exception) -> None:
        if what == "sync":
            sync_failures.labels(type(error).__name__).inc()
        else:
            notes.labels(f"{what}_failed").inc()

    def _sync(self) -> None:
        try:
            self._connector.sync(untracked_every=UNTRACKED_EVERY)
        except AlreadyRunning:
            # Another replica, or a person at the command line, does the same work.
            log().info("sync_skipped")


def housekeep(connector: Connector) -> None:
    """Throws away what is no longer needed, and makes good what was missed.

    Raises RetryLater if the store cannot be used.
    """
    now = connector.clock.now()
    with connector.store.write() as connection:
        calls.drop_deliveries(connection, now - DELIVERIES_KEPT)
        outbox.drop_finished(connection, now - SETTLED_KEPT)
        overdue = calls.overdue(connection, now - OVERDUE)
    for agent_id, call_id in overdue:
        log().error("window_without_timer", call_id=call_id)
        connector.desk.ask([CloseWindow(call_id, now)], agent_id)
    if connector.desk.to_purge:
        connector.desk.purge()
