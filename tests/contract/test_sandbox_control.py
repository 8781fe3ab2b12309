"""The whole sandbox: starting, stopping, what it tells about itself, and its control interface."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.clock import MovableClock
from connector.sandbox import Sandbox
from connector.sandbox.acs.app import VERSIONS
from connector.sandbox.dataverse import Rights
from tests.contract.conftest import Ask
from tests.contract.receiver import Reply, receiving


class Remote:
    """The control interface, as another process would use it."""

    def __init__(self, sandbox: Sandbox, session: requests.Session) -> None:
        self._url = sandbox.info.control_url
        self._session = session
        self.headers = {"x-sandbox-key": sandbox.info.control_key}

    def __call__(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self._session.request(method, self._url + path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def remote(fresh: Sandbox) -> Iterator[Remote]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = fresh.info.ca_file
        yield Remote(fresh, session)


def a_mail(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "senderAddress": sandbox.info.email_sender,
        "content": {"subject": "Emergency call"},
        "recipients": {"to": [{"address": "security@example.org"}]},
    }


SEND = f"/emails:send?api-version={VERSIONS['email']}"


def test_without_the_key_nothing_is_told(remote: Remote) -> None:
    for key in ("", "wrong"):
        remote.headers = {"x-sandbox-key": key}
        for method, path in (("GET", "/"), ("GET", "/mails"), ("POST", "/clock")):
            remote(method, path, status=401)


def test_the_routes_are_listed(remote: Remote) -> None:
    routes = remote("GET", "/")
    assert {"GET /mails", "POST /clock", "POST /faults/{service}"} <= routes.keys()
    for route in routes:
        method, _, path = route.partition(" ")
        if method == "GET" and "{" not in path:
            remote(method, path)


def test_the_clock_is_moved(remote: Remote, fresh: Sandbox) -> None:
    before = fresh.clock.now()
    remote("POST", "/clock", {"advance": 3600})
    assert 3600 <= (fresh.clock.now() - before).total_seconds() < 3610
    assert "forward" in remote("POST", "/clock", {"advance": -1}, status=400)["error"]
    assert "advance" in remote("POST", "/clock", {}, status=400)["error"]


def test_faults_are_set_and_cleared(remote: Remote, ask: Ask, fresh: Sandbox) -> None:
    remote("POST", "/faults/acs", {"status": 503, "path": "emails:send", "times": 2})
    assert ask("POST", SEND, a_mail(fresh)).status_code == 503
    assert [one["times"] for one in remote("GET", "/faults/acs")] == [1]
    remote("DELETE", "/faults/acs")
    assert ask("POST", SEND, a_mail(fresh)).status_code == 202
    remote("POST", "/outage/acs", {"outage": "unavailable"})
    assert ask("POST", SEND, a_mail(fresh)).status_code == 503
    remote("DELETE", "/faults")
    assert ask("POST", SEND, a_mail(fresh)).status_code == 202
    remote("POST", "/latency/acs", {"milliseconds": 50})
    started = time.perf_counter()
    ask("POST", SEND, a_mail(fresh))
    assert time.perf_counter() - started >= 0.05


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults/nowhere", {"status": 503}),
        ("/faults/acs", {"sttaus": 503}),
        ("/latency/acs", {"milliseconds": "long"}),
        ("/outage/acs", {"outage": "sometimes"}),
        ("/options/acs", {"email_repeat": "perhaps"}),
        ("/options/acs", {"no_such": 1}),
        ("/options/acs", {"email_seconds": "thirty"}),
        ("/options/dataverse", {"no_such": 1}),
        ("/options/dataverse", {"rights": {"client": {"no_such": 1}}}),
        ("/options/nowhere", {}),
        ("/calls", {"from": "+12065550111"}),
        ("/event-grid/subscriptions", {"url": "http://127.0.0.1:9/"}),
        ("/event-grid/subscriptions", {"url": "http://127.0.0.1:9/", "schema": "mine"}),
        ("/clock", ["advance"]),
    ],
)
def test_nonsense_is_refused_with_a_reason(remote: Remote, path: str, body: Any) -> None:
    assert remote("POST", path, body, status=400)["error"]


def test_mails_are_read_and_forgotten(remote: Remote, ask: Ask, fresh: Sandbox) -> None:
    operation_id = ask("POST", SEND, a_mail(fresh)).json()["id"]
    (mail,) = remote("GET", "/mails")
    assert (mail["operation_id"], mail["recipients"]) == (operation_id, ["security@example.org"])
    assert mail["message"]["content"]["subject"] == "Emergency call"
    remote("DELETE", "/mails")
    assert remote("GET", "/mails") == []


def test_options_are_changed(remote: Remote, fresh: Sandbox) -> None:
    assert remote("POST", "/options/acs", {"email_repeat": "reject"})["email_repeat"] == "reject"
    assert fresh.acs.options.email_repeat == "reject"
    remote("POST", "/options/dataverse", {"recipients_column": False})
    assert fresh.dataverse.options.recipients_column is False
    remote("POST", "/options/dataverse", {"recipients_column": True})


def test_a_privilege_is_taken_away_and_given_back(remote: Remote, fresh: Sandbox) -> None:
    client = fresh.info.client_id
    told = remote("POST", "/options/dataverse", {"rights": {client: {"denied": ["prvReadmailbox"]}}})
    assert told["rights"][client]["denied"] == ["prvReadmailbox"]
    assert fresh.dataverse.options.rights == {client: Rights(denied=frozenset({"prvReadmailbox"}))}
    remote("POST", "/options/dataverse", {"rights": {}})
    assert fresh.dataverse.options.rights == {}


def test_an_incoming_call_reaches_a_subscriber_and_is_redirected(remote: Remote, ask: Ask) -> None:
    with receiving() as receiver:
        remote("POST", "/event-grid/disorder", {"duplicates": 1})
        subscription = {"url": receiver.url, "event_types": ["Microsoft.Communication.IncomingCall"]}
        assert remote("POST", "/event-grid/subscriptions", subscription)["validated"] is True
        event = remote("POST", "/calls", {"from": "+12065550111", "to": "+14255550100"})
        _, first, second = receiver.wait_for(3)
        assert first.body == second.body == [event]
    target = {"rawId": "4:+12065550122", "phoneNumber": {"value": "+12065550122"}}
    body = {"incomingCallContext": event["data"]["incomingCallContext"], "target": target}
    ask("POST", f"/calling/callConnections:redirect?api-version={VERSIONS['calls']}", body)
    last = remote("GET", "/redirects")[-1]
    assert (last["called"], last["target"]) == ("+14255550100", "+12065550122")
    assert len(remote("GET", "/event-grid/attempts")) == 2


def test_the_validation_url_needs_no_key(remote: Remote, fresh: Sandbox) -> None:
    with receiving() as receiver:
        receiver.usual = lambda _: Reply(200)
        subscription = remote("POST", "/event-grid/subscriptions", {"url": receiver.url})
        assert subscription["validated"] is False
        url = receiver.arrived[0].body[0]["data"]["validationUrl"]
    assert url.startswith(fresh.info.control_url)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = fresh.info.ca_file
        assert session.get(url + "x").status_code == 400
        assert session.get(url).status_code == 200
    assert fresh.event_grid.subscriptions[-1].validated


def test_presences_are_those_of_the_organisation(remote: Remote, fresh: Sandbox) -> None:
    rows = remote("GET", "/presences")
    assert len(rows) >= 60
    assert {row["_msdyn_agentid_value"] for row in rows} >= set(fresh.organisation.agent_ids)


def test_a_webhook_is_registered_and_called(remote: Remote, fresh: Sandbox) -> None:
    with receiving() as receiver:
        receiver.usual = lambda _: Reply(200)
        body = {
            "url": receiver.url,
            "headers": {"x-webhook-key": "k"},
            "messages": ["Update:msdyn_agentstatus"],
        }
        remote("POST", "/webhooks", body)
        row = remote("GET", "/presences")[0]
        presences = [one["msdyn_presenceid"] for one in fresh.dataverse.rows.all("msdyn_presence")]
        other = next(one for one in presences if one != row.get("_msdyn_currentpresenceid_value"))
        fresh.dataverse.set_presence(row["_msdyn_agentid_value"], other)
        (arrived,) = receiver.wait_for(1)
    assert arrived.headers["x-webhook-key"] == "k"
    assert arrived.body["PrimaryEntityName"] == "msdyn_agentstatus"


def test_the_request_log_is_dumped_without_secrets(remote: Remote, ask: Ask, fresh: Sandbox) -> None:
    ask("POST", SEND, a_mail(fresh))
    (seen,) = remote("GET", "/requests?service=acs")
    assert (seen["method"], seen["target"], seen["status"]) == ("POST", SEND, 202)
    everything = str(remote("GET", "/requests"))
    assert fresh.info.control_key not in everything
    assert "Signature=" not in everything
    remote("DELETE", "/requests")
    assert remote("GET", "/requests?service=acs") == []


def test_info_gives_settings_and_hides_secrets(sandbox: Sandbox) -> None:
    info = sandbox.info
    settings = info.settings()
    assert set(settings) == {
        f"EMERGENCY_{name}"
        for name in (
            "DATAVERSE_URL", "AUTHORITY", "CLIENT_ID", "CLIENT_SECRET",
            "ACS_ENDPOINT", "ACS_ACCESS_KEY", "EMAIL_SENDER", "CA_FILE",
        )
    }  # fmt: skip
    assert settings["EMERGENCY_AUTHORITY"].endswith(f"/{info.tenant_id}")
    assert info.as_dict()["control_key"] == info.control_key
    for secret in (info.client_secret, info.acs_access_key, info.control_key):
        assert secret not in repr(info)


def test_all_is_gone_after_the_end_though_a_client_keeps_its_connection() -> None:
    before = set(threading.enumerate())
    clock = MovableClock()
    with requests.Session() as session:
        session.trust_env = False
        with Sandbox.start(agents=5, clock=clock) as sandbox:
            session.verify = sandbox.info.ca_file
            configuration = f"{sandbox.info.authority}/v2.0/.well-known/openid-configuration"
            assert session.get(configuration).status_code == 200
            headers = {"x-sandbox-key": sandbox.info.control_key}
            assert session.get(f"{sandbox.info.control_url}/presences", headers=headers).status_code == 200
            assert sandbox.clock is clock
        assert not Path(sandbox.info.ca_file).exists()
        sandbox.stop()
    assert set(threading.enumerate()) <= before


def test_ports_and_folder_can_be_chosen(tmp_path: Path) -> None:
    with Sandbox.start(agents=5, folder=tmp_path) as first:
        port = int(first.info.acs_endpoint.rpartition(":")[2])
    with Sandbox.start(agents=5, folder=tmp_path, ports={"acs": port}) as second:
        assert second.info.acs_endpoint == f"https://localhost:{port}"
        assert second.info.acs_access_key != first.info.acs_access_key
    assert (tmp_path / "ca.pem").exists()
