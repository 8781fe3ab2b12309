"""Plays the eight steps of an emergency call and gathers evidence for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from sqlalchemy import select

from connector.calls.model import AgentState
from connector.demo.environment import Stage, through_dataverse, wait_for
from connector.directory.reader import Agent
from connector.errors import BadData
from connector.store import calls
from connector.store.directory_schema import presences

RESPONDER = "+12025550199"
"""The number of the responder who calls back, from the range reserved for examples."""
IDENTITY = "8:acs:00000000-0000-0000-0000-0000000000ac_00000000-0000-0000-0000-000000000911"
LOCATION = "1600 Example Avenue, floor 4, room 411"
NAMES = {
    1: "the dial is recognised as an emergency call",
    2: "presence becomes Do not disturb",
    3: "a temporary callback number is the agent's for 60 minutes",
    4: "a responder who calls back is put through to the agent",
    5: "the panel offers device settings and End call only",
    6: "nothing of the call is kept",
    7: "the emergency contacts are notified by e-mail",
    8: "presence goes back to what it was",
}


@dataclass(frozen=True)
class Step:
    """One step as it went; `milliseconds` since what caused it."""

    number: int
    name: str
    ok: bool
    milliseconds: float
    evidence: str


@dataclass
class Play:
    """A call under way, and what has been seen of it."""

    stage: Stage
    tell: Callable[[Step], None]
    agent: Agent
    steps: list[Step] = field(default_factory=list)
    call_id: str = ""
    dialled_at: float = 0.0
    dial_to_accepted_ms: float = 0.0
    callback_number: str = ""
    left_behind: int = -1
    presence_before: str = ""

    def run(self) -> None:
        """Plays all eight steps; a step that fails is told and the others still run."""
        self.presence_before = self._presence()
        self._step(1, self._dial)
        self._step(7, self._notified)
        self._step(2, self._do_not_disturb)
        self._step(3, self._leased)
        self._step(5, self._panel)
        self._step(4, self._called_back)
        self._step(8, self._hang_up)
        self._step(6, self._forgotten)

    def _step(self, number: int, act: Callable[[], tuple[float, str]]) -> None:
        try:
            milliseconds, evidence = act()
            ok = True
        except (TimeoutError, BadData, requests.RequestException) as error:
            milliseconds, evidence, ok = 0.0, f"{type(error).__name__}: {error}", False
        step = Step(number, NAMES[number], ok, round(milliseconds, 1), evidence)
        self.steps.append(step)
        self.tell(step)

    def _dial(self) -> tuple[float, str]:
        parameters = {
            "AgentId": self.agent.id,
            "DialledNumber": "911",
            "CallId": "demo-call-1",
            "DialledOn": datetime.now(UTC).isoformat(),
            "Location": LOCATION,
            "AgentIdentity": IDENTITY,
        }
        self.dialled_at = time.perf_counter()
        through_dataverse(self.stage, "ec_EmergencyCallDialled", parameters)
        taken = self._since(self.dialled_at)
        state = self._state()
        if state is None or not state.open_calls:
            raise BadData("no call is on disk after the webhook was answered")
        self.call_id = state.open_calls[0].id
        return taken, f"911 through Dataverse's webhook, answered after the commit; call {self.call_id}"

    def _notified(self) -> tuple[float, str]:
        outbox = self.stage.sandbox.acs
        wait_for(lambda: outbox.outbox, "an accepted message")
        self.dial_to_accepted_ms = self._since(self.dialled_at)
        mails = outbox.outbox
        told = {address for mail in mails for address in mail.recipients}
        if told != set(self.agent.recipients):
            raise BadData("the message went to others than the agent's recipients")
        text = mails[0].message["content"]["plainText"]
        names_all = "callback number" in text.lower() and LOCATION in text
        if not names_all:
            raise BadData("the message names no callback number or location")
        return self.dial_to_accepted_ms, (
            f"ACS Email accepted {len(mails)} message for {len(told)} recipients: “{mails[0].subject}”, "
            "with callback number and location"
        )

    def _do_not_disturb(self) -> tuple[float, str]:
        ours = self.stage.connector.directory.do_not_disturb()
        wait_for(lambda: self._presence() == ours, "Do not disturb")
        return self._since(
            self.dialled_at
        ), f"Dataverse shows {self._named(ours)}; it was {self._named(self.presence_before)}"

    def _leased(self) -> tuple[float, str]:
        begun = time.perf_counter()
        state = self._state()
        if state is None or state.lease is None:
            raise BadData("no number is leased")
        self.callback_number = state.lease.number
        held = (state.lease.expires_at - state.lease.taken_at).total_seconds() / 60
        return self._since(
            begun
        ), f"{state.lease.number} until {state.lease.expires_at:%H:%M:%S} UTC ({held:.0f} minutes)"

    def _panel(self) -> tuple[float, str]:
        begun = time.perf_counter()
        panel = self._panel_now()
        if panel["controls"] != ["device_settings", "end_call"] or not panel["emergency"]:
            raise BadData("the panel offers something else")
        return self._since(begun), f"controls {panel['controls']}, hidden {panel['hidden']}, alert “{panel['alert']}”"

    def _called_back(self) -> tuple[float, str]:
        acs, begun = self.stage.sandbox.acs, time.perf_counter()
        acs.incoming_call(RESPONDER, self.callback_number)
        wait_for(lambda: acs.redirects, "the redirect")
        taken, redirect = self._since(begun), acs.redirects[0]
        if redirect.target != IDENTITY:
            raise BadData("the call was put through to somebody else")
        return taken, f"{RESPONDER} called {redirect.called}: put through to the agent's own identity, past all routing"

    def _hang_up(self) -> tuple[float, str]:
        begun = time.perf_counter()
        parameters = {"AgentId": self.agent.id, "CallId": "demo-call-1", "EndedOn": datetime.now(UTC).isoformat()}
        through_dataverse(self.stage, "ec_EmergencyCallEnded", parameters)
        wait_for(lambda: self._presence() == self.presence_before, "the presence before")
        return self._since(begun), f"Dataverse shows {self._named(self.presence_before)} again"

    def _forgotten(self) -> tuple[float, str]:
        begun = time.perf_counter()
        self.stage.clock.advance(61 * 60)
        wait_for(lambda: self._state() is None, "forgetting")
        wait_for(lambda: self.left_now() == 0, "an empty store")
        self.left_behind = self.left_now()
        files = [*self.stage.store_files, self.stage.log_file]
        return self._since(begun), (
            f"61 minutes later: {self.left_behind} hits for name, number, addresses and location of the agent "
            f"in {', '.join(file.name for file in files)}"
        )

    def left_now(self) -> int:
        """How often something of the agent or the call is found in the store's files and the log."""
        own = {self.agent.name, self.agent.number or "", LOCATION, IDENTITY, *self.agent.recipients}
        own.add((self.agent.number or "").removeprefix("+"))
        files = [*self.stage.store_files, self.stage.log_file]
        content = [file.read_bytes().lower() for file in files]
        return sum(text.count(what.lower().encode()) for text in content for what in own if what)

    def _state(self) -> AgentState | None:
        with self.stage.connector.store.read() as connection:
            return calls.peek(connection, self.agent.id)

    def _panel_now(self) -> dict[str, Any]:
        url = f"{self.stage.url}/api/v1/calls/{self.call_id}/panel"
        answer = requests.get(url, headers=self.stage.headers, timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def _presence(self) -> str:
        """The presence that Dataverse shows, asked over its Web API."""
        connector = self.stage.connector
        mapping = connector.mappings.tables["agent_statuses"]
        if self.agent.status_id is None:
            raise BadData("the agent has no status in Dataverse")
        column = mapping.columns["presence_id"]
        return str(connector.dataverse.get(f"{mapping.set}({self.agent.status_id})?$select={column}")[column])

    def _named(self, presence_id: str | None) -> str:
        with self.stage.connector.directory_store.read() as connection:
            wanted = select(presences.c.name).where(presences.c.id == presence_id)
            return str(connection.execute(wanted).scalar())

    @staticmethod
    def _since(begun: float) -> float:
        return (time.perf_counter() - begun) * 1000
