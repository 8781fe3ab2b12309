"""What must be done, as data: stored with the state that asked for it, performed later, safe to perform twice.

The id of an effect is derived from the call, its kind and its `key_fields`. The same decision taken twice therefore
asks for the same effect once, and a message keeps its operation id over every retry and restart.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter

_NAMESPACE = uuid.UUID("5d0f6c3e-911a-4112-9990-0e1c0a11ab1e")


def derive_id(*parts: str) -> str:
    """A UUID that is the same for the same parts, for ever."""
    # JSON can carry halves of surrogate pairs, which UTF-8 cannot.
    name = "/".join(parts).encode("utf-8", "backslashreplace").decode()
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(frozen=True)
class SetDoNotDisturb:
    """Step 2: the agent's presence becomes Do not disturb, and the one before is remembered."""

    call_id: str
    kind: Literal["set_do_not_disturb"] = "set_do_not_disturb"
    key_fields: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class RestorePresence:
    """Step 8: the agent's presence goes back to what it was before the first open call."""

    call_id: str
    kind: Literal["restore_presence"] = "restore_presence"
    key_fields: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Notify:
    """Step 7: one message through ACS Email to at most 50 recipients.

    After `give_up_at` the other channel has its turn. `attempt` counts the times that this one was chosen.
    """

    call_id: str
    reason: Literal["dialled", "number"]
    part: int
    recipients: tuple[str, ...]
    give_up_at: datetime
    attempt: int = 1
    kind: Literal["notify"] = "notify"
    key_fields: ClassVar[tuple[str, ...]] = (
        "reason",
        "part",
        "attempt",
    )


@dataclass(frozen=True)
class SendFromMailbox:
    """Step 7 by the second channel: Dataverse sends the message from the agent's mailbox."""

    call_id: str
    reason: Literal["dialled", "number"]
    part: int
    recipients: tuple[str, ...]
    give_up_at: datetime
    attempt: int = 1
    first_refused: bool = False
    """Whether ACS Email refused the message for good, so that it need not be asked again."""
    kind: Literal["send_from_mailbox"] = "send_from_mailbox"
    key_fields: ClassVar[tuple[str, ...]] = ("reason", "part", "attempt")


@dataclass(frozen=True)
class Redirect:
    """Step 4: a responder who calls back is put through to the agent. Pointless after `give_up_at`: it rings 30 s."""

    call_id: str
    event_id: str
    context: str
    target: str
    give_up_at: datetime
    kind: Literal["redirect"] = "redirect"
    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)


@dataclass(frozen=True)
class LookUpAgent:
    """Ask Dataverse for an agent that the directory does not know, within a small time budget."""

    call_id: str
    kind: Literal["look_up_agent"] = "look_up_agent"
    key_fields: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class CloseWindow:
    """At `due`: release the number and forget the calls, if nothing speaks against it."""

    call_id: str
    due: datetime
    kind: Literal["close_window"] = "close_window"
    key_fields: ClassVar[tuple[str, ...]] = ("due",)


@dataclass(frozen=True)
class GuardCall:
    """At `due`: close the call if its end was never announced."""

    call_id: str
    due: datetime
    kind: Literal["guard_call"] = "guard_call"
    key_fields: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class OfferNumbers:
    """Give freed numbers to agents who have been waiting for one."""

    call_id: str
    freed: str
    kind: Literal["offer_numbers"] = "offer_numbers"
    key_fields: ClassVar[tuple[str, ...]] = ("freed",)


@dataclass(frozen=True)
class ReadAnnouncement:
    """Read an announcement's row again: its context did not carry all the parts. At `until`, go on without them."""

    call_id: str
    event: Literal["dialled", "ended"]
    table: str
    row_id: str
    until: datetime
    kind: Literal["read_announcement"] = "read_announcement"
    key_fields: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class DeleteSentEmail:
    """At `due`: delete the e-mail row that the second channel left in Dataverse, since no history is kept."""

    call_id: str
    email_id: str
    due: datetime
    kind: Literal["delete_sent_email"] = "delete_sent_email"
    key_fields: ClassVar[tuple[str, ...]] = ("email_id",)


@dataclass(frozen=True)
class TellAdministrators:
    """Tell the administrators what a validation found. No call is concerned: `call_id` is the validation's id."""

    call_id: str
    recipients: tuple[str, ...]
    give_up_at: datetime
    kind: Literal["tell_administrators"] = "tell_administrators"
    key_fields: ClassVar[tuple[str, ...]] = ()


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
