"""The rows: one version counter gives etags and delta tokens; deletions are remembered for change tracking.

A row version that grows over the whole database is what Dataverse's own etags look like; that the same number drives
the delta token is our inference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.dataverse.schema import Table
from connector.sandbox.dataverse.tables import TABLES

Values = dict[str, Any]


class Row:
    """One row. Only columns with a value are stored, so that a million rows fit in memory."""

    __slots__ = ("id", "position", "values", "version")

    def __init__(self, row_id: str, version: int, position: int, values: Values) -> None:
        self.id = row_id
        self.version = version
        self.position = position
        self.values = values

    @property
    def etag(self) -> str:
        """A weak etag, as Dataverse sends it."""
        return f'W/"{self.version}"'


@dataclass
class RowSet:
    """The rows of one table in the order of their creation; a deleted row leaves a gap, so that positions hold."""

    table: Table
    by_id: dict[str, Row] = field(default_factory=dict)
    order: list[Row | None] = field(default_factory=list)
    deletions: list[tuple[int, str]] = field(default_factory=list)
    changed: int = 0
    """The version of the last change: what was built from an older one is out of date."""

    def scan(self, start: int = 0) -> Iterator[Row]:
        """The rows from a position on."""
        for index in range(start, len(self.order)):
            row = self.order[index]
            if row is not None:
                yield row


class Rows:
    """All tables. Reads need no lock (the interpreter's is enough); changes take `lock`."""

    def __init__(self, tables: Mapping[str, list[Values]]) -> None:
        self.lock = threading.RLock()
        self.version = 900_000
        self._related: dict[tuple[str, str], tuple[int, dict[str, list[Row]]]] = {}
        self.sets = {name: RowSet(table) for name, table in TABLES.items()}
        for name, rows in tables.items():
            row_set = self.sets[name]
            key = row_set.table.primary_id
            for values in rows:
                self._add(row_set, values[key], values)

    def all(self, table: str) -> Iterator[Values]:
        """The values of every row of a table, for tests and for the modules beside this one."""
        return (row.values for row in self.sets[table].scan())

    def get(self, table: str, row_id: str) -> Row | None:
        """A row by its id."""
        return self.sets[table].by_id.get(row_id.lower())

    def find(self, table: str, condition: Callable[[Values], bool]) -> Row | None:
        """The first row that meets a condition."""
        return next((row for row in self.sets[table].scan() if condition(row.values)), None)

    def related(self, table: str, wire: str, key: str) -> list[Row]:
        """The rows whose lookup points to a row; the grouping is kept until the table changes."""
        row_set = self.sets[table]
        changed, groups = self._related.get((table, wire), (-1, {}))
        if changed != row_set.changed:
            changed, groups = row_set.changed, {}
            for row in row_set.scan():
                if wire in row.values:
                    groups.setdefault(row.values[wire], []).append(row)
            self._related[table, wire] = changed, groups
        return groups.get(key, [])

    def insert(self, table: str, values: Values) -> Row:
        """Adds a row as it is: defaults and system columns are the caller's matter."""
        with self.lock:
            row_set = self.sets[table]
            return self._add(row_set, values[row_set.table.primary_id], values)

    def update(self, table: str, row_id: str, changes: Mapping[str, Any]) -> Row:
        """Changes columns; the row's values are replaced as a whole, so readers never see half a change."""
        with self.lock:
            row_set = self.sets[table]
            row = row_set.by_id[row_id]
            merged = {**row.values, **changes}
            row.values = {name: value for name, value in merged.items() if value is not None}
            row.version = self._next(row_set)
            return row

    def delete(self, table: str, row_id: str) -> Row:
        """Deletes a row and remembers its id."""
        with self.lock:
            row_set = self.sets[table]
            row = row_set.by_id.pop(row_id)
            row_set.order[row.position] = None
            row_set.deletions.append((self._next(row_set), row_id))
            return row

    def withdraw(self, table: str, row: Row) -> None:
        """Undoes an insert: the row was never there, so change tracking has no deletion to report."""
        with self.lock:
            row_set = self.sets[table]
            del row_set.by_id[row.id]
            row_set.order[row.position] = None
            self._next(row_set)

    def restore(self, table: str, row: Row, values: Values) -> None:
        """Undoes an update or a deletion, under a new version: a version never comes back."""
        with self.lock:
            row_set = self.sets[table]
            row.values = values
            row.version = self._next(row_set)
            row_set.by_id[row.id] = row
            row_set.order[row.position] = row

    def _add(self, row_set: RowSet, row_id: str, values: Values) -> Row:
        row = Row(row_id, self._next(row_set), len(row_set.order), values)
        row_set.by_id[row_id] = row
        row_set.order.append(row)
        return row

    def _next(self, row_set: RowSet) -> int:
        self.version += 1
        row_set.changed = self.version
        return self.version


class Transaction:
    """What a request has changed so far, so that a failure can take all of it back."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._undo: list[Callable[[], object]] = []
        self.on_commit: list[Callable[[], object]] = []
        """What must happen only if all of it stands, such as asynchronous steps."""

    def insert(self, table: str, values: Values) -> Row:
        """`Rows.insert`, to be undone if need be."""
        row = self._rows.insert(table, values)
        self._undo.append(lambda: self._rows.withdraw(table, row))
        return row

    def update(self, table: str, row_id: str, changes: Mapping[str, Any]) -> Row:
        """`Rows.update`, likewise."""
        before = self._rows.sets[table].by_id[row_id].values
        row = self._rows.update(table, row_id, changes)
        self._undo.append(lambda: self._rows.restore(table, row, before))
        return row

    def delete(self, table: str, row_id: str) -> Row:
        """`Rows.delete`, likewise."""
        row = self._rows.delete(table, row_id)
        self._undo.append(lambda: self._rows.restore(table, row, row.values))
        return row

    def commit(self) -> None:
        """Lets the changes stand and does what waited for that."""
        for action in self.on_commit:
            action()

    def roll_back(self) -> None:
        """Takes the changes back, the last one first."""
        while self._undo:
            self._undo.pop()()
