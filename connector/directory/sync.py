"""Keeps the directory the same as Dataverse: each table once in full, then only its changes.

One table's trouble never costs the others their update; only one sync of an organisation runs at a time.
"""

from __future__ import annotations

from datetime import timedelta

from connector.clock import Clock
from connector.dataverse.client import Dataverse
from connector.directory.problems import PRIVILEGE_MISSING
from connector.directory.progress import ages
from connector.directory.table_sync import Progress, TableResult, TableSync
from connector.errors import AuthenticationError, BadData, ServiceRejected
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import sync_rows
from connector.store.database import Database
from connector.store.lock import alone

__all__ = ["AT_ONCE", "UNTRACKED_EVERY", "Progress", "Sync", "TableResult", "ages"]

AT_ONCE = timedelta()
"""For `untracked_every`: tables without change tracking are read in full by every sync."""
UNTRACKED_EVERY = timedelta(hours=1)
"""The same for a sync every few minutes, which must be cheap."""


class Sync:
    """One organisation's directory and where it comes from."""

    def __init__(self, dataverse: Dataverse, database: Database, mappings: Mappings, clock: Clock) -> None:
        self._dataverse = dataverse
        self._database = database
        self._mappings = mappings
        self._clock = clock

    def run(
        self, progress: Progress = lambda _table, _rows: None, untracked_every: timedelta = AT_ONCE
    ) -> list[TableResult]:
        """Brings every table up to date; one without change tracking only if its copy is older than `untracked_every`.

        Raises AlreadyRunning if another sync of this directory runs, on whatever machine, and other ConnectorErrors;
        tables done before stay done.
        """
        with alone(self._database, "sync"):
            return self._run(progress, untracked_every)

    def _run(self, progress: Progress, untracked_every: timedelta) -> list[TableResult]:
        results: list[TableResult] = []
        errors: list[ServiceRejected | BadData] = []
        for mapping in self._mappings.tables.values():
            table = TableSync(self._dataverse, self._database, mapping, self._clock, progress, untracked_every)
            try:
                results.append(table.run())
            except (ServiceRejected, BadData) as error:
                table.fail(error)
                errors.append(error)
                continue
            done = results[-1]
            tell = log().info if done.read or done.removed else log().debug
            tell("table_synced", table=done.name, rows=done.read, removed=done.removed)
            sync_rows.labels(mapping.name).inc(results[-1].read)
        if errors:
            raise errors[0]
        if all(_forbidden(result) for result in results):
            raise AuthenticationError(
                "Dataverse lets us read no table at all: make the application a user of this environment, with a "
                "security role that reads the tables in mappings/dataverse.toml"
            )
        return results


def _forbidden(result: TableResult) -> bool:
    return any(problem.code == PRIVILEGE_MISSING for problem in result.problems)
