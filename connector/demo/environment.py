"""Sets the stage: stand-ins, a connector that serves, and the registrations an installer would make."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from connector import logs, settings
from connector.assembly import Connector
from connector.clock import MovableClock
from connector.directory.reader import Agent
from connector.prerequisites.report import AgentReport, check_all
from connector.sandbox import Sandbox
from connector.service.server import running

HEADER = "x-emergency-secret"
MESSAGES = ("ec_EmergencyCallDialled", "ec_EmergencyCallEnded")


@dataclass(frozen=True)
class Stage:
    """Everything the demo plays with. `clock` is the connector's own; the stand-ins' runs on."""

    sandbox: Sandbox
    connector: Connector
    clock: MovableClock
    url: str
    secret: str
    folder: Path
    reports: tuple[AgentReport, ...]

    @property
    def headers(self) -> dict[str, str]:
        return {HEADER: self.secret}

    @property
    def log_file(self) -> Path:
        return self.folder / "connector.log"

    @property
    def store_files(self) -> list[Path]:
        """The files of the calls; the directory is a file of its own."""
        return sorted(self.folder.glob("calls.db*"))

    def caller(self) -> Agent:
        """The agent who will dial: ready, in the United States, with several people to tell."""
        for report in self.reports:
            agent = self.connector.directory.agent(report.agent_id)
            if report.ready and report.country == "US" and agent and agent.number and len(agent.recipients) > 1:
                return agent
        raise RuntimeError("the seeded organisation has no agent who is ready: choose more agents")


@contextmanager
def set_up(agents: int, port: int, say: Callable[[str], None]) -> Iterator[Stage]:
    """Starts stand-ins and connector, syncs, validates, registers; ends everything afterwards."""
    with ExitStack() as at_end:
        folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="emergency-demo-")))
        at_end.enter_context(_logs_into(folder / "connector.log"))
        say(f"Starting local stand-ins of Entra ID, Dataverse, ACS and Event Grid with {agents} people …")
        sandbox = at_end.enter_context(Sandbox.start(agents=agents))
        secret, clock = secrets.token_urlsafe(24), MovableClock()
        chosen = _settings(sandbox, folder, secret)
        connector = at_end.enter_context(Connector(chosen, clock))
        rows = sum(result.read for result in connector.sync())
        reports = tuple(check_all(connector.directory_store, connector.mappings))
        ready = sum(report.ready for report in reports)
        say(f"Synced {rows} rows. {ready} of {len(reports)} agents are ready; the others lack a prerequisite.")
        connector.start_worker()
        url = at_end.enter_context(running(connector, port))
        sandbox.dataverse.register_webhook(
            f"{url}/webhooks/dataverse", headers={HEADER: secret}, messages=MESSAGES, synchronous=True
        )
        sandbox.event_grid.subscribe(f"{url}/webhooks/eventgrid?code={secret}")
        say(f"The connector serves on {url}; Dataverse and Event Grid know its webhooks.")
        yield Stage(sandbox, connector, clock, url, secret, folder, reports)


def _settings(sandbox: Sandbox, folder: Path, secret: str) -> settings.Settings:
    return settings.given(
        sandbox.info.settings(),
        store_url=f"sqlite:///{folder}/calls.db",
        directory_url=f"sqlite:///{folder}/directory.db",
        webhook_secrets=secret,
        fallback_recipients="duty-officer@example.com",
    )


@contextmanager
def _logs_into(file: Path) -> Iterator[None]:
    """The connector's log goes into a file, which the demo searches at its end."""
    with file.open("w", encoding="utf-8", buffering=1) as log:
        logs.configure(level="info", stream=log)
        try:
            yield
        finally:
            logs.configure(level="warning", stream=sys.stderr)


def wait_for(done: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Waits until something is so. Raises TimeoutError naming what did not come."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.002)


def through_dataverse(stage: Stage, message: str, parameters: dict[str, str]) -> None:
    """Calls a Custom API in Dataverse, as the plug-in or client script does when an agent dials or hangs up."""
    token = stage.connector.tokens.token(f"{stage.sandbox.info.dataverse_url}/.default")
    with requests.Session() as http:
        http.trust_env = False
        answer = http.post(
            f"{stage.sandbox.info.dataverse_url}/api/data/v9.2/{message}",
            json=parameters,
            headers={"Authorization": f"Bearer {token}"},
            verify=stage.sandbox.info.ca_file,
            timeout=30,
        )
    answer.raise_for_status()
