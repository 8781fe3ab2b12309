"""A connector that serves against the sandbox, and what tests do with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client import generate_latest

from connector import settings
from connector.assembly import Connector
from connector.calls.model import AgentState
from connector.clock import MovableClock
from connector.directory.reader import Agent
from connector.engine.worker import Worker
from connector.metrics import REGISTRY
from connector.prerequisites.report import check_all
from connector.sandbox import Sandbox
from connector.sandbox.acs.email import Mail
from connector.sandbox.platform_rows import AVAILABLE
from connector.service.server import running
from connector.store import calls

SECRET, OTHER_SECRET = "the-first-secret", "the-second-secret"
FALLBACK, DRILLS = "duty-officer@example.com", "drills@example.com"
IDENTITY = "8:acs:00000000-0000-0000-0000-0000000000ac_00000000-0000-0000-0000-000000000911"


@dataclass
class Stage:
    sandbox: Sandbox
    connector: Connector
    worker: Worker
    clock: MovableClock
    url: str
    folder: Path
    began: dict[str, float]

    def agents(self, country: str = "US") -> list[Agent]:
        """Agents who are ready, with several recipients."""
        reports = check_all(self.connector.directory_store, self.connector.mappings)
        found = (self.connector.directory.agent(r.agent_id) for r in reports if r.ready and r.country == country)
        return [agent for agent in found if agent and len(agent.recipients) > 1 and agent.number]

    def announce(self, message: str, parameters: dict[str, Any], **options: Any) -> requests.Response:
        """Posts a context as Dataverse's webhook would."""
        return self.post(self.sandbox.dataverse.build_context(message, parameters, synchronous=True), **options)

    def post(self, body: Any, path: str = "/webhooks/dataverse", **options: Any) -> requests.Response:
        headers = {"x-emergency-secret": SECRET, **options.pop("headers", {})}
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        return requests.post(f"{self.url}{path}", headers=headers, timeout=30, **data, **options)

    def dial(self, agent: Agent, key: str = "call-1", **parameters: Any) -> dict[str, Any]:
        """The agent dials 911; the answer of the webhook."""
        given = {
            "AgentId": agent.id,
            "DialledNumber": "911",
            "CallId": self.key(key),
            "AgentIdentity": IDENTITY,
            **parameters,
        }
        answer = self.announce("ec_EmergencyCallDialled", given)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def key(self, key: str) -> str:
        """A call id of this test's own: the stand-in remembers messages by what is derived from it."""
        return f"{self.folder.name}/{key}"

    def hang_up(self, agent: Agent, key: str = "call-1") -> dict[str, Any]:
        answer = self.announce("ec_EmergencyCallEnded", {"AgentId": agent.id, "CallId": self.key(key)})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def settle(self, seconds: float = 10) -> None:
        """Waits until nothing is due."""
        until(self.worker.idle, seconds)

    def pass_time(self, minutes: float) -> None:
        self.clock.advance(minutes * 60)
        self.settle()

    def state(self, agent: Agent) -> AgentState | None:
        with self.connector.store.read() as connection:
            return calls.peek(connection, agent.id)

    def presence(self, agent: Agent) -> str:
        """The name of the base status that Dataverse shows."""
        assert agent.status_id is not None
        row = self.sandbox.dataverse.rows.get("msdyn_agentstatus", agent.status_id)
        assert row is not None
        presence = self.sandbox.dataverse.rows.get("msdyn_presence", str(row.values["_msdyn_currentpresenceid_value"]))
        assert presence is not None
        return str(presence.values["msdyn_presencestatustext"])

    @property
    def mails(self) -> list[Mail]:
        return self.sandbox.acs.outbox

    def presence_changes(self) -> int:
        return sum("CCaaS_ModifyAgentPresence" in seen.target for seen in self.sandbox.faults.log("dataverse"))

    def metric(self, text: str) -> float:
        """By how much a counter has grown in this test: all tests of a process share the counters."""
        lines = requests.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(text)) - self.counted(text)

    def counted(self, text: str) -> float:
        """What a counter said when the test began."""
        return sum(value for name, value in self.began.items() if name.startswith(text))


def counters() -> dict[str, float]:
    """Every sample of this process's metrics, as its line begins."""
    lines = generate_latest(REGISTRY).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def clear(sandbox: Sandbox) -> None:
    """Takes away what an earlier test left behind in the stand-ins."""
    sandbox.faults.clear()
    sandbox.acs.email.clear()
    sandbox.acs.calls.redirects.clear()
    sandbox.event_grid.subscriptions.clear()
    for left in list(sandbox.dataverse.rows.all("email")):
        sandbox.dataverse.rows.delete("email", left["activityid"])


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Waits for what other threads do; far longer than they need."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def chosen(sandbox: Sandbox, store_url: str, folder: Path, **others: Any) -> settings.Settings:
    return settings.given(
        sandbox.info.settings(),
        **{
            "store_url": store_url,
            "directory_url": f"sqlite:///{folder}/directory.db",
            "webhook_secrets": f"{SECRET},{OTHER_SECRET}",
            "fallback_recipients": FALLBACK,
            "drill_recipients": DRILLS,
            **others,
        },
    )


@contextmanager
def staged(sandbox: Sandbox, folder: Path, store_url: str = "", **others: Any) -> Iterator[Stage]:
    """A synced connector with its worker and service; the sandbox without what an earlier test left."""
    clear(sandbox)
    for row in list(sandbox.dataverse.rows.all("msdyn_agentstatus")):
        changed = {"_msdyn_currentpresenceid_value": AVAILABLE}
        sandbox.dataverse.change("msdyn_agentstatus", row["msdyn_agentstatusid"], **changed)
    clock = MovableClock()
    url = store_url or f"sqlite:///{folder}/calls.db"
    with Connector(chosen(sandbox, url, folder, **others), clock) as connector:
        connector.sync()
        sandbox.faults.clear_log()
        worker = connector.start_worker()
        with running(connector) as address:
            yield Stage(sandbox, connector, worker, clock, address, folder, counters())
