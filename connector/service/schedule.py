"""What the service does by itself: sync every few minutes, and throw away what is no longer needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from cronsim import CronSim

from connector.assembly import Connector
from connector.calls.effects import CloseWindow
from connector.directory.sync import UNTRACKED_EVERY
from connector.engine import outbox
from connector.errors import AlreadyRunning, ConnectorError
from connector.logs import log, where
from connector.metrics import decisions, sync_failures
from connector.service import validation
from connector.store import calls

DELIVERIES_KEPT = timedelta(days=2)
"""Longer than any sender repeats itself (Event Grid: 24 hours)."""
OVERDUE = timedelta(minutes=10)
"""How long after its end a window may still be open before somebody looks why."""
SETTLED_KEPT = timedelta(days=2)
"""Settled effects of remembered calls go with their call; this is for those that belong to none."""

LOOK_SECONDS = 1.0
VALIDATION_LOOK = timedelta(minutes=1)
"""How often it is looked whether a validation is due; one that could not be done is tried again then."""


def following(cron: str, after: datetime) -> datetime | None:
    """When a cron expression comes due next, None for an empty one."""
    return next(CronSim(cron, after)) if cron else None


class Step(NamedTuple):
    """Regular work, and how long after it is done it is done again."""

    name: str
    act: Callable[[], None]
    pause: timedelta


class Schedule:
    """Threads that do the regular work until they are stopped.

    A sync may wait for hours, as long as Dataverse asks it to; housekeeping must not wait behind it.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._began = connector.clock.now()
        self._stopping = threading.Event()
        pause = timedelta(minutes=connector.settings.sync_minutes)
        self._threads = [
            # A validation comes after the sync, so that it judges what is true now.
            self._thread(
                "schedule", Step("sync", self._sync, pause), Step("validation", self._validate, VALIDATION_LOOK)
            ),
            self._thread("housekeeping", Step("housekeeping", lambda: housekeep(connector), pause)),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def _thread(self, name: str, *steps: Step) -> threading.Thread:
        return threading.Thread(target=self._run, args=steps, name=name, daemon=True)

    def _run(self, *steps: Step) -> None:
        clock = self._connector.clock
        done: dict[str, datetime] = {}
        while True:
            for step in steps:
                at = done.get(step.name)
                # A time that lies ahead is that of a wrong clock.
                if at is None or not at <= clock.now() < at + step.pause:
                    self._try(step.name, step.act)
                    done[step.name] = clock.now()
            if self._stopping.wait(LOOK_SECONDS):
                return

    def _validate(self) -> None:
        """Validates if that is due since the last time; what could not be done stays due."""
        cron, now = self._connector.settings.validation_cron, self._connector.clock.now()
        if not cron:
            return
        last = validation.last(self._connector)
        self._began = min(self._began, now)  # the clock may have been wrong when the service was started
        due = following(cron, last.at if last else self._began)
        if due and due <= now:
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
            decisions.labels(f"{what}_failed").inc()

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
        connector.handler.ask([CloseWindow(call_id, now)], agent_id)
    if connector.handler.to_purge:
        connector.handler.purge()
