"""What `decide` may know besides an agent's state: from the directory, the pool of numbers and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from connector.announcements.dialled import country_dialling
from connector.calls import events
from connector.calls.decide import needs_number
from connector.calls.model import AgentState, Call, Facts, Policy
from connector.directory.reader import Agent, Briefing
from connector.engine import outbox
from connector.mappings import Mappings
from connector.settings import Settings
from connector.store import calls


@dataclass(frozen=True)
class Gathering:
    """Gathers the facts of events."""

    settings: Settings
    mappings: Mappings
    policy: Policy

    def facts(
        self, connection: Connection, event: events.Event, state: AgentState, briefing: Briefing, *, numbers: bool
    ) -> Facts:
        """The facts of an event. `numbers`: whether a callback number may be leased; without, none is free.

        A number that `decide` will lease is taken from the pool here, in the caller's transaction.
        """
        agent, call = briefing.agent, _call(event, state)
        taken = not numbers or _held_by_another(connection, event)
        number = None
        if numbers and needs_number(event, state, self.policy, platform_number_taken=taken):
            number = calls.take_number(connection, self._countries(call, agent), event.at)
        return Facts(
            recipients=self._recipients(agent, drill=call is not None and call.drill),
            agent_known=agent is not None,
            mailbox_ready=agent is not None and agent.mailbox_ready,
            free_number=number,
            platform_number_taken=taken,
            redirect_target=agent.number if agent else None,
            presence_id=agent.presence_id if agent else None,
            unfinished=isinstance(event, events.LeaseExpired) and outbox.unfinished(connection, event.agent_id),
        )

    def _recipients(self, agent: Agent | None, *, drill: bool) -> tuple[str, ...]:
        if drill:
            return self.settings.drill_recipients
        return (agent.recipients if agent else ()) or self.settings.fallback_recipients

    def _countries(self, call: events.Dialled | Call | None, agent: Agent | None) -> tuple[str, ...]:
        """Where to look for a callback number: the announced country, else the agent's, else the dialled number's."""
        announced, own = call.country if call else None, agent.country if agent else None
        country = self.mappings.first_country(announced, own)
        country = country or country_dialling(call.dialled if call else None, self.mappings)
        return country.callback_from if country else tuple(self.mappings.countries)


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


def _held_by_another(connection: Connection, event: events.Event) -> bool:
    number = event.callback_number if isinstance(event, events.Dialled) else None
    return number is not None and calls.holder(connection, number) not in (None, event.agent_id)
