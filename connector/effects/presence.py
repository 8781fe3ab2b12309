"""Steps 2 and 8: the agent's presence becomes Do not disturb, and goes back when the call is over."""

from __future__ import annotations

from dataclasses import dataclass

from connector.calls.effects import RestorePresence, SetDoNotDisturb
from connector.calls.model import AgentState
from connector.directory.reader import Agent
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim, Recorded
from connector.errors import BadData, ConnectorError
from connector.logs import log
from connector.metrics import decisions
from connector.store import calls

READ_SECONDS = 3.0
"""What the presence before may cost to read; after that the one last synced is gone back to."""
CHANGE_SECONDS = 15.0


def performers(services: Services) -> Performers:
    """Who changes presences."""
    presence = _Presence(services)
    return {
        SetDoNotDisturb: Performer(presence.set_do_not_disturb),
        RestorePresence: Performer(presence.restore),
    }


@dataclass(frozen=True)
class _Presence:
    """Both look at the state first, so each may come late or twice."""

    services: Services

    def set_do_not_disturb(self, claim: Claim[SetDoNotDisturb]) -> Recorded | None:
        """Sets Do not disturb; nothing where the agent has hung up already.

        Before the first change it makes sure that the presence to go back to is on disk: no crash can lose it.
        """
        state = claim.known.state if claim.known else self._state(claim.agent_id)
        if state is None or not state.open_calls:
            return self._nothing_set(claim) if claim.effect.first else None
        briefing = self.services.briefing(claim)
        ours = self._do_not_disturb(briefing.do_not_disturb)
        if claim.effect.first or state.prior_presence_id is None:
            self._remember(claim, state, briefing.agent, ours)
        self._modify(claim.agent_id, ours)
        return None

    def restore(self, claim: Claim[RestorePresence]) -> Recorded | None:
        """Sets the presence before, if there still is the Do not disturb that we set: an agent's own choice stands."""
        state = self._state(claim.agent_id)
        if state is None or state.open_calls or state.prior_presence_id is None:
            return None
        briefing = self.services.briefing(claim)
        ours = self._do_not_disturb(briefing.do_not_disturb)
        if state.prior_presence_id != ours and self._current(claim.agent_id, briefing.agent) == ours:
            self._modify(claim.agent_id, state.prior_presence_id)
        return self._nothing_set(claim)

    def _nothing_set(self, claim: Claim[SetDoNotDisturb] | Claim[RestorePresence]) -> Recorded:
        """Nothing of ours is on the agent's presence, so there is nothing to go back to."""
        return lambda connection: calls.forget_presence(connection, claim.agent_id)

    def _state(self, agent_id: str) -> AgentState | None:
        with self.services.store.read() as connection:
            return calls.peek(connection, agent_id)

    def _do_not_disturb(self, known: str | None) -> str:
        return known or str(self.services.mappings.choices["presence_do_not_disturb_id"])

    def _remember(self, claim: Claim[SetDoNotDisturb], state: AgentState, agent: Agent | None, ours: str) -> None:
        """Stores the presence to go back to, where the dial has not stored it already, as last synced."""
        remembered = state.prior_presence_id
        before = self._read(claim.agent_id, agent)
        if before is None or (before == ours and claim.repeated):
            # Not to be seen: what is there may be ours, from a try whose answer was lost.
            before = remembered or self._synced(agent)
        if before != remembered:
            with self.services.store.write() as connection:
                calls.remember_presence(connection, claim.agent_id, before)

    def _read(self, agent_id: str, agent: Agent | None) -> str | None:
        """The presence that Dataverse shows now, None where it does not tell in time."""
        try:
            return self._current(agent_id, agent, seconds=READ_SECONDS)
        except ConnectorError as error:
            log().warning("presence_not_read", problem=str(error))
            return None

    def _synced(self, agent: Agent | None) -> str:
        if agent and agent.presence_id:
            return agent.presence_id
        decisions.labels("presence_before_unknown").inc()
        return str(self.services.mappings.choices["presence_available_id"])

    def _current(self, agent_id: str, agent: Agent | None, seconds: float = CHANGE_SECONDS) -> str | None:
        """The presence that Dataverse shows now, None where it has no row for it. Raises ConnectorError."""
        mapping, dataverse = self.services.mappings.tables["agent_statuses"], self.services.dataverse
        column = mapping.columns["presence_id"]
        if agent and agent.status_id:
            row = dataverse.get(f"{mapping.set}({agent.status_id})?$select={column}", timeout=seconds)
            return _lower(row.get(column))
        wanted = {"$select": column, "$filter": f"{mapping.columns['agent_id']} eq {agent_id}"}
        rows = dataverse.get(mapping.set, params=wanted, timeout=seconds).get("value") or []
        return _lower(rows[0].get(column)) if rows else None

    def _modify(self, agent_id: str, presence_id: str) -> None:
        names = self.services.mappings.presence_action
        if not presence_id:
            raise BadData("no presence to set")
        self.services.dataverse.act(
            names["name"],
            {names["api_version"]: names["version"], names["agent"]: agent_id, names["presence"]: presence_id},
            timeout=CHANGE_SECONDS,
        )


def _lower(value: object) -> str | None:
    return value.lower() if isinstance(value, str) else None
