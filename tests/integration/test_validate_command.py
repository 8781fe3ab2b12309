"""`emergency-connector validate` as schedulers run it: options, forms, exit codes, and a clean standard output."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest
from lxml import etree

from connector.sandbox import Sandbox
from tests.integration.test_command import environment, run

__all__ = ["environment"]


@pytest.fixture(scope="module")
def synced(environment: dict[str, str]) -> dict[str, str]:
    ended = run(environment, "sync")
    assert ended.returncode == 0, ended.stderr
    return environment


def test_programs_get_nothing_but_their_format_on_standard_output(synced: dict[str, str]) -> None:
    as_json = run(synced, "validate", "--format", "json", "--fresh")
    assert as_json.returncode == 1
    told = json.loads(as_json.stdout)
    as_csv = run(synced, "validate", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(as_csv.stdout, newline="")))
    assert {line["agent_id"] for line in lines} - {""} == {report["agent_id"] for report in told["reports"]}
    suite = etree.fromstring(run(synced, "validate", "--format", "junit").stdout.encode())
    assert suite.get("failures") == str(told["not_ready"])
    assert run(synced, "validate", "--format", "html").stdout.startswith("<!doctype html>")


def test_a_report_is_written_whole_or_not_at_all_and_for_its_owner_only(synced: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    ended = run(synced, "--format", "html", "--output", str(file), script="validate_prerequisites.py")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "agents are ready" in ended.stderr
    assert file.read_text(encoding="utf-8").endswith("</html>\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    refused = run(synced, "validate", "--output", str(tmp_path / "nowhere" / "report.html"))
    assert refused.returncode == 2
    assert "--output" in refused.stderr


def test_only_what_is_asked_for_is_judged(sandbox: Sandbox, synced: dict[str, str]) -> None:
    told = json.loads(run(synced, "validate", "--only", "mailbox", "--country", "US", "--format", "json").stdout)
    assert {report["country"] for report in told["reports"]} == {"US"}
    assert {code.split(".")[0] for code in told["codes"]} <= {"mailbox"}
    agent_id = sandbox.organisation.agent_ids[3]
    told = json.loads(run(synced, "validate", "--agent", agent_id, "--format", "json").stdout)
    assert [report["agent_id"] for report in told["reports"]] == [agent_id]


@pytest.mark.parametrize(("limit", "code"), [("error", 0), ("warning", 0), ("unknown", 1)])
def test_the_exit_code_is_as_severe_as_asked_for(
    sandbox: Sandbox, synced: dict[str, str], limit: str, code: int
) -> None:
    ready = next(key for key in sandbox.organisation.agent_ids if key not in sandbox.organisation.defects)
    ended = run(synced, "validate", "--agent", ready, "--only", "location", "--fail-on", limit)
    assert ended.returncode == code, ended.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "mailbox.nonsense"), "docs/prerequisites.md"),
        (("--country", "France"), "US, PR, CA, GB, DK"),
        (("--agent", "nobody@example.com"), "no such agent"),
        (("--fail-on", "nonsense"), "--fail-on"),
    ],
)
def test_mistakes_are_told_and_end_with_2(synced: dict[str, str], arguments: tuple[str, ...], told: str) -> None:
    ended = run(synced, "validate", "--format", "json", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
