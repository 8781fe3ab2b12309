"""The state of one agent's emergency, and what `decide` may know besides. All times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True)
class Call:
    """One emergency call. `dialled_at` is None while only its end has been announced (webhooks arrive in any order)."""

    id: str
    agent_id: str
    dialled: str | None = None
    country: str | None = None
    location: str | None = None
    drill: bool = False
    agent_identity: str | None = None
    """Whom a callback is redirected to: an ACS identity ("8:acs:…") or a phone number (E.164)."""
    platform_number: str | None = None
    """Callback number that the platform assigned itself, where the announcement carried one."""
    dialled_at: datetime | None = None
    ended_at: datetime | None = None
    end_cause: str | None = None

    @property
    def is_open(self) -> bool:
        return self.dialled_at is not None and self.ended_at is None


@dataclass(frozen=True)
class Lease:
    """A callback number that is one agent's until `expires_at`.

    `source` is "pool" for a number that the ACS resource owns and we assigned, "platform" for one that the
    announcement carried. ACS itself has no lease: this is our record.
    """

    id: str
    number: str
    source: Literal["pool", "platform"]
    taken_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class AgentState:
    """Everything remembered about one agent from the first dial until the window closes; then nothing is."""

    agent_id: str
    calls: tuple[Call, ...] = ()
    leases: tuple[Lease, ...] = ()
    window_ends_at: datetime | None = None
    prior_presence_id: str | None = None
    """The presence to go back to: as last synced until the first dial's effect has looked, None if none is known."""

    def call(self, call_id: str) -> Call | None:
        return next((call for call in self.calls if call.id == call_id), None)

    @property
    def open_calls(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.is_open)

    @property
    def lease(self) -> Lease | None:
        """The number that recipients are told now: the latest."""
        return self.leases[-1] if self.leases else None


@dataclass(frozen=True)
class Policy:
    """What the organisation chose."""

    window: timedelta = timedelta(minutes=60)
    after_call: timedelta = timedelta(minutes=15)
    guardian: timedelta = timedelta(minutes=240)
    second_channel: timedelta = timedelta(seconds=30)
    give_up: timedelta = timedelta(hours=24)
    excluded_steps: frozenset[str] = frozenset()

    def does(self, step: str) -> bool:
        return step not in self.excluded_steps


@dataclass(frozen=True)
class Facts:
    """What the directory and the pool say at this moment."""

    recipients: tuple[str, ...] = ()
    """Whom to tell of this agent's call: theirs, or the organisation's fallback. Valid addresses, each once."""
    agent_known: bool = True
    mailbox_ready: bool = False
    """Whether Dataverse could send from the agent's mailbox, the second channel."""
    free_number: str | None = None
    platform_number_taken: bool = False
    """Whether another agent holds the number that the announcement carries."""
    redirect_target: str | None = None
    """Where a callback goes if no announcement named an identity: the agent's own number."""
    presence_id: str | None = None
    """The agent's presence as last synced."""
    unfinished: bool = False
    """Whether effects of this agent's calls are still to be done."""
