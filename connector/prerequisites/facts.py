"""The facts that the checks judge, in the terms of Dynamics' administrators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from connector.acs.numbers import PurchasedNumber, Routing
from connector.directory.addresses import Addresses
from connector.mappings import Country


class Carrier(StrEnum):
    """Who carries the calls of a number. Dynamics says "direct offer" for a Microsoft calling-plan number."""

    CALLING_PLAN = "calling plan"
    DIRECT_ROUTING = "direct routing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PhoneNumber:
    """A phone number of Dynamics (E.164 where it could be read)."""

    number: str
    outbound: bool
    carrier: Carrier


@dataclass(frozen=True)
class OutboundProfile:
    """A voice outbound profile: an outbound work stream with a voice channel, and the channel's number."""

    name: str
    active: bool
    outbound: bool
    voice: bool
    has_channel: bool
    number: PhoneNumber | None

    @property
    def works(self) -> bool:
        parts = (self.active, self.outbound, self.voice, self.has_channel)
        return all(parts) and self.number is not None and self.number.outbound


@dataclass(frozen=True)
class CapacityProfile:
    """A capacity profile and the work streams it is tied to."""

    name: str
    active: bool
    outbound_profiles: tuple[OutboundProfile, ...]


@dataclass(frozen=True)
class Mailbox:
    """The state of an agent's mailbox, as the server-side synchronisation left it."""

    active: bool
    server_side: bool
    outgoing_enabled: bool
    tested: bool
    test_succeeded: bool
    approved: bool


@dataclass(frozen=True)
class AgentFacts:
    """One agent. `has_resource` None: there is no bookable resource; False: it is inactive."""

    id: str
    name: str
    country: Country | None
    country_told: str
    """The country as Dynamics has it, for people to recognise."""
    has_resource: bool | None
    profiles: tuple[CapacityProfile, ...]
    inactive_links: int
    mailbox: Mailbox | None
    personal_number: PhoneNumber | None
    recipients: Addresses

    @property
    def number(self) -> PhoneNumber | None:
        """The number that the agent calls from: their own if it can make calls, else the first working profile's."""
        if self.personal_number and self.personal_number.outbound:
            return self.personal_number
        tied = (outbound for profile in self.profiles if profile.active for outbound in profile.outbound_profiles)
        return next((outbound.number for outbound in tied if outbound.works), None)


@dataclass(frozen=True)
class AcsFacts:
    """What the ACS resource owns and how it routes; `purchased` by number (E.164)."""

    purchased: Mapping[str, PurchasedNumber]
    routing: Routing
