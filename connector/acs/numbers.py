"""Reads the numbers that an ACS resource has bought, and its direct routing. Read-only: routing has no ETag, so a
change of ours could undo somebody else's."""

from __future__ import annotations

from dataclasses import dataclass

from azure.communication.phonenumbers import PhoneNumbersClient
from azure.communication.phonenumbers.siprouting import SipRoutingClient

from connector.acs.pipeline import credential, explained, options
from connector.dataverse.tokens import Tokens
from connector.settings import Settings


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


def purchased_numbers(settings: Settings, tokens: Tokens) -> list[PurchasedNumber]:
    """Every number that the resource has bought. Raises RetryLater, AuthenticationError or ServiceRejected."""
    settings.require("acs_endpoint")
    client = PhoneNumbersClient(settings.acs_endpoint, credential(settings, tokens), **options(settings))
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


def routing(settings: Settings, tokens: Tokens) -> Routing:
    """Trunks and routes. Raises RetryLater, AuthenticationError or ServiceRejected."""
    settings.require("acs_endpoint")
    with (
        explained("ACS direct routing"),
        SipRoutingClient(settings.acs_endpoint, credential(settings, tokens), **options(settings)) as client,
    ):
        routes = tuple(Route(route.name or "", route.number_pattern or "") for route in client.list_routes())
        return Routing(len(list(client.list_trunks())), routes)
