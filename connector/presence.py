"""Steps 2 and 8: the agent's presence becomes Do not disturb, and goes back when the call is over."""

from __future__ import annotations

from connector.calls.model import AgentState
from connector.dataverse.client import Dataverse
from connector.desk import Desk
from connector.errors import BadData, ConnectorError
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import notes
from connector.store import calls
from connector.store.outbox import Claim, Recorded

READ_SECONDS = 3.0
"""What the presence before may cost to read; after that the one last synced is remembered."""
CHANGE_SECONDS = 15.0


class Presence:
    """Performs the effects on an agent's presence. Both look at the state first, so each may come late or twice."""

    def __init__(self, desk: Desk, dataverse: Dataverse, mappings: Mappings) -> None:
        self._desk = desk
        self._dataverse = dataverse
        self._mappings = mappings

    def set_do_not_disturb(self, claim: Claim) -> None:
        """Remembers the presence before, then sets Do not disturb; nothing where the agent has hung up already."""
        state = self._state(claim)
        if state is None or not state.open_calls:
            return
        ours = self._do_not_disturb()
        if state.prior_presence_id:
            self._modify(claim.agent_id, ours)
            return
        before, certain = self._before(claim)
        # On disk before the change, so that no crash can lose what to go back to.
        with self._desk.store.write() as connection:
            calls.remember_presence(connection, claim.agent_id, before)
        try:
            self._modify(claim.agent_id, ours)
        except ConnectorError:
            if not certain:  # the next try may be able to read what it really was
                with self._desk.store.write() as connection:
                    calls.forget_presence(connection, claim.agent_id)
            raise

    def restore(self, claim: Claim) -> Recorded | None:
        """Sets the presence before, if there still is the Do not disturb that we set: an agent's own choice stands."""
        state = self._state(claim)
        if state is None or state.open_calls or state.prior_presence_id is None:
            return None
        ours = self._do_not_disturb()
        if state.prior_presence_id != ours and self._current(claim.agent_id) == ours:
            self._modify(claim.agent_id, state.prior_presence_id)
        return lambda connection: calls.forget_presence(connection, claim.agent_id)

    def _state(self, claim: Claim) -> AgentState | None:
        with self._desk.store.read() as connection:
            return calls.peek(connection, claim.agent_id)

    def _do_not_disturb(self) -> str:
        return self._desk.directory.do_not_disturb() or str(self._mappings.choices["presence_do_not_disturb_id"])

    def _before(self, claim: Claim) -> tuple[str, bool]:
        """The presence before, and whether it was read just now or is only the best that is known."""
        try:
            current = self._current(claim.agent_id, seconds=READ_SECONDS)
            if current:
                return current, True
        except ConnectorError as error:
            log().warning("presence_not_read", problem=str(error))
        known = self._desk.directory.status(claim.agent_id)
        if known and known[1]:
            return known[1], False
        notes.labels("presence_before_unknown").inc()
        return str(self._mappings.choices["presence_available_id"]), False

    def _current(self, agent_id: str, seconds: float = CHANGE_SECONDS) -> str | None:
        """The presence that Dataverse shows now. Raises ConnectorError."""
        mapping = self._mappings.tables["agent_statuses"]
        column = mapping.columns["presence_id"]
        known = self._desk.directory.status(agent_id)
        if known:
            row = self._dataverse.get(f"{mapping.set}({known[0]})?$select={column}", timeout=seconds)
            return _lower(row.get(column))
        wanted = {"$select": column, "$filter": f"{mapping.columns['agent_id']} eq {agent_id}"}
        rows = self._dataverse.get(mapping.set, params=wanted, timeout=seconds).get("value") or []
        return _lower(rows[0].get(column)) if rows else None

    def _modify(self, agent_id: str, presence_id: str) -> None:
        names = self._mappings.presence_action
        if not presence_id:
            raise BadData("no presence to set")
        self._dataverse.act(
            names["name"],
            {names["api_version"]: names["version"], names["agent"]: agent_id, names["presence"]: presence_id},
            timeout=CHANGE_SECONDS,
        )


def _lower(value: object) -> str | None:
    return value.lower() if isinstance(value, str) else None
