"""Keeps what agents' browsers say of their location: whether they may tell it, how exactly, and the country.

Never the coordinates: those are turned into a country before they come here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert

from connector.prerequisites.facts import Accuracy, Permission
from connector.store.database import Database
from connector.store.directory_schema import location_checks

PRECISE_METRES, APPROXIMATE_METRES = 100, 5_000
"""GPS and Wi-Fi are good for the first; beyond the second the browser only guesses from its network address."""
KEPT = timedelta(days=400)
"""An old check says more than none; after a year or so the agent has gone."""


def accuracy_class(metres: float | None) -> Accuracy:
    """The class of an accuracy (radius in metres, as the Geolocation API tells it)."""
    if metres is None:
        return "unknown"
    if metres <= PRECISE_METRES:
        return "precise"
    return "approximate" if metres <= APPROXIMATE_METRES else "coarse"


def store_check(
    directory: Database, agent_id: str, at: datetime, permission: Permission, accuracy: Accuracy, country: str | None
) -> None:
    """Replaces the agent's check. `country`: ISO code. Raises RetryLater."""
    with directory.write() as connection:
        old = (location_checks.c.agent_id == agent_id) | (location_checks.c.at < at - KEPT)
        connection.execute(delete(location_checks).where(old))
        values = {"agent_id": agent_id, "at": at, "permission": permission, "accuracy": accuracy, "country": country}
        connection.execute(insert(location_checks).values(**values))
