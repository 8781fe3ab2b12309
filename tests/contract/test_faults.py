"""Faults, latency and the request log around a running app."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from connector.clock import MovableClock
from connector.sandbox.faults import Fault, Faults
from connector.sandbox.server import Authority, Servers

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Served:
    """An app that counts its requests, behind the layer under test."""

    def __init__(self, folder: Path) -> None:
        self.handled: list[str] = []
        self.faults = Faults(MovableClock(START))
        self.authority = Authority(folder)
        app = self.faults.wrap("app", Starlette(routes=[Route("/{path:path}", self.count, methods=["GET", "POST"])]))
        self.servers = Servers({"app": app}, self.authority)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.authority.ca_file)

    async def count(self, request: Request) -> Response:
        self.handled.append(f"{request.method} {request.url.path}")
        return PlainTextResponse(str(len(await request.body())))

    def get(self, target: str = "/", **headers: str) -> requests.Response:
        return self.session.get(self.servers.url("app") + target, headers=headers)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    with served.servers, served.session:
        yield served
        served.session.close()


def test_without_a_fault_a_request_passes(served: Served) -> None:
    assert served.get().status_code == 200
    assert served.handled == ["GET /"]


def test_the_next_answers_are_those_that_were_set(served: Served) -> None:
    served.faults.add("app", Fault(status=429, headers={"Retry-After": "7"}, body='{"error":{}}'))
    served.faults.add("app", Fault(status=500, times=2))
    answers = [served.get() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 500, 500, 200]
    assert (answers[0].headers["Retry-After"], answers[0].json()) == ("7", {"error": {}})
    assert served.handled == ["GET /"]


def test_a_fault_meets_only_what_it_names(served: Served) -> None:
    served.faults.add("app", Fault(status=503, method="^get$", path=r"^/a%2B\d+\?", times=0))
    assert [served.get(target).status_code for target in ("/a%2B1", "/b?c", "/a%2B1?c", "/a%2B22?c")] == [
        200,
        200,
        503,
        503,
    ]
    assert served.session.post(served.servers.url("app") + "/a%2B1?c").status_code == 200
    served.faults.clear("app")
    assert served.get("/a%2B1?c").status_code == 200


@pytest.mark.parametrize(("cut", "handled"), [("before", []), ("after", ["POST /"])])
def test_a_connection_is_cut_without_an_answer(served: Served, cut: str, handled: list[str]) -> None:
    served.faults.add("app", Fault(cut="before" if cut == "before" else "after"))
    with pytest.raises(requests.ConnectionError, match=r"RemoteDisconnected|ConnectionResetError"):
        served.session.post(served.servers.url("app"), data=b"body")
    assert served.handled == handled
    assert served.faults.log()[0].status is None
    assert served.get().status_code == 200


def test_an_outage_cuts_everything_until_it_ends(served: Served) -> None:
    served.faults.set_outage("app")
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            served.get()
    served.faults.set_outage("app", "unavailable")
    assert served.get().status_code == 503
    served.faults.set_outage("app", None)
    assert served.get().status_code == 200
    assert len(served.handled) == 1


def test_slow_requests_wait_side_by_side(served: Served) -> None:
    served.faults.set_latency("app", 200)

    def ask(_: int) -> int:
        # One after the other they would take 8 s, and the last ones would give up.
        url, trust = served.servers.url("app"), str(served.authority.ca_file)
        return requests.get(url, verify=trust, timeout=4).status_code

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(ask, range(40))) == [200] * 40
    served.faults.clear()
    assert served.get().status_code == 200


def test_the_log_keeps_what_was_sent_and_hides_what_is_secret(served: Served) -> None:
    served.get("/a%2Bb?q=%20", Authorization="Bearer secret-token", Cookie="secret", **{"X-Other": "shown"})
    (seen,) = served.faults.log("app")
    assert (seen.method, seen.target, seen.status, seen.at) == ("GET", "/a%2Bb?q=%20", 200, START)
    assert seen.headers["authorization"] == "Bearer ***"
    assert seen.headers["x-other"] == "shown"
    assert "secret" not in str(seen.as_json())
    served.session.post(served.servers.url("app"), data=b"12345")
    assert served.faults.log()[-1].size == 5
    served.faults.clear_log()
    assert served.faults.log() == []


@pytest.mark.parametrize(
    "values", [{"status": 99}, {"cut": "sometimes"}, {"path": "("}, {"method": "["}, {"status": 600}]
)
def test_a_fault_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cut|status|pattern"):
        Fault(**values)  # type: ignore[arg-type] # wrong on purpose


def test_an_unknown_service_is_refused(served: Served) -> None:
    with pytest.raises(ValueError, match="no such service"):
        served.faults.add("dataverse", Fault())
    with pytest.raises(ValueError, match="no such service"):
        served.faults.set_latency("dataverse", 1)
    with pytest.raises(ValueError, match="no such service"):
        served.faults.set_outage("dataverse")


def test_latency_is_not_negative(served: Served) -> None:
    with pytest.raises(ValueError, match="not negative"):
        served.faults.set_latency("app", -1)


def test_answers_do_not_wait_for_acknowledgements(served: Served) -> None:
    # asyncio sets TCP_NODELAY only on sockets that were made as TCP ones: without it each answer takes 40 ms.
    assert {listener.proto for listener in served.servers._sockets.values()} == {socket.IPPROTO_TCP}
