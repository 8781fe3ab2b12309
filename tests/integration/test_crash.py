"""The serving process is killed at each effect in turn; the next one finds and finishes what was begun.

The process is the real command, the store a real file (or PostgreSQL), and the signal SIGKILL.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from connector.assembly import Connector
from connector.calls.model import AgentState
from connector.directory.reader import Agent
from connector.sandbox import Sandbox
from connector.sandbox.faults import Fault
from connector.sandbox.platform_rows import AVAILABLE, BUSY_DND
from connector.store import calls, schema
from tests.conftest import new_database
from tests.integration.stage import FALLBACK, IDENTITY, SECRET, chosen, clear, until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
HEADERS = {"x-emergency-secret": SECRET}
SENT = 3  # the status code of an e-mail that has left
SEND, PRESENCE, REDIRECT = "emails:send", "CCaaS_ModifyAgentPresence", "callConnections:redirect"


@dataclass
class Service:
    """The service as a process of its own, that can be killed and started again."""

    sandbox: Sandbox
    connector: Connector
    agent: Agent
    another: Agent
    folder: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-c", "from connector.cli import main; main()", "serve", "--port", str(self.port)]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        log.close()
        until(self._answers, 30)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def announce(self, message: str, **parameters: Any) -> dict[str, Any]:
        given = {"AgentId": self.agent.id, "CallId": self.folder.name, **parameters}
        body = self.sandbox.dataverse.build_context(message, given, synchronous=True)
        answer = requests.post(f"{self.url}/webhooks/dataverse", json=body, headers=HEADERS, timeout=10)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def dial(self) -> dict[str, Any]:
        return self.announce("ec_EmergencyCallDialled", DialledNumber="911", AgentIdentity=IDENTITY)

    def hang_up(self) -> None:
        self.announce("ec_EmergencyCallEnded")

    def presence(self) -> str:
        rows = self.sandbox.dataverse.rows.all("msdyn_agentstatus")
        row = next(row for row in rows if row["_msdyn_agentid_value"] == self.agent.id)
        return str(row["_msdyn_currentpresenceid_value"])

    def requests_seen(self, service: str, path: str) -> int:
        return sum(path in seen.target for seen in self.sandbox.faults.log(service))

    def seen(self, method: str, path: str) -> int:
        log = self.sandbox.faults.log("dataverse")
        return sum(seen.method == method and path in seen.target for seen in log)

    def pool(self) -> dict[str, tuple[int, int]]:
        with self.connector.store.read() as connection:
            return calls.pool_size(connection)

    def pending(self, kind: str) -> bool:
        wanted = select(schema.effects.c.id).where(schema.effects.c.kind == kind, schema.effects.c.status == "pending")
        with self.connector.store.read() as connection:
            return connection.execute(wanted).first() is not None

    def let_time_pass(self, kind: str, agent_id: str = "") -> None:
        """Makes a timer due, as if its time had come while no process ran."""
        past = datetime.now(UTC) - timedelta(minutes=1)
        due = schema.effects.update().where(schema.effects.c.kind == kind)
        over = schema.emergencies.update()
        if agent_id:
            due = due.where(schema.effects.c.agent_id == agent_id)
            over = over.where(schema.emergencies.c.agent_id == agent_id)
        with self.connector.store.write() as connection:
            connection.execute(due.values(run_at=past))
            if kind == "close_window":
                connection.execute(over.values(window_ends_at=past))

    def left_behind(self) -> list[str]:
        """What of the agent is still found in the store's files."""
        content = b"".join(file.read_bytes() for file in self.folder.glob("calls.db*"))
        own = (self.agent.id, self.agent.name, IDENTITY, *self.agent.recipients)
        return [what for what in own if what.encode() in content]

    def state(self) -> AgentState | None:
        with self.connector.store.read() as connection:
            return calls.peek(connection, self.agent.id)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(sandbox: Sandbox, folder: Path, store_url: str, **settings: str) -> Iterator[Service]:
    clear(sandbox)
    values = sandbox.info.settings() | {
        "EMERGENCY_STORE_URL": store_url,
        "EMERGENCY_DIRECTORY_URL": f"sqlite:///{folder}/directory.db",
        "EMERGENCY_WEBHOOK_SECRETS": SECRET,
        "EMERGENCY_FALLBACK_RECIPIENTS": FALLBACK,
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    with Connector(chosen(sandbox, store_url, folder)) as connector:
        connector.sync()
        found = (connector.directory.agent(agent_id) for agent_id in sandbox.organisation.agent_ids)
        ready = (a for a in found if a and a.id not in sandbox.organisation.defects and a.country == "US")
        service = Service(sandbox, connector, next(ready), next(ready), folder, free_port(), kept | values)
        sandbox.dataverse.set_presence(service.agent.id, AVAILABLE)
        sandbox.faults.clear_log()
        service.start()
        try:
            yield service
        finally:
            service.kill()


@pytest.fixture
def service(sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    with serving(sandbox, tmp_path, f"sqlite:///{tmp_path}/calls.db") as running:
        yield running


@pytest.fixture
def impatient(sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    """A service that sends from the mailbox soon. The others must not: a slow machine would see both channels."""
    store_url = f"sqlite:///{tmp_path}/calls.db"
    with serving(sandbox, tmp_path, store_url, EMERGENCY_SECOND_CHANNEL_SECONDS="5") as running:
        yield running


def all_of_a_dial_is_done(service: Service) -> None:
    until(lambda: service.sandbox.acs.outbox, 30)
    until(lambda: service.presence() == BUSY_DND, 30)
    until(lambda: not service.pending("notify") and not service.pending("set_do_not_disturb"), 30)
    assert len(service.sandbox.acs.outbox) == 1, "the same operation id counts once"
    assert sorted(service.sandbox.acs.outbox[0].recipients) == sorted(service.agent.recipients)
    state = service.state()
    assert state is not None
    assert len(state.calls) == len(state.leases) == 1


def test_killed_right_after_the_answer(service: Service) -> None:
    # Every effect is held up, so that the process dies before the first of them has reached anybody.
    service.sandbox.faults.set_latency("acs", 3000)
    service.sandbox.faults.set_latency("dataverse", 3000)
    service.dial()
    service.kill()
    service.sandbox.faults.clear()
    service.sandbox.acs.email.clear()
    service.start()
    all_of_a_dial_is_done(service)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize(("stand_in", "path"), [("acs", SEND), ("dataverse", PRESENCE)])
def test_killed_at_an_effect_of_the_dial(service: Service, stand_in: str, path: str, cut: Any) -> None:
    service.sandbox.faults.add(stand_in, Fault(cut=cut, path=path, times=1))
    service.dial()
    until(lambda: service.requests_seen(stand_in, path) == 1)
    service.kill()
    service.start()
    all_of_a_dial_is_done(service)
    state = service.state()
    assert state is not None
    assert state.prior_presence_id == AVAILABLE, "what to go back to is known though Do not disturb was set before"
    service.hang_up()
    until(lambda: service.presence() == AVAILABLE, 30)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_killed_while_presence_is_restored(service: Service, cut: Any) -> None:
    service.dial()
    all_of_a_dial_is_done(service)
    service.sandbox.faults.clear_log()
    service.sandbox.faults.add("dataverse", Fault(cut=cut, path=PRESENCE, times=1))
    service.hang_up()
    until(lambda: service.requests_seen("dataverse", PRESENCE) == 1)
    service.kill()
    service.start()
    until(lambda: service.presence() == AVAILABLE, 30)
    until(lambda: not service.pending("restore_presence"), 30)
    state = service.state()
    assert state is not None
    assert state.prior_presence_id is None


@pytest.mark.parametrize("cut", ["before", "after"])
def test_killed_while_a_callback_is_put_through(service: Service, cut: Any) -> None:
    number = service.dial()["callback_number"]
    all_of_a_dial_is_done(service)
    service.sandbox.event_grid.subscribe(f"{service.url}/webhooks/eventgrid?code={SECRET}")
    service.sandbox.faults.add("acs", Fault(cut=cut, path=REDIRECT, times=1))
    service.sandbox.acs.incoming_call("+12025550199", number)
    until(lambda: service.requests_seen("acs", REDIRECT) == 1)
    service.kill()
    service.start()
    until(lambda: not service.pending("redirect"), 30)
    assert [redirect.target for redirect in service.sandbox.acs.redirects] == [IDENTITY]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_killed_while_an_unknown_agent_is_looked_up(service: Service, cut: Any) -> None:
    row = service.sandbox.dataverse.rows.get("systemuser", service.agent.id)
    assert row is not None
    new = str(uuid.uuid4())
    service.sandbox.dataverse.rows.insert("systemuser", {**row.values, "systemuserid": new})
    service.sandbox.faults.add("dataverse", Fault(cut=cut, path=rf"systemusers\({new}", times=1))
    service.announce("ec_EmergencyCallDialled", AgentId=new, DialledNumber="911")
    service.kill()
    service.start()
    until(lambda: service.sandbox.acs.outbox, 30)
    until(lambda: not service.pending("look_up_agent") and not service.pending("notify"), 30)
    (mail,) = service.sandbox.acs.outbox
    # Whether the look-up succeeded before or after the kill, or ran out of its budget, somebody is told, once.
    assert sorted(mail.recipients) in (sorted(service.agent.recipients), [FALLBACK])
    service.sandbox.dataverse.rows.delete("systemuser", new)


def test_killed_while_an_announcement_is_read_again(service: Service) -> None:
    row_id = str(uuid.uuid4())
    columns = {"ec_agentid": service.agent.id, "ec_diallednumber": "911", "ec_location": "Hall 7"}
    service.sandbox.dataverse.rows.insert("ec_emergencycall", {"ec_emergencycallid": row_id, **columns})
    body = service.sandbox.dataverse.build_context("Create", {}, table="ec_emergencycall", row_id=row_id)
    body.pop("InputParameters")
    service.sandbox.faults.add("dataverse", Fault(cut="before", path="ec_emergencycalls", times=1))
    headers = {**HEADERS, "x-ms-dynamics-msg-size-exceeded": "true"}
    assert requests.post(f"{service.url}/webhooks/dataverse", json=body, headers=headers, timeout=10).ok
    until(lambda: service.requests_seen("dataverse", "ec_emergencycalls") == 1)
    service.kill()
    service.start()
    all_of_a_dial_is_done(service)
    assert "Hall 7" in str(service.sandbox.acs.outbox[0].message)
    service.sandbox.dataverse.rows.delete("ec_emergencycall", row_id)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("path", ["/emails$", "SendEmail"])
def test_killed_while_the_second_channel_sends(impatient: Service, path: str, cut: Any) -> None:
    rows = impatient.sandbox.dataverse.rows
    impatient.sandbox.faults.set_outage("acs")
    impatient.sandbox.faults.add("dataverse", Fault(cut=cut, path=path, times=1))
    impatient.dial()
    until(lambda: impatient.requests_seen("dataverse", path.removesuffix("$")) >= 1, 30)
    impatient.kill()
    impatient.start()
    until(lambda: not impatient.pending("notify") and not impatient.pending("send_from_mailbox"), 40)
    impatient.sandbox.faults.clear()
    sent = [mail for mail in rows.all("email") if mail["statuscode"] == SENT]
    assert len(sent) == 1, "the row's id is the effect's own, so a repetition makes no second row"
    assert impatient.sandbox.acs.outbox == []
    rows.delete("email", sent[0]["activityid"])


@pytest.mark.parametrize("cut", ["before", "after"])
def test_killed_while_the_row_of_a_sent_email_is_deleted(impatient: Service, cut: Any) -> None:
    rows = impatient.sandbox.dataverse.rows
    impatient.sandbox.faults.set_outage("acs")
    impatient.dial()
    until(lambda: impatient.pending("delete_sent_email"), 40)
    impatient.kill()
    impatient.let_time_pass("delete_sent_email")
    impatient.sandbox.faults.add("dataverse", Fault(cut=cut, method="DELETE", path=r"emails\(", times=1))
    impatient.start()
    until(lambda: impatient.seen("DELETE", "emails(") == 1, 30)
    impatient.kill()
    impatient.start()
    until(lambda: not impatient.pending("delete_sent_email"), 30)
    assert list(rows.all("email")) == []


def test_killed_while_a_freed_number_is_told_to_who_waits(service: Service) -> None:
    first, second = service.agent, service.another
    with service.connector.store.read() as connection:
        british = select(schema.pool_numbers.c.number).where(schema.pool_numbers.c.country == "GB")
        kept = connection.execute(british.limit(1)).scalar()
    assert kept is not None
    service.kill()
    service.environment["EMERGENCY_CALLBACK_NUMBERS"] = kept
    service.start()
    until(lambda: service.pool() == {"GB": (1, 1)}, 30)
    parameters = {"DialledNumber": "911", "Country": "GB", "AgentIdentity": IDENTITY}
    assert service.announce("ec_EmergencyCallDialled", **parameters)["callback_number"] == kept
    waits = service.announce("ec_EmergencyCallDialled", AgentId=second.id, **parameters)
    assert waits["callback_number"] is None
    service.hang_up()
    until(lambda: len(service.sandbox.acs.outbox) == 2, 30)
    until(lambda: not service.pending("notify") and not service.pending("restore_presence"), 30)
    service.kill()
    service.sandbox.faults.clear_log()
    service.let_time_pass("close_window", first.id)
    service.sandbox.faults.add("acs", Fault(cut="before", path=SEND, times=1))
    service.start()
    until(lambda: service.requests_seen("acs", SEND) == 1, 30)
    service.kill()
    service.start()
    until(lambda: len(service.sandbox.acs.outbox) == 3, 30)
    mail = service.sandbox.acs.outbox[-1]
    assert sorted(mail.recipients) == sorted(second.recipients)
    assert kept in str(mail.message)
    with service.connector.store.read() as connection:
        assert calls.holder(connection, kept) == second.id


@pytest.mark.parametrize("ended", [True, False])
def test_what_fell_due_while_no_process_ran_is_done_at_the_start(service: Service, ended: bool) -> None:
    service.dial()
    all_of_a_dial_is_done(service)
    if ended:
        service.hang_up()
        until(lambda: service.presence() == AVAILABLE, 30)
        until(lambda: not service.pending("restore_presence"), 30)
    service.kill()
    service.let_time_pass("close_window" if ended else "guard_call")
    service.start()
    if ended:
        until(lambda: service.state() is None, 30)
        until(lambda: not service.left_behind(), 10)
    else:
        until(lambda: service.presence() == AVAILABLE, 30)
        state = service.state()
        assert state is not None
        assert state.calls[0].end_cause == "guardian"


def test_killed_again_and_again(service: Service) -> None:
    service.dial()
    for _ in range(3):
        service.kill()
        service.start()
    all_of_a_dial_is_done(service)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize(("stand_in", "path"), [("acs", SEND), ("dataverse", PRESENCE)])
def test_killed_on_postgresql(
    sandbox: Sandbox, tmp_path: Path, postgresql: str, stand_in: str, path: str, cut: Any
) -> None:
    with serving(sandbox, tmp_path, new_database(postgresql)) as service:
        service.sandbox.faults.add(stand_in, Fault(cut=cut, path=path, times=1))
        service.dial()
        until(lambda: service.requests_seen(stand_in, path) == 1)
        service.kill()
        service.start()
        # The claim of the killed process must run out first: here another machine could still hold it.
        all_of_a_dial_is_done(service)
        service.hang_up()
        until(lambda: service.presence() == AVAILABLE, 30)


def test_a_second_process_on_one_sqlite_file_is_refused(service: Service) -> None:
    command = [sys.executable, "-c", "from connector.cli import main; main()", "serve", "--port", str(free_port())]
    second = subprocess.run(
        command, env=service.environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 2
    assert "another process" in second.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_on_request_is_clean(service: Service, stop: signal.Signals) -> None:
    assert service.process is not None
    service.sandbox.faults.set_latency("acs", 1500)
    service.dial()
    until(lambda: service.requests_seen("acs", SEND) == 1)
    assert service.pending("notify")
    service.process.send_signal(stop)
    assert service.process.wait(15) == 0
    assert not service.pending("notify"), "what was under way is finished"
    assert "Traceback" not in (service.folder / "log").read_text()
