"""The one way in: what a webhook, a soft-phone or a row of Dataverse announces, as an event, as a row to be read again,
or as nothing of ours. Pure but for counting what could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector.announcements.dialled import is_drill, is_emergency
from connector.announcements.reading import Announcement, from_context, from_parts, from_row
from connector.announcements.remote_context import RemoteContext, parse
from connector.calls.effects import ReadAnnouncement, derive_id
from connector.calls.events import Dialled, Ended
from connector.errors import BadData
from connector.logs import log
from connector.mappings import EventMapping, Mappings
from connector.metrics import decisions

OLDEST, NEWEST = timedelta(hours=24), timedelta(minutes=2)
"""How far an announced time may lie behind or before our own clock and still be believed."""
READ_AGAIN_FOR = timedelta(seconds=15)
"""How long an announcement's row is tried to be read before the alarm goes out without it."""


@dataclass(frozen=True)
class Ignored:
    """Nothing for us to do. `reason` is a name for counting."""

    reason: str


Accepted = Dialled | Ended | ReadAnnouncement | Ignored


def from_webhook(body: bytes, mappings: Mappings, now: datetime, *, stripped: bool = False) -> Accepted:
    """What the body of a Dataverse webhook announces. `stripped`: it was too large, so its parts were left out.

    Raises BadData if the body is no JSON.
    """
    context = parse(body)
    mapping = mapping_of(context, mappings)
    if mapping is None:
        return Ignored("not_ours")
    row = context.row_id if mapping.table else None
    if stripped and row:
        return _read_again(context, mapping, row, now)
    announcement = from_context(context, mapping)
    if announcement is None:
        return Ignored("no_news")
    if row and announcement.kind == "ended" and announcement.agent_id is None:
        # The target of an update holds only what was changed, which the agent was not.
        return _read_again(context, mapping, row, now)
    return _event(announcement, "dataverse", mappings, now)


def from_soft_phone(body: bytes, known: Collection[str], mappings: Mappings, now: datetime) -> Accepted:
    """What a soft-phone announces: a dial, as an object with some of the `known` parts.

    Raises BadData if the body is no JSON object.
    """
    try:
        values = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadData("the body is not JSON") from None
    if not isinstance(values, dict):
        raise BadData("the body is no JSON object")
    if unknown := values.keys() - set(known):
        decisions.labels("announcement_unknown_parts").inc()
        log().warning("announcement_unknown_parts", source="api", count=len(unknown))
    parts = {**values, "at": values.get("dialled_at")}
    return _event(from_parts("dialled", f"api/{now.isoformat()}", parts), "api", mappings, now)


def mapping_for(effect: ReadAnnouncement, mappings: Mappings) -> EventMapping | None:
    """The mapping by which an announcement's row is read; None where the mappings no longer have it."""
    wanted = (effect.table, effect.event)
    for mapping in mappings.events:
        if (mapping.table, mapping.event) == wanted and effect.message in ("", mapping.message):
            return mapping
    return None


def from_read_row(effect: ReadAnnouncement, row: Mapping[str, Any], mappings: Mappings, now: datetime) -> Accepted:
    """What a row announces that was read again. An empty `row` could not be read: a dial then alarms without it."""
    mapping = mapping_for(effect, mappings)
    if mapping is None:
        # The mappings were edited meanwhile. Nobody can say any more what the row's columns mean.
        announcement: Announcement | None = from_parts(effect.event, effect.row_id, {"call_key": effect.row_id})
    else:
        announcement = from_row(mapping, row, effect.row_id)
    return _event(announcement, "dataverse", mappings, now) if announcement else Ignored("no_news")


def mapping_of(context: RemoteContext, mappings: Mappings) -> EventMapping | None:
    """Which event of an emergency call a context announces, None if it is none of ours."""
    for mapping in mappings.events:
        if mapping.message == context.message and mapping.table in ("", context.table):
            return mapping
    return None


def _read_again(context: RemoteContext, mapping: EventMapping, row_id: str, now: datetime) -> ReadAnnouncement:
    return ReadAnnouncement(
        call_id=derive_id("read", context.operation, row_id),
        event=mapping.event,
        table=mapping.table,
        row_id=row_id,
        until=now + READ_AGAIN_FOR,
        message=mapping.message,
    )


def _event(announcement: Announcement, source: str, mappings: Mappings, now: datetime) -> Accepted:
    if announcement.problems:
        decisions.labels("announcement_incomplete").inc()
        log().warning("announcement_incomplete", source=source, count=len(announcement.problems))
    event = event_of(announcement, mappings, now)
    if event is None:
        return Ignored("no_emergency" if announcement.kind == "dialled" else "end_of_nobody")
    return event


def call_id(announcement: Announcement) -> str:
    """Our id of the announced call: the same for every delivery of the same announcement."""
    key = announcement.call_key or announcement.source
    return derive_id("call", announcement.agent_id or "", key)


def event_of(announcement: Announcement, mappings: Mappings, now: datetime) -> Dialled | Ended | None:
    """The event that an announcement means; None for a dial that is no emergency, or an end of nobody's call."""
    if announcement.kind == "ended":
        if announcement.agent_id is None:
            return None
        return Ended(
            announcement.agent_id,
            call_id(announcement) if announcement.call_key else None,
            now,
            ended_at=_plausible(announcement.at, now),
            delivery=announcement.source,
        )
    dialled = announcement.dialled
    drill = dialled is not None and is_drill(dialled, mappings)
    # A number that could not be read counts as an emergency.
    if dialled is not None and not drill and not is_emergency(dialled, mappings):
        return None
    identifier = call_id(announcement)
    return Dialled(
        # A call whose agent nobody can read is kept apart from every agent's own.
        agent_id=announcement.agent_id or f"unnamed/{identifier}",
        call_id=identifier,
        at=now,
        dialled=dialled,
        dialled_at=_plausible(announcement.at, now),
        country=announcement.country,
        location=announcement.location,
        drill=drill,
        callback_number=announcement.callback_number,
        agent_identity=announcement.agent_identity,
        agent_named=announcement.agent_id is not None,
    )


def _plausible(announced: datetime | None, now: datetime) -> datetime | None:
    if announced is None or not now - OLDEST <= announced <= now + NEWEST:
        return None
    return min(announced, now)
