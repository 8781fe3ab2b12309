"""MSAL, unchanged, against the stand-in of Entra ID."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import msal
import pytest
import requests

from connector.clock import MovableClock
from connector.sandbox import Sandbox
from connector.sandbox.entra import TokenRefused, Tokens
from tests.contract.dataverse_side import plain_session


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(agents=1) as sandbox:
        yield sandbox


@pytest.fixture
def session(running: Sandbox) -> Iterator[requests.Session]:
    with plain_session(running) as session:
        yield session


def application(running: Sandbox, session: requests.Session, **changes: Any) -> msal.ConfidentialClientApplication:
    credential = changes.pop("credential", running.info.client_secret)
    client = changes.pop("client_id", running.info.client_id)
    return msal.ConfidentialClientApplication(
        client,
        authority=running.info.authority,
        client_credential=credential,
        instance_discovery=False,
        http_client=session,
    )


def test_msal_gets_a_token_and_keeps_it(running: Sandbox, session: requests.Session) -> None:
    app = application(running, session)
    scope = [f"{running.info.dataverse_url}/.default"]

    first, second = app.acquire_token_for_client(scope), app.acquire_token_for_client(scope)

    assert first["token_source"] == "identity_provider"
    assert 3590 <= first["expires_in"] <= 3599
    assert second["token_source"] == "cache"
    claims = jwt.decode(first["access_token"], options={"verify_signature": False})
    assert claims["aud"] == running.info.dataverse_url
    assert claims["appid"] == running.info.client_id


def test_the_double_slash_scope_of_acs_is_accepted(running: Sandbox, session: requests.Session) -> None:
    answer = application(running, session).acquire_token_for_client(["https://communication.azure.com//.default"])

    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["aud"] == "https://communication.azure.com"


@pytest.mark.parametrize(
    ("changes", "scope", "error", "code"),
    [
        ({"credential": "wrong"}, "https://org.example/.default", "invalid_client", 7000215),
        ({"client_id": "unknown"}, "https://org.example/.default", "unauthorized_client", 700016),
        ({}, "https://org.example/user_impersonation", "invalid_scope", 70011),
    ],
)
def test_refusals_name_their_reason(
    running: Sandbox, session: requests.Session, changes: dict[str, str], scope: str, error: str, code: int
) -> None:
    answer = application(running, session, **changes).acquire_token_for_client([scope])

    assert answer["error"] == error
    assert answer["error_codes"] == [code]
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert answer.keys() >= {"timestamp", "trace_id", "correlation_id"}


def test_a_wrong_secret_is_a_401(running: Sandbox, session: requests.Session) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": running.info.client_id,
        "client_secret": "wrong",
        "scope": "https://org.example/.default",
    }

    assert session.post(f"{running.info.authority}/oauth2/v2.0/token", data=form, timeout=5).status_code == 401


def test_an_assertion_of_the_client_itself_is_accepted(running: Sandbox, session: requests.Session) -> None:
    claims = {"iss": running.info.client_id, "sub": running.info.client_id, "exp": int(time.time()) + 60}
    assertion = jwt.encode(claims, "a key of thirty-two bytes or more", algorithm="HS256")
    app = application(running, session, credential={"client_assertion": lambda: assertion})

    assert "access_token" in app.acquire_token_for_client(["https://org.example/.default"])


@pytest.mark.parametrize("client", ["somebody else", None])
def test_an_assertion_of_somebody_else_is_refused(
    running: Sandbox, session: requests.Session, client: str | None
) -> None:
    claims = {"iss": client or "", "sub": running.info.client_id}
    assertion = jwt.encode(claims, "a key of thirty-two bytes or more", algorithm="HS256")
    app = application(running, session, credential={"client_assertion": lambda: assertion})

    assert app.acquire_token_for_client(["https://org.example/.default"])["error"] == "invalid_client"


def test_a_token_dies_by_the_injected_clock() -> None:
    clock = MovableClock()
    tokens = Tokens(clock)
    token = tokens.issue("client", "https://org.example/.default")

    assert tokens.check(token, audience="https://org.example") == "client"
    clock.advance(3600)
    with pytest.raises(TokenRefused, match="expired"):
        tokens.check(token, audience="https://org.example")


def test_a_token_of_another_issuer_or_for_another_resource_is_refused() -> None:
    clock = MovableClock()
    tokens = Tokens(clock)

    with pytest.raises(TokenRefused, match="another resource"):
        tokens.check(tokens.issue("client", "https://org.example/.default"), audience="https://other.example")
    with pytest.raises(TokenRefused, match="cannot be read"):
        tokens.check(Tokens(clock).issue("client", "https://org.example/.default"), audience="https://org.example")
