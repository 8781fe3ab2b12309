"""Keeps the directory the same as Dataverse: each table once in full, then only its changes.

A full read is stored page by page with the link to the next page, so that a killed read goes on where it stopped; rows
that the read has not seen are removed at its end. Afterwards change tracking brings what changed and what was deleted,
until its token expires (7 days by default): then the table is read in full again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from connector.clock import Clock
from connector.dataverse.client import PAGE_SIZE, Dataverse
from connector.directory import rows
from connector.errors import BadData, DeltaExpired, MissingPrivilege, ServiceRejected
from connector.logs import log
from connector.mappings import Mappings, TableMapping
from connector.metrics import sync_rows
from connector.store.calls import insert_new
from connector.store.database import Database
from connector.store.directory_schema import sync_progress

TRACKED = f"odata.track-changes,odata.maxpagesize={PAGE_SIZE}"
UNTRACKED = f"odata.maxpagesize={PAGE_SIZE}"

Progress = Callable[[str, int], None]
"""Told after each stored page: the table's name, and how many rows this sync has read of it so far."""


@dataclass(frozen=True)
class TableResult:
    """What a sync did to one table. `full`: it was read in full; `tracked`: next time only its changes will be."""

    name: str
    read: int
    removed: int
    full: bool
    tracked: bool


class Sync:
    """One organisation's directory and where it comes from."""

    def __init__(self, dataverse: Dataverse, database: Database, mappings: Mappings, clock: Clock) -> None:
        self._dataverse = dataverse
        self._database = database
        self._mappings = mappings
        self._clock = clock

    def run(self, progress: Progress = lambda _table, _rows: None) -> list[TableResult]:
        """Brings every table up to date. Raises ConnectorError; tables done before stay done."""
        results = []
        for mapping in self._mappings.tables.values():
            result = self._table(mapping, progress)
            log().info("table_synced", table=result.name, rows=result.read, removed=result.removed)
            sync_rows.labels(result.name).inc(result.read)
            results.append(result)
        return results

    def _table(self, mapping: TableMapping, progress: Progress) -> TableResult:
        state = self._state(mapping)
        if state.delta_link and self._dataverse.owns(state.delta_link):
            try:
                return self._changes(mapping, state, progress)
            except (DeltaExpired, MissingPrivilege):
                log().warning("delta_refused", table=mapping.name)
            except ServiceRejected as error:
                # What an expired token looks like is not documented, so every refusal of it means a full read.
                log().warning("delta_refused", table=mapping.name, status=error.status, code=error.code)
        if state.next_link and self._dataverse.owns(state.next_link):
            try:
                return self._full(mapping, state.next_link, state.generation, state.rows, progress)
            except ServiceRejected:
                log().warning("page_link_refused", table=mapping.name)
        return self._from_start(mapping, state.generation + 1, progress)

    def _from_start(self, mapping: TableMapping, generation: int, progress: Progress) -> TableResult:
        try:
            return self._full(mapping, _first(mapping), generation, 0, progress)
        except ServiceRejected as error:
            if error.status not in (400, 403, 501):
                raise
        present = self._present(mapping)
        if present == mapping:
            # A table without change tracking, or a caller without organisation-level read.
            log().info("table_without_change_tracking", table=mapping.name)
            return self._full(mapping, _first(mapping), generation, 0, progress, prefer=UNTRACKED)
        return self._from_start(present, generation, progress)

    def _present(self, mapping: TableMapping) -> TableMapping:
        """The mapping without the columns that this organisation lacks. Raises NotFound without the table."""
        path = f"EntityDefinitions(LogicalName='{mapping.table}')/Attributes?$select=LogicalName"
        there = {row["LogicalName"] for row in self._dataverse.patiently(lambda: self._dataverse.get(path))["value"]}
        columns = {name: column for name, column in mapping.columns.items() if _attribute(column) in there}
        attributes = tuple(name for name in mapping.attributes if name in there)
        for name in mapping.columns.keys() - columns.keys():
            log().warning("column_missing", table=mapping.name, kind=name)
        return replace(mapping, columns=columns, attributes=attributes)

    def _full(
        self, mapping: TableMapping, first: str, generation: int, read: int, progress: Progress, prefer: str = TRACKED
    ) -> TableResult:
        removed, delta_link = 0, None
        for page, next_link, delta_link in self._dataverse.pages(first, prefer=prefer):
            read += len(page)
            with self._database.write() as connection:
                rows.store(connection, mapping, page, generation)
                if next_link is None:
                    removed = rows.sweep(connection, mapping, generation)
                self._note(connection, mapping, generation, read, next_link, delta_link)
            progress(mapping.name, read)
        return TableResult(mapping.name, read, removed, full=True, tracked=delta_link is not None)

    def _changes(self, mapping: TableMapping, state: Any, progress: Progress) -> TableResult:
        read = removed = 0
        newer = None
        for page, _, newer in self._dataverse.pages(state.delta_link, prefer=TRACKED):
            deleted = [_deleted_id(row) for row in page if "reason" in row]
            changed = [row for row in page if "reason" not in row]
            with self._database.write() as connection:
                rows.store(connection, mapping, changed, state.generation)
                removed += rows.remove(connection, mapping, deleted)
                read += len(page)
                if newer:
                    self._note(connection, mapping, state.generation, read, None, newer)
            progress(mapping.name, read)
        if newer is None:
            raise BadData("Dataverse ended the changes without a new delta link: report this to its support")
        return TableResult(mapping.name, read, removed, full=False, tracked=True)

    def _state(self, mapping: TableMapping) -> Any:
        """How far the table has been read. Any: a row of `sync_progress`."""
        with self._database.write() as connection:
            insert_new(connection, sync_progress, name=mapping.name, generation=0, rows=0)
            return connection.execute(select(sync_progress).where(sync_progress.c.name == mapping.name)).one()

    def _note(
        self,
        connection: Connection,
        mapping: TableMapping,
        generation: int,
        read: int,
        next_link: str | None,
        delta_link: str | None,
    ) -> None:
        values: dict[str, Any] = {
            "next_link": next_link,
            "delta_link": delta_link,
            "generation": generation,
            "rows": read,
        }
        if next_link is None:
            values["completed_at"] = self._clock.now()
        connection.execute(sync_progress.update().where(sync_progress.c.name == mapping.name).values(values))


def _first(mapping: TableMapping) -> str:
    return f"{mapping.set}?$select={mapping.select}"


def _attribute(column: str) -> str:
    """The logical name of a column that the Web API names `_name_value` because it is a lookup."""
    return column[1:].removesuffix("_value") if column.startswith("_") else column


def _deleted_id(row: dict[str, Any]) -> str:
    try:
        return str(row["id"])
    except KeyError:
        raise BadData("Dataverse told of a deleted row without its id: report this to its support") from None


def ages(database: Database, clock: Clock, names: Iterable[str]) -> dict[str, float | None]:
    """By table: seconds since its last complete read, None if it was never read."""
    with database.read() as connection:
        done = {row.name: row.completed_at for row in connection.execute(select(sync_progress))}
    now = clock.now()
    return {name: (now - done[name]).total_seconds() if done.get(name) else None for name in names}
