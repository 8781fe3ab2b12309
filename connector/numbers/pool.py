"""Fills the pool of callback numbers from what the ACS resource owns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, insert

from connector.acs.numbers import PurchasedNumber, Routing
from connector.directory.progress import note_acs
from connector.e164 import e164
from connector.store import calls
from connector.store.database import Database
from connector.store.directory_schema import acs_numbers, sip_routing


def for_callbacks(purchased: Iterable[PurchasedNumber], in_use: set[str], chosen: Iterable[str] = ()) -> dict[str, str]:
    """The numbers that may be leased, with their countries.

    Those that take calls and that Dynamics does not use (they carry customers), or those `chosen` in the settings, as
    far as the resource owns them.
    """
    chosen = tuple(chosen)
    wanted = {number for text in chosen if (number := e164(text))}
    pool = {}
    for own in purchased:
        free = own.number in wanted if chosen else own.number not in in_use
        if free and "inbound" in own.calling:
            pool[own.number] = own.country.upper()
    return pool


def store_facts(directory: Database, numbers: Iterable[PurchasedNumber], routing: Routing, at: datetime) -> None:
    """Keeps what ACS told, for the check of prerequisites."""
    owned = [
        {"number": own.number, "country": own.country, "calling": own.calling, "number_type": own.number_type}
        for own in numbers
    ]
    routes = [{"name": route.name, "pattern": route.pattern} for route in routing.routes]
    with directory.write() as connection:
        connection.execute(delete(acs_numbers))
        connection.execute(delete(sip_routing))
        if owned:
            connection.execute(insert(acs_numbers), owned)
        connection.execute(insert(sip_routing).values(id=1, trunks=routing.trunks, routes=routes))
        note_acs(connection, len(owned), at)


def fill(store: Database, pool: dict[str, str]) -> tuple[int, int]:
    """Makes `pool` the pool; how many numbers came and went."""
    with store.write() as connection:
        return calls.set_pool(connection, pool)
