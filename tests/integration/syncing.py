"""A connector that syncs with the sandbox, and what its directory should hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from connector.assembly import Connector
from connector.clock import Clock
from connector.directory.sync import TableResult
from connector.sandbox import Sandbox
from connector.store import directory_schema as tables
from tests.integration.stage import chosen


@contextmanager
def connected(
    sandbox: Sandbox, folder: Path, clock: Clock | None = None, store_url: str = "", **others: Any
) -> Iterator[Connector]:
    """A connector with a directory of its own; afterwards the stand-in is as it was set before."""
    sandbox.faults.clear()
    sandbox.faults.clear_log()
    options = sandbox.dataverse.options
    kept = vars(options).copy()
    url = store_url or f"sqlite:///{folder}/calls.db"
    try:
        with Connector(chosen(sandbox, url, folder, **others), clock) as made:
            yield made
    finally:
        vars(options).update(kept)


def by_name(results: list[TableResult]) -> dict[str, TableResult]:
    return {result.name: result for result in results}


def ids(connector: Connector, name: str) -> set[str]:
    table = tables.metadata.tables[name]
    with connector.directory_store.read() as connection:
        return set(connection.execute(select(table.c.id)).scalars())


def in_dataverse(sandbox: Sandbox, connector: Connector, name: str) -> set[str]:
    mapping = connector.mappings.tables[name]
    return {row[mapping.id] for row in sandbox.dataverse.rows.all(mapping.table)}


def impatient(connector: Connector, waits: list[float]) -> None:
    """Pauses are noted instead of waited for."""
    connector.dataverse._sleep = waits.append


def requests_for(sandbox: Sandbox, text: str) -> list[str]:
    """The targets that Dataverse was asked for and that contain a text, in their order."""
    return [seen.target for seen in sandbox.faults.log("dataverse") if text in seen.target]


def assert_same(sandbox: Sandbox, connector: Connector) -> None:
    """Every row of every table, value by value: the directory is what Dataverse holds."""
    for name in connector.mappings.tables:
        assert copied(connector, name) == original(sandbox, connector, name), name


def copied(connector: Connector, name: str) -> dict[str, dict[str, Any]]:
    table = tables.metadata.tables[name]
    with connector.directory_store.read() as connection:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    for row in rows:
        del row["generation"]
        if row.get("attributes"):
            row["attributes"] = {name: value for name, value in row["attributes"].items() if value is not None}
    return {row.pop("id"): row for row in rows}


def original(sandbox: Sandbox, connector: Connector, name: str) -> dict[str, dict[str, Any]]:
    mapping = connector.mappings.tables[name]
    found = {}
    for row in sandbox.dataverse.rows.all(mapping.table):
        values: dict[str, Any] = {ours: row.get(theirs) for ours, theirs in mapping.columns.items()}
        if mapping.attributes:
            values["attributes"] = {name: row[name] for name in mapping.attributes if row.get(name) is not None}
        found[row[mapping.id]] = values
    return found
