"""The facts that the checks judge, in the terms of Dynamics' administrators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal

from connector.acs.numbers import PurchasedNumber, Routing
from connector.directory.addresses import Addresses
from connector.directory.mailbox import Mailbox
from connector.mappings import Country

Permission = Literal["granted", "denied", "prompt"]
"""What the browser's Permissions API says of geolocation."""
Accuracy = Literal["precise", "approximate", "coarse", "unknown"]


class Carrier(StrEnum):
    """Who carries the calls of a number. Dynamics says "direct offer" for a Microsoft calling-plan number."""

    CALLING_PLAN = "calling plan"
    DIRECT_ROUTING = "direct routing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PhoneNumber:
    """A phone number of Dynamics (E.164 where it could be read). `outbound`: it is active and may make calls."""

    number: str
    outbound: bool
    carrier: Carrier
    active: bool = True

    def __str__(self) -> str:
        state = f"Make calls {'on' if self.outbound else 'off'}" if self.active else "Inactive"
        return f"number {self.number} ({self.carrier}, {state})"


@dataclass(frozen=True)
class OutboundProfile:
    """A voice outbound profile: an outbound work stream with a voice channel, and the channel's number.

    `direction` is the work stream's, as people know it. `has_channel` counts active channels only.
    """

    name: str
    active: bool
    outbound: bool
    voice: bool
    has_channel: bool
    number: PhoneNumber | None
    direction: str = ""
    inactive_channels: int = 0

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
class LocationCheck:
    """What an agent's browser said of its location, and when. The coordinates themselves are kept nowhere.

    `country`: the supported country it was in, or None; `country_told`: the code that was found or given.
    """

    at: datetime
    permission: Permission
    accuracy: Accuracy
    country: Country | None
    country_told: str
    expired: bool


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
    email: str = ""
    location_check: LocationCheck | None = None
    address_elsewhere: str = ""
    """The country of the address, where it is not a supported one."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What a template may name of the agent."""

    @property
    def number(self) -> PhoneNumber | None:
        """The number that the agent calls from: their own if it can make calls, else the first working profile's."""
        if self.personal_number and self.personal_number.outbound:
            return self.personal_number
        tied = (outbound for profile in self.profiles if profile.active for outbound in profile.outbound_profiles)
        return next((outbound.number for outbound in tied if outbound.works), None)


@dataclass(frozen=True, eq=False)
class AcsFacts:
    """What the ACS resource owns and how it routes; `purchased` by number (E.164).

    Equal only to itself, so that what follows from it can be remembered for all agents of a run.
    """

    purchased: Mapping[str, PurchasedNumber]
    routing: Routing


@dataclass(frozen=True)
class TemplateFacts:
    """Subject and body of the notification template (XSLT or HTML), and how its XSLT names the agent."""

    title: str
    subject: str
    body: str
    entity: str


@dataclass(frozen=True)
class StepFacts:
    """A webhook step in Dataverse on one of our messages, and its failed deliveries of late."""

    name: str
    event: str
    enabled: bool
    failures: int = 0
    last_failure: str = ""
    host: str = ""
    """Where it leads."""


@dataclass(frozen=True)
class WebhookFacts:
    """The webhook steps as Dataverse lists them. `refused`: why they could not be read, empty if they could."""

    steps: tuple[StepFacts, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class TableState:
    """How the directory stands with one table: when it was last read whole or brought up to date, and what it lacks."""

    name: str
    completed_at: datetime | None
    problems: tuple[tuple[str, str], ...] = ()
    """What the sync met: its code, and what it says."""
    key: str = ""
    """The connector's own name of it."""


@dataclass(frozen=True)
class OrganisationFacts:
    """What concerns every agent alike. None: not looked at, so not judged."""

    acs: AcsFacts
    now: datetime
    template_title: str
    template: TemplateFacts | None = None
    pool: Mapping[str, tuple[int, int]] | None = None
    """By country: callback numbers, and how many of them are free."""
    sender: str | None = None
    fallback_recipients: bool | None = None
    webhook: WebhookFacts | None = None
    tables: tuple[TableState, ...] = ()
    left_to_dynamics: frozenset[str] = frozenset()
    """Steps that the settings switch off."""
    public_host: str = ""
    """The service's own, as Dataverse reaches it."""

    @cached_property
    def unread(self) -> dict[str, str]:
        """How people know each table that was never read whole, by the connector's name of it."""
        return {table.key: table.name for table in self.tables if table.completed_at is None}


@dataclass(frozen=True)
class ValidationContext:
    """What a validation knows besides the directory; the defaults judge the directory alone."""

    now: datetime
    template_title: str = "Emergency Call Notification Template"
    location_days: int = 30
    pool: Mapping[str, tuple[int, int]] | None = None
    sender: str | None = None
    fallback_recipients: bool | None = None
    webhook: WebhookFacts | None = None
    left_to_dynamics: frozenset[str] = frozenset()
    public_host: str = ""

    @property
    def location_valid_for(self) -> timedelta:
        return timedelta(days=self.location_days)
