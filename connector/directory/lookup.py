"""Fetches one agent whom the directory does not know, as one row of Dataverse, within a small time budget."""

from __future__ import annotations

from connector.dataverse import pages
from connector.dataverse.client import Dataverse
from connector.directory import progress, rows
from connector.mappings import Mappings
from connector.store.database import Database


def fetch_agent(dataverse: Dataverse, directory: Database, mappings: Mappings, agent_id: str, seconds: float) -> None:
    """Stores the agent, if Dataverse knows them. Raises ConnectorError where it does not tell in time."""
    mapping = mappings.tables["agents"]
    # Without the columns that the last sync found missing, which would be refused.
    _, _, query = (progress.selected(directory, mapping.name) or progress.first(mapping)).partition("?")
    found = dataverse.get(f"{mapping.set}({agent_id})?{query}", timeout=seconds)
    # Generation 0: the next full read decides whether the row stays.
    batch = rows.batch(mapping, pages.rows([found], mapping.selected), 0)
    with directory.write() as connection:
        rows.store(connection, batch)
