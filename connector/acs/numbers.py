"""Reads the numbers that an ACS resource has bought, and its direct routing. Read-only: routing has no ETag, so a
change of ours could undo somebody else's."""

from __future__ import annotations

from dataclasses import dataclass

from azure.communication.phonenumbers import PhoneNumbersClient
from azure.communication.phonenumbers.siprouting import SipRoutingClient

from connector.acs.pipeline import Access, explained, options


@dataclass(frozen=True)
class PurchasedNumber:
    """A number of the resource. `calling` is none, inbound, outbound or inbound+outbound."""

    number: str
    country: str
    calling: str
    number_type: str


@dataclass(frozen=True)
class Route:
    """A direct-routing rule: a .NET regular expression over the dialled string."""

    name: str
    pattern: str


@dataclass(frozen=True)
class Routing:
    """Direct routing of the resource, the routes in the order in which they apply."""

    trunks: int
    routes: tuple[Route, ...]


def purchased_numbers(access: Access) -> list[PurchasedNumber]:
    """Every number that the resource has bought. Raises RetryLater, AuthenticationError or ServiceRejected."""
    client = PhoneNumbersClient(access.endpoint, access.credential, **options(access))
    with explained("ACS phone numbers"):
        return [
            PurchasedNumber(
                number.phone_number,
                number.country_code,
                str(number.capabilities.calling),
                str(number.phone_number_type),
            )
            for number in client.list_purchased_phone_numbers()
        ]


def routing(access: Access) -> Routing:
    """Trunks and routes. Raises RetryLater, AuthenticationError or ServiceRejected."""
    with (
        explained("ACS direct routing"),
        SipRoutingClient(access.endpoint, access.credential, **options(access)) as client,
    ):
        routes = tuple(Route(route.name or "", route.number_pattern or "") for route in client.list_routes())
        return Routing(len(list(client.list_trunks())), routes)
