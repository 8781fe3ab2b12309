"""Composes the message of an emergency call. Pure: facts in, subject and texts out.

Whatever the template says, the message names what 47 CFR 9.3 asks of a notification: that an emergency call has been
made, the callback number, and the location; what is not known is said to be unknown.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lxml import html as parsed_html

from connector.errors import BadData
from connector.notifications.template import Data, render

CALL_ENTITY = "emergencycall"
"""Templates may name the call itself: /data/emergencycall/callbacknumber and the other rows of the standard block."""


@dataclass(frozen=True)
class Notice:
    """What a message tells. Times in UTC; numbers in E.164."""

    reason: Literal["dialled", "number"]
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
    shortfalls = []
    head = text = ""
    try:
        head = " ".join(render(subject, data, escape=False).split()) if subject else ""
        text = render(body, data, escape=True) if body else ""
    except BadData:
        shortfalls.append("template_broken")
    if not (subject or body):
        shortfalls.append("template_missing")
    if not text.strip():
        text = f"<p>{html.escape(_opening(notice))}</p>"
    if not _names_all(text, notice):
        text = _joined(text, _block_html(block))
    return Message(_subject(head, notice), _plain(text), text, tuple(shortfalls))


def _opening(notice: Notice) -> str:
    who = notice.agent_name or "An agent"
    return f"{who} has dialled {notice.dialled or 'an emergency number'}."


def _subject(head: str, notice: Notice) -> str:
    told = head or f"Emergency call: {_opening(notice).removesuffix('.')}"
    if notice.reason == "number":
        told = f"Callback number now available - {told}"
    return f"[Drill] {told}" if notice.drill else told


def _block(notice: Notice) -> list[tuple[str, str, str]]:
    """The standard block: name for templates, label for people, value."""
    return [
        ("kind", "What", "A DRILL. No emergency: a test number was dialled." if notice.drill else "Emergency call"),
        ("agent", "Who called", notice.agent_name or "unknown: the announcement named no agent that is known here"),
        ("diallednumber", "Number dialled", notice.dialled or "unknown"),
        ("dialledon", "Dialled at", _time(notice.dialled_at) if notice.dialled_at else "unknown"),
        ("callbacknumber", "Callback number", _callback(notice)),
        ("location", "Location", notice.location or "unknown: none was announced. Ask the caller."),
        ("country", "Country", notice.country or "unknown"),
    ]


def _callback(notice: Notice) -> str:
    if notice.callback_number:
        until = f" (reaches the agent at least until {_time(notice.callback_until)})" if notice.callback_until else ""
        return f"{notice.callback_number}{until}"
    own = f" Agent's own number: {notice.agent_number}" if notice.agent_number else ""
    return f"none free at the moment.{own}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _names_all(text: str, notice: Notice) -> bool:
    """Whether a rendered template itself tells callback number and location."""
    plain = _plain(text)
    wanted = (notice.callback_number, notice.location)
    return all(value is not None and value in plain for value in wanted)


def _block_html(block: list[tuple[str, str, str]]) -> str:
    rows = "".join(
        f'<tr><th align="left" style="padding:2px 12px 2px 0">{label}</th><td>{html.escape(value)}</td></tr>'
        for _, label, value in block
    )
    return f'<hr><table role="presentation" style="font-family:sans-serif">{rows}</table>'


def _joined(text: str, block: str) -> str:
    """The block inside the body of a whole document, or simply behind a fragment."""
    end = text.lower().rfind("</body>")
    return text + block if end < 0 else text[:end] + block + text[end:]


def _plain(text: str) -> str:
    """The text of an HTML message for readers without HTML: one line a block."""
    try:
        tree = parsed_html.fragment_fromstring(text, create_parent="div")
    except (parsed_html.etree.ParserError, ValueError):
        return text
    for element in tree.iter("style", "script", "head"):
        element.drop_tree() if element.getparent() is not None else None
    for element in tree.iter("th"):
        element.tail = ": " + (element.tail or "")
    for element in tree.iter("br", "p", "div", "tr", "hr", "li"):
        element.tail = "\n" + (element.tail or "")
    lines = (" ".join(line.split()) for line in str(tree.text_content()).splitlines())
    return "\n".join(line for line in lines if line)


def for_acs(message: Message, sender: str, recipients: tuple[str, ...]) -> dict[str, Any]:
    """The message in the form of ACS Email, marked as of the highest priority, without tracking of readers."""
    return {
        "senderAddress": sender,
        "content": {"subject": message.subject, "plainText": message.plain, "html": message.html},
        "recipients": {"to": [{"address": address} for address in recipients]},
        "headers": {"x-priority": "1"},
        "userEngagementTrackingDisabled": True,
    }
