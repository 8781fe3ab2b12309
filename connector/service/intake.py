"""From an announcement to an answer: the one way in for webhooks and soft-phones."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta

from connector import announcements
from connector.announcements import Announcement, from_parts
from connector.assembly import Connector
from connector.calls.effects import ReadAnnouncement, derive_id
from connector.calls.events import Dialled, Ended
from connector.calls.model import AgentState, Call
from connector.dataverse.remote_context import RemoteContext, parse
from connector.errors import BadData
from connector.logs import log
from connector.mappings import EventMapping
from connector.metrics import deliveries, notes
from connector.service.answers import CallAnswer, answer

IGNORED = CallAnswer(status="ignored")
READ_AGAIN_FOR = timedelta(seconds=15)
"""How long an oversized announcement's row is tried to be read before the alarm goes out without it."""


def from_dataverse(connector: Connector, body: bytes, *, stripped: bool) -> CallAnswer:
    """Deals with the body of a Dataverse webhook. `stripped`: it was too large, so its parts were left out.

    Raises BadData if the body is no JSON, RetryLater if the store cannot be used.
    """
    context = parse(body)
    mapping = announcements.mapping_of(context, connector.mappings)
    if mapping is None:
        deliveries.labels("dataverse", "not_ours").inc()
        return IGNORED
    if stripped and mapping.table and context.row_id:
        return _read_again(connector, context, mapping)
    announcement = announcements.from_context(context, mapping)
    if announcement is None:
        deliveries.labels("dataverse", "no_news").inc()
        return IGNORED
    if mapping.table and context.row_id and announcement.kind == "ended" and announcement.agent_id is None:
        # The target of an update holds only what was changed, which the agent was not.
        return _read_again(connector, context, mapping)
    return announce(connector, announcement, "dataverse")


def from_soft_phone(connector: Connector, body: bytes, known: Collection[str]) -> CallAnswer:
    """Deals with the announcement of a soft-phone, an object with some of the `known` parts.

    Raises BadData if the body is no JSON object, RetryLater if the store cannot be used.
    """
    try:
        values = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadData("the body is not JSON") from None
    if not isinstance(values, dict):
        raise BadData("the body is no JSON object")
    if values.keys() - set(known):
        notes.labels("announcement_unknown_parts").inc()
        log().warning("announcement_unknown_parts", source="api", count=len(values.keys() - set(known)))
    source = f"api/{connector.clock.now().isoformat()}"
    return announce(connector, from_parts("dialled", source, {**values, "at": values.get("dialled_at")}), "api")


def announce(connector: Connector, announcement: Announcement, sender: str) -> CallAnswer:
    """Deals with an announcement; when this returns, everything that must happen is on disk."""
    if announcement.problems:
        notes.labels("announcement_incomplete").inc()
        log().warning("announcement_incomplete", source=sender, count=len(announcement.problems))
    event = announcements.event_of(announcement, connector.mappings, connector.clock.now())
    if event is None:
        outcome = "no_emergency" if announcement.kind == "dialled" else "end_of_nobody"
        deliveries.labels(sender, outcome).inc()
        log().info("announcement_ignored", source=sender, note=outcome)
        return IGNORED
    return _deal_with(connector, event, sender)


def _deal_with(connector: Connector, event: Dialled | Ended, sender: str) -> CallAnswer:
    outcome = connector.desk.handle(event)
    deliveries.labels(sender, "accepted").inc()
    call_id = _call_id(event, outcome.state)
    log().info("announced", source=sender, kind=type(event).__name__.lower(), call_id=call_id)
    return answer(call_id, outcome.state, with_panel="panel" not in connector.settings.excluded_steps)


def _call_id(event: Dialled | Ended, state: AgentState | None) -> str:
    """The call that an event was about: the announced one, else the agent's latest."""
    if event.call_id and (state is None or state.call(event.call_id) or not state.calls):
        return event.call_id
    return state.calls[-1].id if state and state.calls else ""


def _read_again(connector: Connector, context: RemoteContext, mapping: EventMapping) -> CallAnswer:
    row_id = context.row_id or ""
    read_id = derive_id("read", context.operation, row_id)
    effect = ReadAnnouncement(
        call_id=read_id,
        event="ended" if mapping.event == "ended" else "dialled",
        table=mapping.table,
        row_id=row_id,
        until=connector.clock.now() + READ_AGAIN_FOR,
    )
    connector.desk.ask([effect], "")
    deliveries.labels("dataverse", "read_again").inc()
    return CallAnswer(status="accepted")


def end(connector: Connector, call: Call, sender: str) -> CallAnswer:
    """Ends a call that we know by our own id."""
    return _deal_with(connector, Ended(call.agent_id, call.id, connector.clock.now()), sender)
