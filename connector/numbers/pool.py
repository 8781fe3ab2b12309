"""Fills the pool of callback numbers from what the ACS resource owns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, insert

from connector.acs.numbers import PurchasedNumber, Routing
from connector.directory.progress import knows_all, note_acs
from connector.directory.reader import Directory
from connector.e164 import e164
from connector.logs import log
from connector.metrics import decisions
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


def fill(store: Database, directory: Directory, purchased: Iterable[PurchasedNumber], chosen: Iterable[str]) -> int:
    """Makes the numbers that may be leased the pool; how many are new in it.

    Nothing changes where Dynamics' numbers are not all known and none are `chosen`: one that carries customers could be
    leased out.
    """
    chosen = tuple(chosen)
    if not chosen and not knows_all(directory.database, "phone_numbers"):
        log().error("pool_not_filled")
        decisions.labels("pool_not_filled").inc()
        return 0
    numbers = for_callbacks(purchased, directory.numbers_in_use(), chosen)
    with store.write() as connection:
        came, _gone = calls.set_pool(connection, numbers)
    return came
