"""What can happen to an agent's emergency. `at` is when we learned of it, by our clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.calls.effects import Effect


@dataclass(frozen=True)
class Dialled:
    """An agent dialled an emergency or test number. `dialled_at` is the announcer's time, if a plausible one."""

    agent_id: str
    call_id: str
    at: datetime
    dialled: str | None = None
    dialled_at: datetime | None = None
    country: str | None = None
    location: str | None = None
    drill: bool = False
    callback_number: str | None = None
    agent_identity: str | None = None
    agent_named: bool = True
    """False where the announcement could not be read as far as the agent: the alarm goes out all the same."""


@dataclass(frozen=True)
class Ended:
    """A call is over. Without a `call_id`: the calls of the agent that were open at `ended_at`.

    `ended_at` is the announcer's time, if a plausible one; `delivery` tells the announcement from others.
    """

    agent_id: str
    call_id: str | None
    at: datetime
    ended_at: datetime | None = None
    delivery: str | None = None


@dataclass(frozen=True)
class CallOverdue:
    """The end of a call was not announced within the guardian's time."""

    agent_id: str
    call_id: str
    at: datetime


@dataclass(frozen=True)
class AgentLookedUp:
    """An agent that the directory did not know has been asked for in Dataverse; the facts say with what result."""

    agent_id: str
    call_id: str
    at: datetime


@dataclass(frozen=True)
class CallbackArrived:
    """Somebody calls a leased number. `context` is what Event Grid handed over to route the call with; opaque."""

    agent_id: str
    number: str
    event_id: str
    context: str
    at: datetime


@dataclass(frozen=True)
class NumberFreed:
    """A number may be free for an agent who has been waiting for one."""

    agent_id: str
    at: datetime


@dataclass(frozen=True)
class LeaseExpired:
    """The window of the agent's calls should be over."""

    agent_id: str
    at: datetime


@dataclass(frozen=True)
class EffectFailed:
    """An effect did not succeed in its time, or was `refused`: then it never will."""

    agent_id: str
    effect: Effect
    at: datetime
    refused: bool = False


Event = Dialled | Ended | CallOverdue | AgentLookedUp | CallbackArrived | NumberFreed | LeaseExpired | EffectFailed
