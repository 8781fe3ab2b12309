"""Phone numbers of Dynamics and of the ACS resource, from the directory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, select

from connector.acs.numbers import PurchasedNumber, Route, Routing
from connector.e164 import e164
from connector.prerequisites.facts import AcsFacts, Carrier, PhoneNumber
from connector.store import directory_schema as tables


def acs_facts(connection: Connection) -> AcsFacts:
    """What the last sync saw of the ACS resource."""
    owned = [
        PurchasedNumber(row.number, row.country, row.calling, row.number_type)
        for row in connection.execute(select(tables.acs_numbers))
    ]
    row = connection.execute(select(tables.sip_routing)).one_or_none()
    routes = tuple(Route(route["name"], route["pattern"]) for route in row.routes) if row else ()
    return AcsFacts({number.number: number for number in owned}, Routing(row.trunks if row else 0, routes))


def phone_number(
    number: str | None,
    country: str | None,
    enabled: bool | None,  # noqa: FBT001 (a column's value, passed on)
    source: int | None,
    state: int | None,
    choices: Mapping[str, Any],
) -> PhoneNumber:
    """A row of Dynamics' phone numbers."""
    sources = (choices["source_direct_offer"], choices["source_direct_routing"])
    return _made(number, country, bool(enabled), source, state == choices["active"], sources)


@lru_cache(maxsize=5_000)
def _made(
    number: str | None,
    country: str | None,
    enabled: bool,  # noqa: FBT001 (a cache's key)
    source: int | None,
    active: bool,  # noqa: FBT001 (a cache's key)
    sources: tuple[int, int],
) -> PhoneNumber:
    carriers = dict(zip(sources, (Carrier.CALLING_PLAN, Carrier.DIRECT_ROUTING), strict=True))
    carrier = Carrier.UNKNOWN if source is None else carriers.get(source, Carrier.UNKNOWN)
    return PhoneNumber(e164(number, country) or (number or ""), enabled and active, carrier, active)
