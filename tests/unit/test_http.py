"""The one session: its short way sends what it is given, and nothing else to nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import responses

from connector import settings
from connector.http import Session, session

URL = "https://org.example/api/data/v9.2/rows"


@pytest.fixture
def http() -> Iterator[Session]:
    with session(settings.given({})) as made:
        yield made


def exchange(http: Session, url: str = URL, body: bytes | None = None) -> requests.Response:
    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
    return http.exchange("GET" if body is None else "POST", url, headers=headers, body=body, timeout=(1, 2))


@responses.activate
def test_an_answer_is_read_whole(http: Session) -> None:
    responses.get(URL, json={"value": [1]}, headers={"x-ms-request-id": "r"})
    answer = exchange(http)
    assert (answer.status_code, answer.json(), answer.headers["X-MS-Request-Id"]) == (200, {"value": [1]}, "r")


@responses.activate
def test_a_body_goes_out_as_it_is(http: Session) -> None:
    responses.post(URL, status=202)
    assert exchange(http, body=b'{"a": "\xc3\xa9"}').status_code == 202
    sent = responses.calls[0].request
    assert (sent.body, sent.headers["Content-Length"]) == (b'{"a": "\xc3\xa9"}', "11")


@responses.activate
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(http: Session, status: int) -> None:
    responses.post(URL, status=status, headers={"Location": "https://elsewhere.example/"})
    assert exchange(http, body=b"{}").status_code == status
    assert len(responses.calls) == 1


@responses.activate
def test_no_cookie_is_kept(http: Session) -> None:
    responses.get(URL, headers={"Set-Cookie": "a=b"})
    exchange(http)
    exchange(http)
    assert "Cookie" not in responses.calls[1].request.headers
    assert not http.cookies


@responses.activate
def test_what_an_address_must_not_hold_is_quoted(http: Session) -> None:
    responses.get("https://org.example/a%20b")
    exchange(http, "https://org.example/a b")
    assert responses.calls[0].request.url == "https://org.example/a%20b"


def test_a_proxy_of_the_environment_is_used(http: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(requests.exceptions.ProxyError):
        exchange(http)


def test_nobody_there_is_an_error_of_requests(http: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(requests.exceptions.ConnectionError):
        exchange(http, "https://127.0.0.1:9/")
