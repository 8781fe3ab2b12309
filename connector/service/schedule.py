"""What the service does by itself: sync every few minutes, and throw away what is no longer needed."""

from __future__ import annotations

import threading
from datetime import timedelta

from connector.assembly import Connector
from connector.errors import ConnectorError
from connector.logs import log, where
from connector.store import calls, outbox

DELIVERIES_KEPT = timedelta(days=7)
"""Longer than any sender repeats itself (Event Grid: 24 hours)."""
SETTLED_KEPT = timedelta(days=2)
"""Settled effects of remembered calls go with their call; this is for those that belong to none."""


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
        while True:
            try:
                self._connector.sync()
                housekeep(self._connector)
            except ConnectorError as error:
                # The directory grows old but stays useful: /readyz and /metrics tell its age.
                log().error("sync_failed", problem=str(error))
            except Exception as error:  # noqa: BLE001 (the schedule must go on)
                log().error("sync_broke", error=type(error).__name__, where=where(error))
            if self._stopping.wait(self._connector.settings.sync_minutes * 60):
                return


def housekeep(connector: Connector) -> None:
    """Throws away what is no longer needed. Raises RetryLater if the store cannot be used."""
    now = connector.clock.now()
    with connector.store.write() as connection:
        calls.drop_deliveries(connection, now - DELIVERIES_KEPT)
        outbox.drop_finished(connection, now - SETTLED_KEPT)
