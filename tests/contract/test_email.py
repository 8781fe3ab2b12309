"""Our own way to ACS Email: accepted as the official client is, and each refusal is the error that says what to do."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest
import requests
import responses

from connector import settings
from connector.acs.email import Email
from connector.acs.pipeline import Access
from connector.dataverse.tokens import Tokens
from connector.errors import AuthenticationError, ConnectorError, NotFound, RetryLater, ServiceRejected
from connector.http import session
from connector.sandbox import Sandbox

KEY = base64.b64encode(b"another key").decode()
MESSAGE: dict[str, Any] = {
    "content": {"subject": "Übung", "plainText": "An emergency call", "html": "<p>An emergency call</p>"},
    "recipients": {"to": [{"address": "lead@example.com"}]},
}
URL = "https://acs.example/emails:send?api-version=2025-09-01"


def email(sandbox: Sandbox, **others: Any) -> Email:
    given = settings.given(sandbox.info.settings(), **others)
    http = session(given)
    return Email(Access(given, Tokens(given, http), http))


def message(client: Email) -> dict[str, Any]:
    return {"senderAddress": client.sender, **MESSAGE}


@pytest.mark.parametrize("others", [{}, {"acs_access_key": None}], ids=["key", "entra"])
def test_a_message_is_accepted_under_its_operation_id(fresh: Sandbox, others: dict[str, Any]) -> None:
    client, operation_id = email(fresh, **others), str(uuid.uuid4())
    client.send(message(client), operation_id, repeated=False)
    (mail,) = fresh.acs.outbox
    assert (mail.operation_id, mail.subject, mail.recipients) == (operation_id, "Übung", ["lead@example.com"])
    assert client.was_accepted(operation_id)
    assert not client.was_accepted(str(uuid.uuid4()))


def test_a_wrong_key_is_an_authentication_error(fresh: Sandbox) -> None:
    client = email(fresh, acs_access_key=KEY)
    with pytest.raises(AuthenticationError, match="EMERGENCY_ACS_ACCESS_KEY"):
        client.send(message(client), str(uuid.uuid4()), repeated=False)


def answered(sandbox: Sandbox, **answer: Any) -> ConnectorError:
    """The error that an answer of ACS means."""
    client = email(sandbox, acs_endpoint="https://acs.example")
    with responses.RequestsMock() as service:
        service.post(URL, **answer)
        with pytest.raises(ConnectorError) as raised:
            client.send(message(client), str(uuid.uuid4()), repeated=False)
    return raised.value


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        ({"status": 400, "json": {"error": {"code": "Bad", "message": "lead@example.com"}}}, ServiceRejected, "Bad"),
        ({"status": 400, "body": "<html>"}, ServiceRejected, "400"),
        ({"status": 404, "json": {"error": {"code": "DomainNotLinked"}}}, NotFound, "DomainNotLinked"),
        ({"status": 401}, AuthenticationError, "401"),
        ({"status": 403, "json": {"error": None}}, AuthenticationError, "403"),
        ({"status": 408}, RetryLater, "408"),
        ({"status": 429, "headers": {"Retry-After": "7"}}, RetryLater, "429"),
        ({"status": 503, "json": []}, RetryLater, "503"),
        ({"status": 307, "headers": {"Location": "https://elsewhere.example/"}}, RetryLater, "307"),
        ({"status": 200, "body": "<html>a page of a proxy</html>"}, RetryLater, "200"),
        ({"body": requests.ConnectionError("refused")}, RetryLater, "cannot be reached"),
        ({"body": requests.ReadTimeout("slow")}, RetryLater, "cannot be reached"),
    ],
)  # fmt: skip
def test_each_answer_is_the_error_that_says_what_to_do(
    fresh: Sandbox, answer: dict[str, Any], kind: type[ConnectorError], says: str
) -> None:
    error = answered(fresh, **answer)
    assert type(error) is kind
    assert says in str(error)
    assert "lead@example.com" not in str(error)


def test_the_wish_of_the_service_and_its_request_id_are_kept(fresh: Sandbox) -> None:
    error = answered(fresh, status=429, headers={"Retry-After": "7", "x-ms-request-id": "r-1"})
    assert isinstance(error, RetryLater)
    assert error.retry_after == 7
    assert "[request r-1]" in str(error)
