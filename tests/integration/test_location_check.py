"""The location check over HTTP: what is kept, what is found, and that coordinates are kept nowhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connector import logs
from connector.prerequisites.load.organisation import validation_context
from connector.prerequisites.report import check_all
from tests.integration.stage import SECRET, Stage

SAN_JUAN, BERLIN = {"latitude": 18.46633, "longitude": -66.10572}, {"latitude": 52.52437, "longitude": 13.41053}


def check(stage: Stage, agent_id: str, **report: Any) -> requests.Response:
    url = f"{stage.url}/api/v1/agents/{agent_id}/location-check"
    return requests.post(url, json=report, headers={"x-emergency-secret": SECRET}, timeout=30)


def location(stage: Stage, agent_id: str) -> dict[str, tuple[str, str]]:
    """Findings about the agent's location: severity and evidence by code."""
    connector = stage.connector
    known = validation_context(connector.settings, connector.store, connector.clock.now())
    for report in check_all(connector.directory_store, connector.mappings, known):
        if report.agent_id == agent_id:
            found = (finding for finding in report.findings if finding.code.startswith("location."))
            return {finding.code: (finding.severity.value, finding.evidence) for finding in found}
    raise AssertionError("no such agent")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    written = io.StringIO()
    logs.configure(level="debug", stream=written)
    yield written
    logs.configure(level="critical")


def test_a_granted_check_is_good_until_it_expires(stage: Stage) -> None:
    agent = stage.agents("PR")[0]
    assert set(location(stage, agent.id)) == {"location.not_attested"}
    answer = check(stage, agent.id.upper(), permission="granted", accuracy_metres=20, **SAN_JUAN)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["valid_until"]
    assert {name: told[name] for name in ("permission", "accuracy", "country", "supported")} == {
        "permission": "granted",
        "accuracy": "precise",
        "country": "PR",
        "supported": True,
    }
    assert location(stage, agent.id) == {}
    stage.clock.advance(30 * 86_400 - 600)
    assert location(stage, agent.id) == {}
    stage.clock.advance(1200)
    severity, evidence = location(stage, agent.id)["location.expired"]
    assert severity == "unknown"
    assert "PR" in evidence


@pytest.mark.parametrize(
    ("report", "code", "severity"),
    [
        ({"permission": "denied", **SAN_JUAN}, "location.denied", "error"),
        ({"permission": "prompt"}, "location.not_allowed_yet", "warning"),
        ({"permission": "granted"}, "location.country_not_found", "unknown"),
        ({"permission": "granted", "latitude": 40, "longitude": -40}, "location.country_not_found", "unknown"),
        ({"permission": "granted", **BERLIN}, "location.browser_country_unsupported", "error"),
        ({"permission": "granted", "country": "fr"}, "location.browser_country_unsupported", "error"),
        ({"permission": "granted", **SAN_JUAN}, "location.other_country", "warning"),
        (
            {"permission": "granted", "country": "United States", "accuracy_metres": 20_000},
            "location.coarse",
            "warning",
        ),
    ],
)
def test_what_the_browser_says_is_found(stage: Stage, report: dict[str, Any], code: str, severity: str) -> None:
    agent = stage.agents("US")[0]
    assert check(stage, agent.id, **report).status_code == 200
    found = location(stage, agent.id)
    assert set(found) == {code}
    assert found[code][0] == severity
    assert check(stage, agent.id, permission="granted", country="US", accuracy_metres=50).status_code == 200
    assert location(stage, agent.id) == {}


@pytest.mark.parametrize("state", ["denied", "prompt"])
def test_without_permission_no_country_is_kept(stage: Stage, state: str) -> None:
    told = check(stage, stage.agents("US")[0].id, permission=state, accuracy_metres=5, **SAN_JUAN).json()
    assert (told["country"], told["accuracy"], told["supported"]) == (None, "unknown", None)


@pytest.mark.parametrize(
    "report",
    [
        {"permission": "perhaps", **SAN_JUAN},
        {"permission": "granted", "latitude": 91.46633, "longitude": -66.10572},
        {"permission": "granted", "latitude": 18.46633},
        {"permission": "granted", "latitude": "18.46633 N", "longitude": -66.10572},
        {"permission": "granted", "country": "66.10572"},
        {"permission": "granted", "accuracy_metres": -66.10572},
        {"permission": "granted", "accuracy": 66.10572},
    ],
)
def test_wrong_input_is_refused_and_never_quoted(stage: Stage, log: io.StringIO, report: dict[str, Any]) -> None:
    answer = check(stage, stage.agents("US")[0].id, **report)
    assert answer.status_code == 422
    for text in (answer.text, log.getvalue()):
        assert "46633" not in text
        assert "10572" not in text
    assert answer.json()["detail"]


def test_coordinates_are_kept_nowhere(stage: Stage, log: io.StringIO) -> None:
    answer = check(stage, stage.agents("US")[0].id, permission="granted", accuracy_metres=7, **BERLIN)
    assert answer.status_code == 200
    assert "52.5" not in answer.text
    stage.settle()
    kept = [file.read_bytes() for file in stage.folder.iterdir() if file.is_file()]
    assert kept
    for content in (*kept, log.getvalue().encode(), requests.get(f"{stage.url}/metrics", timeout=10).content):
        assert b"52.52437" not in content
        assert b"13.41053" not in content


def test_only_known_agents_with_the_secret_are_heard(stage: Stage) -> None:
    agent = stage.agents("US")[0]
    url = f"{stage.url}/api/v1/agents/{agent.id}/location-check"
    for body in ({"permission": "denied"}, {"permission": "nonsense"}):
        assert requests.post(url, json=body, timeout=30).status_code == 401
    too_large = requests.post(url, data=b"x" * 2_000_000, headers={"x-emergency-secret": SECRET}, timeout=30)
    assert too_large.status_code == 413
    assert check(stage, "0f0f0f0f-0000-4000-8000-0000000000aa", permission="denied").status_code == 404
    assert set(location(stage, agent.id)) == {"location.not_attested"}


def test_the_endpoint_is_described_for_integrators(stage: Stage) -> None:
    described = requests.get(f"{stage.url}/openapi.json", timeout=10).json()
    operation = described["paths"]["/api/v1/agents/{agent_id}/location-check"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert {"permission", "latitude", "longitude", "accuracy_metres", "country"} == schema["properties"].keys()
