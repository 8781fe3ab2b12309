"""What `decide` may know besides an agent's state: from the directory, the pool of numbers and the settings."""

from __future__ import annotations

from sqlalchemy import Connection

from connector.announcements.dialled import country_dialling
from connector.calls import events
from connector.calls.model import AgentState, Call, Facts
from connector.directory.reader import Agent, Briefing
from connector.engine import outbox
from connector.mappings import Mappings
from connector.settings import Settings
from connector.store import calls


def gather(
    connection: Connection,
    event: events.Event,
    state: AgentState,
    briefing: Briefing,
    settings: Settings,
    mappings: Mappings,
    *,
    numbers: bool,
) -> Facts:
    """The facts of an event. `numbers`: whether a callback number may be taken; without, none is free."""
    agent, call = briefing.agent, _call(event, state)
    takes_number = isinstance(event, events.Dialled | events.NumberFreed) and not state.leases
    countries = _countries(call, agent, mappings)
    return Facts(
        recipients=_recipients(agent, settings, drill=call is not None and call.drill),
        agent_known=agent is not None,
        mailbox_ready=agent is not None and agent.mailbox_ready,
        free_number=calls.free_number(connection, countries) if takes_number and numbers else None,
        platform_number_taken=not numbers or _held_by_another(connection, event),
        redirect_target=agent.number if agent else None,
        presence_id=agent.presence_id if agent else None,
        unfinished=isinstance(event, events.LeaseExpired) and outbox.unfinished(connection, event.agent_id),
    )


def _call(event: events.Event, state: AgentState) -> events.Dialled | Call | None:
    """The call that an event is about: the one it dials or names, else the agent's latest."""
    match event:
        case events.Dialled():
            return event
        case events.EffectFailed():
            call_id: str | None = event.effect.call_id
        case events.Ended() | events.CallOverdue() | events.AgentLookedUp():
            call_id = event.call_id
        case _:
            call_id = None
    if call_id:
        return state.call(call_id)
    return state.calls[-1] if state.calls else None


def _recipients(agent: Agent | None, settings: Settings, *, drill: bool) -> tuple[str, ...]:
    if drill:
        return settings.drill_recipients
    return (agent.recipients if agent else ()) or settings.fallback_recipients


def _countries(call: events.Dialled | Call | None, agent: Agent | None, mappings: Mappings) -> tuple[str, ...]:
    """Where to look for a callback number: the announced country, else the agent's, else the dialled number's."""
    announced, own = call.country if call else None, agent.country if agent else None
    country = mappings.first_country(announced, own) or country_dialling(call.dialled if call else None, mappings)
    return country.callback_from if country else tuple(mappings.countries)


def _held_by_another(connection: Connection, event: events.Event) -> bool:
    number = event.callback_number if isinstance(event, events.Dialled) else None
    return number is not None and calls.holder(connection, number) not in (None, event.agent_id)
