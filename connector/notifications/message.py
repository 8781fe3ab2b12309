"""Composes the message of an emergency call. Pure: facts in, subject and texts out.

Whatever the template says, the message names what 47 CFR 9.3 asks of a notification: that an emergency call has been
made, the callback number, and the location; what is not known is said to be unknown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.calls.effects import Reason
from connector.errors import BadData
from connector.notifications.plain import encodable, plain
from connector.notifications.template import Data, render

CALL_ENTITY = "emergencycall"
"""Templates may name the call itself: /data/emergencycall/callbacknumber and the other rows of the standard block."""

DRILL = "A DRILL. No emergency: a test number was dialled."


@dataclass(frozen=True)
class Notice:
    """What a message tells. Times in UTC; numbers in E.164."""

    reason: Reason
    drill: bool
    agent_name: str | None
    agent_number: str | None
    agent_attributes: Mapping[str, str]
    dialled: str | None
    dialled_at: datetime | None
    location: str | None
    country: str | None
    callback_number: str | None
    callback_until: datetime | None


@dataclass(frozen=True)
class Message:
    """A message ready to be sent, to whomever. `shortfalls` name what the template could not give."""

    subject: str
    plain: str
    html: str
    shortfalls: tuple[str, ...] = ()


def compose(notice: Notice, subject: str, body: str, *, entity: str) -> Message:
    """The message from the template's subject and body (either may be empty: then a standard text takes its place).

    `entity` is how the template names the agent. Never raises: a broken template degrades the message, no more.
    """
    block = _block(notice)
    data: Data = {entity: notice.agent_attributes, CALL_ENTITY: {name: value for name, _, value in block}}
    shortfalls = [] if subject or body else ["template_missing"]
    head, head_is_whole = _rendered(subject, data, escape=False)
    text, body_is_whole = _rendered(body, data, escape=True)
    if not (head_is_whole and body_is_whole):
        shortfalls.append("template_broken")
    if not text.strip():
        text = f"<p>{html.escape(_one_line(_opening(notice)))}</p>"
    if notice.drill:
        text = f"<p><strong>{DRILL}</strong></p>{text}"
    read = plain(text)
    if not _names_all(read, notice):
        text, read = _with_block(text, block)
    return Message(_one_line(_subject(head, notice)), read, text, tuple(shortfalls))


def _rendered(template: str, data: Data, *, escape: bool) -> tuple[str, bool]:
    """What a template says, and whether it could be rendered."""
    try:
        return encodable(render(template, data, escape=escape)) if template else "", True
    except BadData:
        return "", False


def _one_line(text: str) -> str:
    return " ".join(encodable(text).split())


def _opening(notice: Notice) -> str:
    who = _one_line(notice.agent_name or "") or "An agent"
    return f"{who} has dialled {notice.dialled or 'an emergency number'}."


def _subject(head: str, notice: Notice) -> str:
    told = head.strip() or f"Emergency call: {_opening(notice).removesuffix('.')}"
    if notice.reason == "number":
        told = f"Callback number now available - {told}"
    return f"[Drill] {told}" if notice.drill else told


def _block(notice: Notice) -> list[tuple[str, str, str]]:
    """The standard block: name for templates, label for people, value on one line."""
    rows = (
        ("kind", "What", DRILL if notice.drill else "Emergency call"),
        ("agent", "Who called", notice.agent_name or "unknown: the announcement named no agent that is known here"),
        ("diallednumber", "Number dialled", notice.dialled or "unknown"),
        ("dialledon", "Dialled at", _time(notice.dialled_at) if notice.dialled_at else "unknown"),
        ("callbacknumber", "Callback number", _callback(notice)),
        ("location", "Location", notice.location or "unknown: none was announced. Ask the caller."),
        ("country", "Country", notice.country or "unknown"),
    )
    return [(name, label, _one_line(value)) for name, label, value in rows]


def _callback(notice: Notice) -> str:
    if notice.callback_number:
        until = f" (reaches the agent at least until {_time(notice.callback_until)})" if notice.callback_until else ""
        return f"{notice.callback_number}{until}"
    own = f" Agent's own number: {notice.agent_number}" if notice.agent_number else ""
    return f"none free at the moment.{own}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _names_all(read: str, notice: Notice) -> bool:
    """Whether a rendered template, as it is read, itself tells callback number and location."""
    wanted = (notice.callback_number, notice.location)
    return all(value and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", read) for value in wanted)


def _with_block(text: str, block: list[tuple[str, str, str]]) -> tuple[str, str]:
    """The text with the standard block at its end; in front of a text whose faults would swallow it.

    As it is, and as it is read.
    """
    rows = "".join(
        f'<tr><th align="left" style="padding:2px 12px 2px 0">{label}</th><td>{html.escape(value)}</td></tr>'
        for _, label, value in block
    )
    table = f'<hr><table role="presentation" style="font-family:sans-serif">{rows}</table>'
    ends = [match.start() for match in re.finditer("</body>", text, re.IGNORECASE)]
    joined = text[: ends[-1]] + table + text[ends[-1] :] if ends else text + table
    read = plain(joined)
    if all(f"{label}: {value}" in read for _, label, value in block):
        return joined, read
    return table + text, plain(table + text)


def for_acs(message: Message, sender: str, recipients: tuple[str, ...]) -> dict[str, Any]:
    """The message in the form of ACS Email, marked as of the highest priority, without tracking of readers."""
    return {
        "senderAddress": sender,
        "content": {"subject": message.subject, "plainText": message.plain, "html": message.html},
        "recipients": {"to": [{"address": address} for address in recipients]},
        "headers": {"x-priority": "1"},
        "userEngagementTrackingDisabled": True,
    }
