"""A running sandbox for the contract tests, and what they share to talk to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential, TokenCredential
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ClientSecretCredential

from connector.sandbox import Sandbox
from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.events import Disorder


class Ask(Protocol):
    """Sends a request signed by an official client; the target is the path with its query."""

    def __call__(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse: ...


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(agents=60) as running:
        yield running


@pytest.fixture
def fresh(sandbox: Sandbox) -> Sandbox:
    """The sandbox without what an earlier test set: options, faults, subscriptions, logs."""
    # Quotas off: they would be used up by the first few tests.
    defaults = AcsOptions(purchases_per_tenant=None, searches_per_week=None)
    sandbox.acs.options.change(vars(defaults))
    sandbox.acs.email.clear()
    sandbox.faults.clear()
    sandbox.faults.clear_log()
    sandbox.event_grid.disorder = Disorder(jitter=0.0)
    sandbox.event_grid.subscriptions.clear()
    sandbox.event_grid.attempts.clear()
    sandbox.event_grid.dead_letters.clear()
    return sandbox


@pytest.fixture
def ask(fresh: Sandbox) -> Iterator[Ask]:
    key = AzureKeyCredential(fresh.info.acs_access_key)
    with EmailClient(fresh.info.acs_endpoint, key, connection_verify=fresh.info.ca_file, retry_total=0) as client:

        def asking(
            method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
        ) -> HttpResponse:
            return client.send_request(HttpRequest(method, target, json=body, headers=dict(headers or {})))

        yield asking


@pytest.fixture(scope="module")
def entra(sandbox: Sandbox) -> Iterator[TokenCredential]:
    """The credential of an application in the sandbox's tenant."""
    info = sandbox.info
    with ClientSecretCredential(
        info.tenant_id,
        info.client_id,
        info.client_secret,
        authority=info.authority.rpartition("/")[0],
        disable_instance_discovery=True,
        connection_verify=info.ca_file,
    ) as credential:
        yield credential
