"""Writes rows of Dataverse into the directory, under our own names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, select
from sqlalchemy.exc import DataError

from connector.dataverse.pages import Row, Value
from connector.errors import BadData
from connector.mappings import TableMapping
from connector.store.directory_schema import metadata

AT_ONCE = 1_000
"""Rows in one statement for SQLite: while it runs, another thread can make the next page ready.

One statement a row would end after microseconds, and wait for the interpreter's lock each time; with more rows than
this the statement alone takes megabytes. 13 columns of the widest table stay below SQLite's 32,766 parameters.
"""


def table(mapping: TableMapping) -> Table:
    """The directory's table of a mapping."""
    return metadata.tables[mapping.name]


@dataclass(frozen=True)
class Batch:
    """Rows of a page, ready to be stored: the columns of the directory's table, and their values row by row.

    `lower`: ids are in lower case, as Dataverse writes them; the OData standard allows either.
    """

    target: Table
    names: tuple[str, ...]
    values: Sequence[tuple[Value, ...]]
    lower: bool = True


def batch(mapping: TableMapping, rows: Iterable[Row], generation: int) -> Batch:
    """Makes rows ready to be stored; apart from storing, so that it can be done while the page before is stored.

    `generation` is the number of the full read that they belong to. Raises BadData where a row has no id.
    """
    # A row that a page names twice would be refused by PostgreSQL: the last one counts.
    once = {getattr(row, mapping.id): row for row in rows}
    if None in once:
        raise BadData("Dataverse answered a row without its id: report this to its support")
    lower = (ids := "".join(once)) == ids.lower()
    names, columns = ("generation", "id", *mapping.columns), _values(mapping.id, *mapping.columns.values())
    if not mapping.attributes:
        return Batch(table(mapping), names, [(generation, *columns(row)) for row in once.values()], lower)
    attributes = _json(mapping.attributes)
    values = [(generation, *columns(row), attributes(row)) for row in once.values()]
    return Batch(table(mapping), (*names, "attributes"), values, lower)


def store(connection: Connection, batch: Batch) -> None:
    """Inserts rows, or overwrites those known. Raises BadData where a column cannot hold a value."""
    try:
        _store(connection, batch)
    except (DataError, OverflowError):
        # The driver's text may quote the value.
        raise BadData(f"Dataverse answered a value that table {batch.target.name} cannot hold: report this") from None


def _store(connection: Connection, batch: Batch) -> None:
    if not batch.values:
        return
    # Past SQLAlchemy's own handling of parameters, which takes longer than storing them.
    if connection.dialect.name == "sqlite":
        whole = len(batch.values) // AT_ONCE * AT_ONCE
        for start in range(0, whole, AT_ONCE):
            values = tuple(chain.from_iterable(batch.values[start : start + AT_ONCE]))
            connection.exec_driver_sql(_sqlite(batch.target, batch.names, batch.lower, AT_ONCE), values)
        if rest := batch.values[whole:]:
            connection.exec_driver_sql(_sqlite(batch.target, batch.names, batch.lower, 1), rest)
    else:
        columns = tuple(map(list, zip(*batch.values, strict=True)))
        connection.exec_driver_sql(_postgresql(batch.target, batch.names, batch.lower), columns)


def remove(connection: Connection, mapping: TableMapping, ids: Sequence[str]) -> int:
    """Deletes rows by id; how many there were."""
    if not ids:
        return 0
    target = table(mapping)
    return connection.execute(delete(target).where(target.c.id.in_([row_id.lower() for row_id in ids]))).rowcount


def sweep(connection: Connection, mapping: TableMapping, generation: int, *, since: int = 0) -> int:
    """Deletes what a full read has not seen, if it was last seen by the read `since` or later; how many there were."""
    target = table(mapping)
    unseen = (target.c.generation < generation, target.c.generation >= since)
    return connection.execute(delete(target).where(*unseen)).rowcount


def count(connection: Connection, name: str) -> int:
    """How many rows the directory's table `name` holds."""
    return connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar_one()


@cache
def _sqlite(target: Table, names: tuple[str, ...], lower: bool, rows: int) -> str:  # noqa: FBT001 (a part of the key)
    """Stores so many rows. SQLite makes numbers of texts by itself."""
    row = f"({', '.join('?' if lower else _lower(target, name, '?') for name in names)})"
    return _upsert(target, names, f"values {', '.join([row] * rows)}", "max")


@cache
def _postgresql(target: Table, names: tuple[str, ...], lower: bool) -> str:  # noqa: FBT001 (a part of the key)
    """Stores a page that is given as one array a column."""
    arrays = ", ".join(f"%s::{target.c[name].type.compile()}[]" for name in names)
    kept = ", ".join(name if lower else _lower(target, name, name) for name in names)
    source = f"select {kept} from unnest({arrays}) as page({', '.join(names)})"  # noqa: S608 (our own names)
    return _upsert(target, names, source, "greatest")


def _upsert(target: Table, names: tuple[str, ...], source: str, greatest: str) -> str:
    # A column that the organisation lacks is emptied: what it held when it was there is no longer true.
    fresh = {column.name: "null" for column in target.c} | {name: f"excluded.{name}" for name in names}
    del fresh["id"]
    # An older read, or the look-up of one agent, never makes a row look unseen to the full read under way.
    fresh["generation"] = f"{greatest}({target.name}.generation, excluded.generation)"
    changes = ", ".join(f"{name} = {value}" for name, value in fresh.items())
    return f"insert into {target.name} ({', '.join(names)}) {source} on conflict (id) do update set {changes}"


def _lower(target: Table, name: str, value: str) -> str:
    """SQL for a value, in lower case if it is an id."""
    return f"lower({value})" if getattr(target.c[name].type, "length", None) == 36 else value


def _values(*columns: str) -> Callable[[Row], tuple[Value, ...]]:
    """Reads columns of a row."""
    read: Callable[[Row], Any] = attrgetter(*columns)
    return read if len(columns) > 1 else lambda row: (read(row),)


def _json(columns: tuple[str, ...]) -> Callable[[Row], str]:
    """Writes columns of a row as a JSON object."""
    read, encode = _values(*columns), msgspec.json.Encoder().encode
    # Twice as fast as a dictionary.
    members = msgspec.defstruct("Members", columns, gc=False)
    return lambda row: encode(members(*read(row))).decode()
