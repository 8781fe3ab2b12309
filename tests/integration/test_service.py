"""The service over real HTTP: who is let in, what is answered to rubbish, what health and metrics tell."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector import logs
from connector.sandbox import Sandbox
from connector.sandbox.faults import Fault
from connector.settings import Settings
from tests.integration.stage import FALLBACK, OTHER_SECRET, SECRET, Stage, staged, until

VALIDATION = [
    {
        "id": "1",
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/communicationServices/ours",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "code-1", "validationUrl": "https://example.com"},
    }
]


def bare(stage: Stage, path: str = "/webhooks/dataverse", **options: Any) -> requests.Response:
    return requests.post(f"{stage.url}{path}", timeout=10, **options)


@pytest.mark.parametrize("path", ["/webhooks/dataverse", "/webhooks/eventgrid", "/api/v1/calls"])
@pytest.mark.parametrize(
    "headers", [{}, {"x-emergency-secret": "wrong"}, {"x-emergency-secret": "é"}, {"Authorization": "Bearer"}]
)
def test_without_a_valid_secret_nobody_is_let_in(stage: Stage, path: str, headers: dict[str, str]) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    assert bare(stage, path, json={"agent_id": "x"}, headers=encoded).status_code == 401


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_every_way_to_carry_either_secret_is_accepted(stage: Stage, secret: str) -> None:
    ways: tuple[dict[str, Any], ...] = (
        {"headers": {"x-emergency-secret": secret}},
        {"params": {"code": secret}},
        {"params": {"secret": secret}},
        {"headers": {"Authorization": f"Bearer {secret}"}},
    )
    for way in ways:
        assert bare(stage, json={}, **way).status_code == 200


def test_a_body_over_the_cap_is_refused_whether_or_not_it_says_so(stage: Stage) -> None:
    most = Settings().max_body_bytes
    large = b"x" * (most + 1)
    assert stage.post(large).status_code == 413
    chunks = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
    unsaid = bare(stage, data=chunks, headers={"x-emergency-secret": SECRET})
    assert unsaid.status_code == 413


@pytest.mark.parametrize("body", [b"", b"not json", b"[1, 2]", b"\xff\xfe", b'"text"', b"[" * 50_000, b"nul"])
def test_what_is_no_json_object_is_400(stage: Stage, body: bytes) -> None:
    assert stage.post(body).status_code == 400


@pytest.mark.parametrize("message", ["Update", "Create", "ec_Other", "", None, 7])
def test_a_message_that_is_none_of_ours_is_answered_and_ignored(stage: Stage, message: object) -> None:
    answer = stage.post({"MessageName": message, "PrimaryEntityName": "account", "InputParameters": []})
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    stage.settle()
    assert stage.mails == []


def test_a_json_string_that_holds_json_is_read(stage: Stage) -> None:
    body = json.dumps(json.dumps({"MessageName": "Update"})).encode()
    assert stage.post(b"\xef\xbb\xbf" + body).status_code == 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parameters=st.lists(
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(["AgentId", "DialledNumber", "CallId", "Location", "DialledOn", "Target", "x"]),
                "value": st.recursive(
                    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
                    max_leaves=4,
                ),
            }
        ),
        max_size=5,
    )
)
def test_an_announcement_is_answered_2xx_whatever_its_parts(stage: Stage, parameters: list[object]) -> None:
    body = {"MessageName": "ec_EmergencyCallDialled", "InputParameters": parameters}
    assert stage.post(body).status_code == 200


def test_event_grids_question_is_answered(stage: Stage) -> None:
    answer = stage.post(VALIDATION, "/webhooks/eventgrid", headers={"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "code-1"})


def test_a_foreign_topic_may_not_subscribe(sandbox: Sandbox, tmp_path: Path) -> None:
    with staged(sandbox, tmp_path, eventgrid_topic="/subscriptions/other") as stage:
        assert stage.post(VALIDATION, "/webhooks/eventgrid").status_code == 400


def test_the_cloud_events_hand_shake(stage: Stage) -> None:
    origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answer = requests.options(f"{stage.url}/webhooks/eventgrid?code={SECRET}", headers=origin, timeout=10)
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert requests.options(f"{stage.url}/webhooks/eventgrid", headers=origin, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "event", [{}, {"eventType": 5}, {"eventType": "Microsoft.Communication.IncomingCall", "data": 3}]
)
def test_odd_events_are_answered_and_counted(stage: Stage, event: dict[str, object]) -> None:
    before = stage.metric("emergency_deliveries_total{")
    assert stage.post([event, 3], "/webhooks/eventgrid").status_code == 200
    assert stage.metric("emergency_deliveries_total{") == before + 1


def test_without_its_store_the_service_says_try_again(stage: Stage) -> None:
    agent = stage.agents()[0]
    store = Path(str(stage.connector.store.engine.url.database))
    store.rename(store.with_suffix(".away"))
    store.mkdir()
    stage.connector.store.engine.dispose()
    try:
        parameters = {"AgentId": agent.id, "DialledNumber": "911", "CallId": "x"}
        answer = stage.announce("ec_EmergencyCallDialled", parameters)
        assert answer.status_code == 503, "the one status after which Dataverse tries once more"
        assert requests.get(f"{stage.url}/readyz", timeout=10).status_code == 503
    finally:
        store.rmdir()
        store.with_suffix(".away").rename(store)
    assert stage.announce("ec_EmergencyCallDialled", parameters).status_code == 200


@pytest.mark.parametrize(
    "call",
    [
        {"agent_id": "nobody", "dialled": "911"},
        {"agent_id": None, "dialled": 911},
        {"dialled": "911", "dialled_at": "yesterday", "location": "x" * 3000},
        {"agent_id": ["a"], "dialled": {"number": "911"}, "locaton": "misspelt"},
        {},
    ],
)
def test_a_soft_phones_dial_that_cannot_be_read_still_alarms(stage: Stage, call: dict[str, Any]) -> None:
    # As a plain form post, which is what curl sends unless told otherwise.
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert stage.post(json.dumps(call).encode(), "/api/v1/calls", headers=headers).status_code == 201
    until(lambda: stage.mails)
    assert stage.mails[0].recipients == [FALLBACK]


def test_a_soft_phones_dial_that_is_no_emergency_is_200(stage: Stage) -> None:
    answer = stage.post({"agent_id": stage.agents()[0].id, "dialled": "+12025550147"}, "/api/v1/calls")
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")


def test_soft_phones_are_refused_and_counted_as_webhooks_are(stage: Stage) -> None:
    before = stage.metric('emergency_deliveries_total{outcome="refused_')
    assert bare(stage, "/api/v1/calls", data=b"x" * 5_000_000).status_code == 401
    assert stage.post(b"x" * 5_000_000, "/api/v1/calls").status_code == 413
    assert stage.post(b"not json", "/api/v1/calls").status_code == 400
    assert stage.post(b"[]", "/api/v1/calls").status_code == 400
    assert stage.metric('emergency_deliveries_total{outcome="refused_') == before + 4


def test_a_corrupt_directory_degrades_the_message_and_refuses_nothing(stage: Stage) -> None:
    agent = stage.agents()[0]
    directory = Path(str(stage.connector.directory_store.engine.url.database))
    stage.connector.directory_store.engine.dispose()
    for file in directory.parent.glob("directory.db*"):
        file.write_bytes(b"this is no database" * 1000)
    stage.dial(agent)
    until(lambda: stage.mails)
    assert stage.mails[0].recipients == [FALLBACK]


def test_metrics_are_told_though_the_store_is_away(stage: Stage) -> None:
    store = Path(str(stage.connector.store.engine.url.database))
    store.rename(store.with_suffix(".away"))
    store.mkdir()
    stage.connector.store.engine.dispose()
    try:
        assert requests.get(f"{stage.url}/metrics", timeout=10).status_code == 200
    finally:
        store.rmdir()
        store.with_suffix(".away").rename(store)


def test_unknown_calls_are_404(stage: Stage) -> None:
    assert stage.post({}, "/api/v1/calls/unknown/end").status_code == 404
    panel = requests.get(f"{stage.url}/api/v1/calls/unknown/panel", headers={"x-emergency-secret": SECRET}, timeout=10)
    assert panel.status_code == 404


def test_health_readiness_and_contract(stage: Stage) -> None:
    assert requests.get(f"{stage.url}/healthz", timeout=10).json() == {"status": "ok"}
    ready = requests.get(f"{stage.url}/readyz", timeout=10).json()
    assert ready["status"] == "ready"
    assert set(ready["directory_age_seconds"]) == {*stage.connector.mappings.tables, "acs"}
    assert ready["free_numbers"]["US"] > 0
    contract = requests.get(f"{stage.url}/openapi.json", timeout=10).json()
    assert {"/webhooks/dataverse", "/api/v1/calls", "/api/v1/calls/{call_id}/panel"} <= contract["paths"].keys()


def test_the_panel_can_be_left_to_dynamics(sandbox: Sandbox, tmp_path: Path) -> None:
    with staged(sandbox, tmp_path, excluded_steps="panel") as stage:
        answer = stage.dial(stage.agents()[0])
        assert answer["panel"] is None


def test_neither_log_nor_metrics_hold_anything_personal(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    agent = stage.agents()[0]
    with log.open("w") as stream:
        logs.configure(level="debug", stream=stream)
        try:
            stage.sandbox.faults.add(
                "acs", Fault(status=400, path="emails:send", times=1, body='{"error": {"code": "X"}}')
            )
            answer = stage.dial(agent, Location="Room 411, north wing")
            stage.announce("ec_EmergencyCallDialled", {"AgentId": "junk", "Location": "Room 411, north wing"})
            stage.post(b"Room 411, north wing")
            logging.getLogger("azure").warning("quoted: %s", agent.name)
            stage.settle()
            stage.hang_up(agent)
            stage.settle()
            stage.pass_time(61)
            stage.settle()
        finally:
            logs.configure(level="critical")
    told = log.read_text() + requests.get(f"{stage.url}/metrics", timeout=10).text
    assert "effect_done" in told
    number = str(agent.number).removeprefix("+")
    secrets = (agent.name, number, agent.id, "Room 411", SECRET, str(answer["callback_number"]), *agent.recipients)
    assert [what for what in secrets if what in told] == []


def test_nothing_is_left_in_the_store_after_forgetting(stage: Stage) -> None:
    agent = stage.agents()[0]
    answer = stage.dial(agent, Location="Room 411, north wing")
    stage.settle()
    found = b"".join(file.read_bytes() for file in stage.folder.glob("calls.db*"))
    assert b"Room 411" in found, "while the call is on, it is on disk"
    stage.hang_up(agent)
    stage.settle()
    stage.pass_time(61)
    assert stage.state(agent) is None
    found = b"".join(file.read_bytes() for file in stage.folder.glob("calls.db*"))
    personal = (agent.id, agent.name, "Room 411", str(answer["call_id"]), *agent.recipients)
    assert [what for what in personal if what.encode() in found] == []
