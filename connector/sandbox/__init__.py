"""A whole sandbox: local stand-ins of Entra ID, Dataverse, ACS and Event Grid, over real TLS, with one clock."""

from __future__ import annotations

import base64
import secrets
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from connector.clock import MovableClock
from connector.sandbox.acs import Acs
from connector.sandbox.acs.app import TOPIC
from connector.sandbox.control import Control
from connector.sandbox.dataverse import Dataverse
from connector.sandbox.entra import Tokens, entra_app
from connector.sandbox.event_grid import EventGrid
from connector.sandbox.faults import Faults
from connector.sandbox.info import SandboxInfo
from connector.sandbox.organisation import Organisation
from connector.sandbox.server import Authority, Servers

__all__ = ["Sandbox", "SandboxInfo"]

SEED = 911


class Sandbox:
    """All stand-ins, running. Made by `start`; a context manager, at whose end nothing is left.

    `clock` moves them all; `faults` disturbs them by name (entra, dataverse, acs, control).
    """

    def __init__(
        self, at_end: ExitStack, *, agents: int, folder: Path, clock: MovableClock, ports: Mapping[str, int]
    ) -> None:
        self.clock = clock
        self.faults = Faults(clock)
        self.organisation = Organisation.seed(agents, SEED)
        authority = Authority(folder)
        ca_file = str(authority.ca_file)
        tokens = Tokens(clock)
        access_key = base64.b64encode(secrets.token_bytes(48)).decode()
        client_secret, control_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        tenant_id, client_id = str(uuid.uuid4()), _client_id(self.organisation)

        self.event_grid = EventGrid(clock, ca_file, topic=TOPIC)
        at_end.callback(self.event_grid.stop)
        self.dataverse = Dataverse(self.organisation, tokens, clock, ca_file=ca_file)
        at_end.callback(self.dataverse.close)
        self.acs = Acs(
            clock=clock,
            access_key=access_key,
            tokens=tokens,
            numbers=self.organisation.acs_numbers,
            sip=self.organisation.sip,
            email_sender=self.organisation.email_sender,
            publish=self.event_grid.publish,
            ca_file=ca_file,
        )
        at_end.callback(self.acs.stop)
        control = Control(
            key=control_key,
            clock=clock,
            acs=self.acs,
            dataverse=self.dataverse,
            event_grid=self.event_grid,
            faults=self.faults,
        )
        apps = {
            "entra": entra_app(tokens, tenant_id=tenant_id, client_id=client_id, client_secrets=[client_secret]),
            "dataverse": self.dataverse.app,
            "acs": self.acs.app,
            "control": control.app,
        }
        servers = Servers({name: self.faults.wrap(name, app) for name, app in apps.items()}, authority, ports)
        self.event_grid.validation_url = f"{servers.url('control')}/event-grid/validate"
        self.info = SandboxInfo(
            authority=f"{servers.url('entra')}/{tenant_id}",
            tenant_id=tenant_id,
            client_id=client_id,
            client_secret=client_secret,
            dataverse_url=servers.url("dataverse"),
            acs_endpoint=servers.url("acs"),
            acs_access_key=access_key,
            email_sender=self.organisation.email_sender,
            control_url=servers.url("control"),
            control_key=control_key,
            ca_file=ca_file,
            organization_id=self.organisation.organization_id,
        )
        at_end.enter_context(servers)
        # Only what started whole is kept; until here the caller's stack would take everything down again.
        self._at_end = at_end.pop_all()

    @classmethod
    def start(
        cls,
        *,
        agents: int = 200,
        folder: Path | None = None,
        clock: MovableClock | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> Self:
        """Starts everything and waits until it answers.

        `folder` keeps the certificates; without one a temporary folder does, removed at the end. `ports` fixes the
        port of a service by name; the others are free ones.
        """
        with ExitStack() as at_end:
            if folder is None:
                folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="emergency-sandbox-")))
            return cls(at_end, agents=agents, folder=folder, clock=clock or MovableClock(), ports=ports or {})

    def stop(self) -> None:
        """Stops the servers and the senders, and removes the temporary folder. Safe to call twice."""
        self._at_end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _client_id(organisation: Organisation) -> str:
    """The client that the organisation knows as an application user: Entra and Dataverse must mean the same one."""
    users = organisation.tables["systemuser"]
    own = next(user for user in users if user["systemuserid"] == organisation.application_user_id)
    return str(own["applicationid"])
