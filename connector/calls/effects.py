"""What must be done, as data: stored with the state that asked for it, performed later, safe to perform twice.

The id of an effect is derived from the call, its kind and its `key_fields`. The same decision taken twice therefore
asks for the same effect once, and a message keeps its operation id over every retry and restart.

To add one: its class here, asked for in `decide.py`, performed by a module of `connector/effects/`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, TypeAdapter

Reason = Literal["dialled", "number"]
"""Why people are told: a call was dialled, or a number came free for one that had none."""
_NAMESPACE = uuid.UUID("5d0f6c3e-911a-4112-9990-0e1c0a11ab1e")


def derive_id(*parts: str) -> str:
    """A UUID that is the same for the same parts, for ever."""
    # JSON can carry halves of surrogate pairs, which UTF-8 cannot.
    name = "/".join(parts).encode("utf-8", "backslashreplace").decode()
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True)
class Pool:
    """Threads that perform effects which wait for the same thing. One that hangs holds up only what needs it."""

    name: str
    threads: int


MESSAGES = Pool("messages", 48)
MAILBOX = Pool("mailbox", 16)
PRESENCE = Pool("presence", 16)
CALLBACKS = Pool("callbacks", 16)
INQUIRIES = Pool("inquiries", 16)
TIMERS = Pool("timers", 8)
TIDYING = Pool("tidying", 2)
GIVE_UP = timedelta(hours=24)


class Asked:
    """What the outbox and the worker need to know of a kind, with what holds for most kinds."""

    pool: ClassVar[Pool]
    key_fields: ClassVar[tuple[str, ...]] = ()
    in_lane: ClassVar[bool] = False
    """Whether those of one agent are performed one after the other, in the order in which they were asked for."""
    holds_up_forgetting: ClassVar[bool] = True
    """Whether an agent's calls are kept beyond their window until it is done."""
    patient: ClassVar[bool] = False
    """Whether it may be put off as long as a service, or it itself, asks for: nobody waits for it."""

    def starts_at(self, asked_at: datetime) -> datetime:
        """When it may be performed first."""
        return asked_at

    def ends_at(self, asked_at: datetime) -> datetime:
        """When it is given up if it has not succeeded."""
        return asked_at + GIVE_UP


class _Due(Asked):
    due: datetime

    def starts_at(self, asked_at: datetime) -> datetime:  # noqa: ARG002 (a signature of `Asked`)
        return self.due


class _Urgent(Asked):
    give_up_at: datetime

    def ends_at(self, asked_at: datetime) -> datetime:  # noqa: ARG002 (a signature of `Asked`)
        return self.give_up_at


@dataclass(frozen=True)
class SetDoNotDisturb(Asked):
    """Step 2: the agent's presence becomes Do not disturb, and the one before is remembered."""

    call_id: str
    first: bool = False
    """Whether the presence before was remembered with this dial, as last synced: then it is checked first."""
    kind: Literal["set_do_not_disturb"] = "set_do_not_disturb"
    pool: ClassVar[Pool] = PRESENCE
    in_lane: ClassVar[bool] = True


@dataclass(frozen=True)
class RestorePresence(Asked):
    """Step 8: the agent's presence goes back to what it was before the first open call."""

    call_id: str
    kind: Literal["restore_presence"] = "restore_presence"
    pool: ClassVar[Pool] = PRESENCE
    in_lane: ClassVar[bool] = True


@dataclass(frozen=True)
class Notify(_Urgent):
    """Step 7: one message through ACS Email to at most 50 recipients.

    After `give_up_at` the other channel has its turn. `attempt` counts the times that this one was chosen.
    """

    call_id: str
    reason: Reason
    part: int
    recipients: tuple[str, ...]
    give_up_at: datetime
    attempt: int = 1
    kind: Literal["notify"] = "notify"
    pool: ClassVar[Pool] = MESSAGES
    key_fields: ClassVar[tuple[str, ...]] = ("reason", "part", "attempt")


@dataclass(frozen=True)
class SendFromMailbox(_Urgent):
    """Step 7 by the second channel: Dataverse sends the message from the agent's mailbox."""

    call_id: str
    reason: Reason
    part: int
    recipients: tuple[str, ...]
    give_up_at: datetime
    attempt: int = 1
    first_refused: bool = False
    """Whether ACS Email refused the message for good, so that it need not be asked again."""
    kind: Literal["send_from_mailbox"] = "send_from_mailbox"
    pool: ClassVar[Pool] = MAILBOX
    key_fields: ClassVar[tuple[str, ...]] = ("reason", "part", "attempt")


@dataclass(frozen=True)
class Redirect(_Urgent):
    """Step 4: a responder who calls back is put through to the agent. Pointless after `give_up_at`: it rings 30 s."""

    call_id: str
    event_id: str
    context: str
    target: str
    give_up_at: datetime
    kind: Literal["redirect"] = "redirect"
    pool: ClassVar[Pool] = CALLBACKS
    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)


@dataclass(frozen=True)
class LookUpAgent(Asked):
    """Ask Dataverse for an agent that the directory does not know, within a small time budget."""

    call_id: str
    kind: Literal["look_up_agent"] = "look_up_agent"
    pool: ClassVar[Pool] = INQUIRIES


@dataclass(frozen=True)
class CloseWindow(_Due):
    """At `due`: release the number and forget the calls, if nothing speaks against it."""

    call_id: str
    due: datetime
    kind: Literal["close_window"] = "close_window"
    pool: ClassVar[Pool] = TIMERS
    holds_up_forgetting: ClassVar[bool] = False
    patient: ClassVar[bool] = True
    key_fields: ClassVar[tuple[str, ...]] = ("due",)


@dataclass(frozen=True)
class GuardCall(_Due):
    """At `due`: close the call if its end was never announced."""

    call_id: str
    due: datetime
    kind: Literal["guard_call"] = "guard_call"
    pool: ClassVar[Pool] = TIMERS
    holds_up_forgetting: ClassVar[bool] = False
    patient: ClassVar[bool] = True


@dataclass(frozen=True)
class OfferNumbers(Asked):
    """Give freed numbers to agents who have been waiting for one."""

    call_id: str
    freed: str
    kind: Literal["offer_numbers"] = "offer_numbers"
    pool: ClassVar[Pool] = TIMERS
    holds_up_forgetting: ClassVar[bool] = False
    patient: ClassVar[bool] = True
    key_fields: ClassVar[tuple[str, ...]] = ("freed",)


@dataclass(frozen=True)
class ReadAnnouncement(Asked):
    """Read an announcement's row again: its context did not carry all the parts. At `until`, go on without them."""

    call_id: str
    event: Literal["dialled", "ended"]
    table: str
    row_id: str
    until: datetime
    message: str = ""
    """The Dataverse message that announced it; with `table` and `event` it names the mapping to read the row by."""
    kind: Literal["read_announcement"] = "read_announcement"
    pool: ClassVar[Pool] = INQUIRIES


@dataclass(frozen=True)
class DeleteSentEmail(_Due):
    """At `due`: delete the e-mail row that the second channel left in Dataverse, since no history is kept.

    `unsent`: even if it has not been sent, since the other channel took the message, or it would be too late.
    """

    call_id: str
    email_id: str
    due: datetime
    unsent: bool = False
    kind: Literal["delete_sent_email"] = "delete_sent_email"
    pool: ClassVar[Pool] = TIDYING
    patient: ClassVar[bool] = True
    key_fields: ClassVar[tuple[str, ...]] = ("email_id", "due")


@dataclass(frozen=True)
class TellAdministrators(_Urgent):
    """Tell the administrators what a validation found. No call is concerned: `call_id` is the validation's id."""

    call_id: str
    recipients: tuple[str, ...]
    give_up_at: datetime
    kind: Literal["tell_administrators"] = "tell_administrators"
    pool: ClassVar[Pool] = TIDYING
    patient: ClassVar[bool] = True


Effect = (
    SetDoNotDisturb
    | RestorePresence
    | Notify
    | SendFromMailbox
    | Redirect
    | LookUpAgent
    | CloseWindow
    | GuardCall
    | OfferNumbers
    | ReadAnnouncement
    | DeleteSentEmail
    | TellAdministrators
)

KINDS: dict[str, type[Effect]] = {kind.kind: kind for kind in get_args(Effect)}
POOLS: tuple[Pool, ...] = tuple(dict.fromkeys(kind.pool for kind in KINDS.values()))
_codec: TypeAdapter[Effect] = TypeAdapter(Annotated[Effect, Field(discriminator="kind")])


def effect_id(effect: Effect) -> str:
    """The id under which an effect is stored."""
    return derive_id(effect.call_id, effect.kind, *(str(getattr(effect, field)) for field in effect.key_fields))


def operation_id(effect: Notify | SendFromMailbox) -> str:
    """The id under which a service knows a message: one for each channel, however often that channel is tried."""
    return derive_id(effect.call_id, effect.kind, effect.reason, str(effect.part))


def to_json(effect: Effect) -> Any:
    """The effect as plain JSON data, for the store."""
    return _codec.dump_python(effect, mode="json")


def from_json(data: Any) -> Effect:
    """The effect that `to_json` wrote."""
    return _codec.validate_python(data, strict=False)
