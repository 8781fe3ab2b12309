"""Reads what is announced about a call, from whichever sender, into one form: an `Announcement`.

The part names come from `mappings/events.toml`. Whatever cannot be read is left out and named in `problems`; only the
agent is needed to act fully, and even without them the alarm goes out.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from connector.announcements.remote_context import NOBODY, RemoteContext, text, time
from connector.e164 import e164
from connector.mappings import EventMapping

LONGEST_LOCATION, LONGEST_IDENTITY = 2000, 300


@dataclass(frozen=True)
class Announcement:
    """A dial or an end, as announced. Every part but `kind` and `source` may be missing."""

    kind: Literal["dialled", "ended"]
    source: str
    """Names the sender's operation, to tell two announcements apart that carry no call id."""
    agent_id: str | None = None
    call_key: str | None = None
    dialled: str | None = None
    at: datetime | None = None
    country: str | None = None
    location: str | None = None
    callback_number: str | None = None
    agent_identity: str | None = None
    problems: tuple[str, ...] = ()


def from_context(context: RemoteContext, mapping: EventMapping) -> Announcement | None:
    """Reads a webhook's context. None: a change of the row that announces nothing."""
    parts: Mapping[str, Any] = context.attributes if mapping.table else context.parameters
    if mapping.when and text(parts.get(mapping.when)) is None:
        return None
    values: dict[str, Any] = {name: parts.get(column) for name, column in mapping.parts.items()}
    if mapping.table:  # the row's own id is not always among its attributes
        values = {**values, "call_key": values.get("call_key") or context.row_id}
    return from_parts(mapping.event, context.operation, values)


def from_row(mapping: EventMapping, row: Mapping[str, Any], row_id: str) -> Announcement | None:
    """Reads a row of the Web API, where lookups are named `_column_value`. None: it announces nothing."""
    if mapping.when and row and text(row.get(mapping.when)) is None:
        return None
    values: dict[str, Any] = {
        name: row.get(column, row.get(f"_{column}_value")) for name, column in mapping.parts.items()
    }
    return from_parts(mapping.event, row_id, {**values, "call_key": values.get("call_key") or row_id})


def from_parts(kind: str, source: str, values: Mapping[str, Any]) -> Announcement:
    """Reads parts by our own names, whatever their shapes."""
    problems = []

    def read(name: str, reader: Any) -> Any:
        raw = values.get(name)
        result = None if raw is None else reader(raw)
        if raw not in (None, "") and result is None:
            problems.append(name)
        return result

    agent_id = read("agent_id", _guid)
    if agent_id is None and "agent_id" not in problems:
        problems.append("agent_id")
    return Announcement(
        kind="ended" if kind == "ended" else "dialled",
        source=source,
        agent_id=agent_id,
        call_key=read("call_key", _key),
        dialled=read("dialled", _dialled),
        at=read("at", time),
        country=read("country", _country),
        location=read("location", _location),
        callback_number=read("callback_number", lambda raw: e164(text(raw))),
        agent_identity=read("agent_identity", _identity),
        problems=tuple(problems),
    )


def _guid(raw: Any) -> str | None:
    try:
        found = uuid.UUID(text(raw) or "")
    except ValueError:
        return None
    # The zero GUID is an unset one, not an agent.
    return str(found) if found.int else None


def _key(raw: Any) -> str | None:
    """The announcer's id of a call; an id that was never set would make all calls one."""
    key = text(raw)
    return None if key == NOBODY else key


def _readable(raw: Any) -> str:
    """Text on one line, without what a database or a mail could not hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text(raw) or "").split())


def _dialled(raw: Any) -> str | None:
    """What was dialled, without what phones add: spaces, parameters, a host, the prefix of a raw identifier."""
    bare = re.split("[;@]", text(raw) or "")[0].strip().removeprefix("4:")
    dialled = "".join(character for character in bare if character in "0123456789+*#")
    return dialled[:32] or None


def _country(raw: Any) -> str | None:
    return _readable(raw)[:80] or None


def _location(raw: Any) -> str | None:
    return _readable(raw)[:LONGEST_LOCATION] or None


def _identity(raw: Any) -> str | None:
    """An ACS identity, or a phone number in E.164."""
    identity = text(raw) or ""
    if identity.startswith("8:"):
        return identity if len(identity) <= LONGEST_IDENTITY and identity.isprintable() else None
    return e164(identity)
