"""Writes rows of Dataverse into the directory, under our own names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, Integer, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from connector.mappings import TableMapping
from connector.store.directory_schema import metadata


def table(mapping: TableMapping) -> Table:
    """The directory's table of a mapping."""
    return metadata.tables[mapping.name]


def store(connection: Connection, mapping: TableMapping, rows: Sequence[dict[str, Any]], generation: int) -> None:
    """Inserts rows, or overwrites those known. `generation` is the number of the full read that they belong to."""
    if not rows:
        return
    target = table(mapping)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(target)
    fresh = {column.name: statement.excluded[column.name] for column in target.c if column.name != "id"}
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_=fresh)
    connection.execute(upsert, [_values(mapping, target, row, generation) for row in rows])


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


def _values(mapping: TableMapping, target: Table, row: dict[str, Any], generation: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: _clean(target.c[name].type, row.get(column)) for name, column in mapping.columns.items()
    }
    if mapping.attributes:
        values["attributes"] = {name: row[name] for name in mapping.attributes if row.get(name) is not None}
    return {"id": str(row[mapping.id]).lower(), "generation": generation, **values}


def _clean(kind: Any, value: Any) -> Any:
    """Choice columns come as numbers, or as text in some tables; ids in either case."""
    if value is None:
        return None
    if isinstance(kind, Integer):
        return int(value)
    if isinstance(kind, Boolean):
        return bool(value)
    return str(value).lower() if getattr(kind, "length", None) == 36 else str(value)
