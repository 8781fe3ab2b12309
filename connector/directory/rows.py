"""Writes rows of Dataverse into the directory, under our own names.

The database itself brings values into our form, since Python would take longer for that than for all the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from json.encoder import encode_basestring
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from connector.mappings import TableMapping
from connector.store.directory_schema import metadata


def table(mapping: TableMapping) -> Table:
    """The directory's table of a mapping."""
    return metadata.tables[mapping.name]


def store(connection: Connection, mapping: TableMapping, rows: Sequence[dict[str, Any]], generation: int) -> None:
    """Inserts rows, or overwrites those known. `generation` is the number of the full read that they belong to."""
    columns, target = (mapping.id, *mapping.columns.values()), table(mapping)
    # A row that a page names twice would be refused by PostgreSQL: the last one counts.
    once = {row[mapping.id]: row for row in rows}.values()
    if not once:
        return
    names = ("generation", "id", *mapping.columns)
    values: list[tuple[Any, ...]]
    if mapping.attributes:
        names = ("attributes", *names)
        shape = _json_shape(mapping.attributes)
        values = [
            (shape % tuple(map(_json, map(row.get, mapping.attributes))), generation, *map(row.get, columns))
            for row in once
        ]
    else:
        values = [(generation, *map(row.get, columns)) for row in once]
    # Past SQLAlchemy's own handling of parameters, which takes longer than storing them.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_sqlite(target, names), values)
    else:
        connection.exec_driver_sql(_postgresql(target, names), tuple(map(list, zip(*values, strict=True))))


def remove(connection: Connection, mapping: TableMapping, ids: Sequence[str]) -> int:
    """Deletes rows by id; how many there were."""
    if not ids:
        return 0
    target = table(mapping)
    return connection.execute(delete(target).where(target.c.id.in_([row_id.lower() for row_id in ids]))).rowcount


def sweep(connection: Connection, mapping: TableMapping, generation: int) -> int:
    """Deletes what a full read has not seen; how many there were."""
    target = table(mapping)
    return connection.execute(delete(target).where(target.c.generation < generation)).rowcount


def count(connection: Connection, name: str) -> int:
    """How many rows the directory's table `name` holds."""
    return connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar_one()


@cache
def _sqlite(target: Table, names: tuple[str, ...]) -> str:
    """Stores one row after the other. SQLite makes numbers of texts by itself."""
    return _upsert(target, names, f"values ({', '.join(_clean(target, name, '?') for name in names)})", "max")


@cache
def _postgresql(target: Table, names: tuple[str, ...]) -> str:
    """Stores a page that is given as one array a column."""
    arrays = ", ".join(f"%s::{target.c[name].type.compile()}[]" for name in names)
    kept = ", ".join(_clean(target, name, name) for name in names)
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


def _clean(target: Table, name: str, value: str) -> str:
    """Ids come in either case."""
    return f"lower({value})" if getattr(target.c[name].type, "length", None) == 36 else value


@cache
def _json_shape(names: tuple[str, ...]) -> str:
    """A JSON object with a place for each value: three times as fast as encoding a dictionary."""
    pairs = (f"{encode_basestring(name).replace('%', '%%')}:%s" for name in names)
    return "{" + ",".join(pairs) + "}"


def _json(value: Any) -> str:
    if value is None:
        return "null"
    return encode_basestring(value) if isinstance(value, str) else json.dumps(value)
