"""The message of a call, put together from what is known of the call and of the agent."""

from __future__ import annotations

from connector.calls.effects import Notify, SendFromMailbox
from connector.calls.model import Call, Lease
from connector.directory.reader import Agent
from connector.effects.services import Services
from connector.engine.outbox import Claim, Recorded
from connector.errors import BadData
from connector.logs import log
from connector.metrics import decisions, recipients_skipped
from connector.notifications.message import Message, Notice, compose
from connector.store import calls

Telling = Claim[Notify] | Claim[SendFromMailbox]


def message_of(claim: Telling, services: Services) -> Message:
    """The message that a claim sends. Raises BadData if the call is forgotten."""
    call, lease = _call(claim, services)
    briefing = services.briefing(claim)
    template, agent = briefing.template, briefing.agent
    if agent and agent.invalid_recipients:
        recipients_skipped.inc(agent.invalid_recipients)
    message = compose(
        _notice(claim, call, lease, agent, services),
        template.subject if template else "",
        template.body if template else "",
        entity=services.mappings.choices["template_entity"],
    )
    for shortfall in message.shortfalls:
        decisions.labels(shortfall).inc()
        log().warning("message_degraded", note=shortfall, call_id=call.id)
    return message


def accepted(claim: Telling, message_id: str, services: Services) -> Recorded:
    """What is stored when a channel has accepted the message."""
    effect, at = claim.effect, services.clock.now()
    return lambda connection: calls.record_message(connection, message_id, effect.call_id, len(effect.recipients), at)


def _call(claim: Telling, services: Services) -> tuple[Call, Lease | None]:
    call_id, state = claim.effect.call_id, claim.known.state if claim.known else None
    if state and (known := state.call(call_id)):
        return known, state.lease
    with services.store.read() as connection:
        found = calls.find(connection, call_id)
    if found is None:
        raise BadData("the call is forgotten, so there is nothing to tell of")
    return found


def _notice(claim: Telling, call: Call, lease: Lease | None, agent: Agent | None, services: Services) -> Notice:
    country = services.mappings.first_country(call.country, agent.country if agent else None)
    return Notice(
        reason=claim.effect.reason,
        drill=call.drill,
        agent_name=agent.name if agent else None,
        agent_number=agent.number if agent else None,
        agent_attributes=agent.attributes if agent else {},
        dialled=call.dialled,
        dialled_at=call.dialled_at,
        location=call.location,
        country=country.names[0] if country else call.country,
        callback_number=lease.number if lease else call.platform_number,
        callback_until=lease.expires_at if lease else None,
    )
