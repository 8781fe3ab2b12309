"""Keeps the directory the same as Dataverse: each table once in full, then only its changes.

One table's trouble never costs the others their update. Only one sync of an organisation may run at a time: its
caller holds the lock "sync" (`connector.store.lock`).
"""

from __future__ import annotations

from datetime import timedelta

from connector.clock import Clock
from connector.dataverse.client import Dataverse
from connector.directory.problems import PRIVILEGE_MISSING
from connector.directory.progress import ages
from connector.directory.table_sync import Progress, TableResult, TableSync
from connector.errors import AuthenticationError, BadData, RetryLater, ServiceRejected
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import sync_rows
from connector.store.database import Database

__all__ = ["AT_ONCE", "UNTRACKED_EVERY", "Progress", "Sync", "TableResult", "ages"]

AT_ONCE = timedelta()
"""For `untracked_every`: tables without change tracking are read in full by every sync."""
UNTRACKED_EVERY = timedelta(hours=1)
"""The same for a sync every few minutes, which must be cheap."""

IN_VAIN = 2
"""Tables in a row that could not be read for all patience; the others are then left: the fault is not a table's."""


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

        Raises ConnectorErrors; tables done before stay done, and so are those after a table that alone fails.
        """
        results: list[TableResult] = []
        errors: list[ServiceRejected | BadData | RetryLater] = []
        in_vain = 0
        for mapping in self._mappings.tables.values():
            table = TableSync(self._dataverse, self._database, mapping, self._clock, progress, untracked_every)
            try:
                results.append(table.run())
            except (ServiceRejected, BadData, RetryLater) as error:
                table.fail(error)
                errors.append(error)
                in_vain = in_vain + 1 if isinstance(error, RetryLater) else 0
                if in_vain == IN_VAIN:
                    break
                continue
            in_vain = 0
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
