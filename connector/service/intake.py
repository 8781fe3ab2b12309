"""From a body to an answer: asks `announcements` what it means, and lets the handler deal with it."""

from __future__ import annotations

from collections.abc import Collection

from connector.announcements import accept
from connector.announcements.accept import Accepted, Ignored
from connector.assembly import Connector
from connector.calls.effects import ReadAnnouncement
from connector.calls.events import Dialled, Ended
from connector.calls.model import AgentState, Call
from connector.logs import log
from connector.metrics import deliveries
from connector.service.responses import CallAnswer, answer


def from_dataverse(connector: Connector, body: bytes, *, stripped: bool) -> CallAnswer:
    """Deals with the body of a Dataverse webhook. `stripped`: it was too large, so its parts were left out.

    Raises BadData if the body is no JSON, RetryLater if the store cannot be used.
    """
    now = connector.clock.now()
    return _deal_with(connector, accept.from_webhook(body, connector.mappings, now, stripped=stripped), "dataverse")


def from_soft_phone(connector: Connector, body: bytes, known: Collection[str]) -> CallAnswer:
    """Deals with the announcement of a soft-phone, an object with some of the `known` parts.

    Raises BadData if the body is no JSON object, RetryLater if the store cannot be used.
    """
    now = connector.clock.now()
    return _deal_with(connector, accept.from_soft_phone(body, known, connector.mappings, now), "api")


def end(connector: Connector, call: Call, sender: str) -> CallAnswer:
    """Ends a call that we know by our own id."""
    return _deal_with(connector, Ended(call.agent_id, call.id, connector.clock.now()), sender)


def _deal_with(connector: Connector, accepted: Accepted, sender: str) -> CallAnswer:
    """When this returns, everything that must happen is on disk."""
    match accepted:
        case Ignored(reason):
            deliveries.labels(sender, reason).inc()
            log().info("announcement_ignored", source=sender, note=reason)
            return CallAnswer(status="ignored")
        case ReadAnnouncement():
            connector.handler.ask([accepted], "")
            deliveries.labels(sender, "read_again").inc()
            return CallAnswer(status="accepted")
        case event:
            return _handle(connector, event, sender)


def _handle(connector: Connector, event: Dialled | Ended, sender: str) -> CallAnswer:
    outcome = connector.handler.handle(event)
    deliveries.labels(sender, "accepted").inc()
    call_id = _call_id(event, outcome.state)
    log().info("announced", source=sender, kind=type(event).__name__.lower(), call_id=call_id)
    return answer(call_id, outcome.state, with_panel="panel" not in connector.settings.excluded_steps)


def _call_id(event: Dialled | Ended, state: AgentState | None) -> str:
    """The call that an event was about: the announced one, else the agent's latest."""
    if event.call_id and (state is None or state.call(event.call_id) or not state.calls):
        return event.call_id
    return state.calls[-1].id if state and state.calls else ""
