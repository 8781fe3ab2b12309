"""Events and who wants them: envelopes, subscriptions with their filters, what became of a delivery."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

INCOMING_CALL = "Microsoft.Communication.IncomingCall"
Schema = Literal["EventGridSchema", "CloudEventSchemaV1_0"]
GRID: Schema = "EventGridSchema"
CLOUD: Schema = "CloudEventSchemaV1_0"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """One event, before it is put into an envelope; `topic` is the resource that it comes from."""

    type: str
    subject: str
    data: Mapping[str, Any]
    time: datetime
    topic: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def envelope(self, schema: Schema) -> dict[str, Any]:
        """The event as a subscription of that schema gets it."""
        if schema == CLOUD:
            return {
                "id": self.id,
                "source": self.topic,
                "subject": self.subject,
                "data": dict(self.data),
                "type": self.type,
                "specversion": "1.0",
                "time": event_time(self.time),
            }
        return {
            "id": self.id,
            "topic": self.topic,
            "subject": self.subject,
            "data": dict(self.data),
            "eventType": self.type,
            "dataVersion": "1.0",
            "metadataVersion": "1",
            "eventTime": event_time(self.time),
        }


@dataclass
class Subscription:
    """Who gets which events, how, and how often it is tried."""

    url: str
    topic: str
    event_types: frozenset[str] | None
    # Path in the event (e.g. data.to.PhoneNumber.Value) to the texts it may begin with; names without case.
    begins_with: Mapping[str, tuple[str, ...]]
    schema: Schema
    max_attempts: int
    time_to_live: timedelta
    headers: Mapping[str, str]
    name: str
    created: datetime
    code: str = field(default_factory=lambda: str(uuid.uuid4()))
    validated: bool = False
    # While the endpoint looks unhealthy, new events wait as well.
    unhealthy_until: datetime | None = None

    def wants(self, event: Event) -> bool:
        """Whether the filters let an event through."""
        if not self.validated or (self.event_types is not None and event.type not in self.event_types):
            return False
        envelope = event.envelope(self.schema)
        return all(_value(envelope, path).startswith(starts) for path, starts in self.begins_with.items())


@dataclass(frozen=True)
class Attempt:
    """One delivery that was tried; status None means that no answer came."""

    subscription: str
    event_ids: tuple[str, ...]
    at: datetime
    number: int
    status: int | None


@dataclass(frozen=True)
class DeadLetter:
    """An event that was given up, and why; `reason` uses the words of dead-letter events."""

    subscription: str
    event: Event
    attempts: int
    last_status: int | None
    reason: str


@dataclass
class Disorder:
    """What an endpoint must bear; all off by default.

    `batch` events go into one request, `duplicates` are sent after a success, `reverse` sends the newest first. The
    last two need events that come together: `gather_seconds` is how long an event waits for others.
    """

    duplicates: int = 0
    reverse: bool = False
    batch: int = 1
    gather_seconds: float = 0.0
    # Jitter of the retry schedule, as a share of each interval; its size is not documented.
    jitter: float = 0.1
    # How long new events wait after a failed delivery ("in some cases up to several hours").
    unhealthy_seconds: float = 0.0
    answer_seconds: float = ANSWER_SECONDS


def event_time(moment: datetime) -> str:
    """A time as events carry it: seven decimals and a Z (samples of the eventgrid contracts)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _value(envelope: object, path: str) -> str:
    """The text at a path of the event, names compared without case; empty where there is none."""
    for name in path.lower().split("."):
        if not isinstance(envelope, dict):
            return ""
        envelope = next((value for key, value in envelope.items() if key.lower() == name), None)
    return envelope if isinstance(envelope, str) else ""
