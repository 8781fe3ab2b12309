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
from connector.sandbox.faults import Fault
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


def test_what_is_no_file_is_written_to_and_not_replaced(synced: dict[str, str], tmp_path: Path) -> None:
    file, link = tmp_path / "elsewhere.csv", tmp_path / "link.csv"
    link.symlink_to(file)
    assert run(synced, "validate", "--format", "csv", "--output", str(link)).returncode == 1
    assert link.is_symlink()
    content = file.read_text(encoding="utf-8")
    assert content.startswith("agent")
    dash = run(synced, "validate", "--format", "csv", "--output", "-")
    assert (dash.returncode, dash.stdout) == (1, content)
    full = run(synced, "validate", "--format", "csv", "--output", str(tmp_path))
    assert full.returncode == 2
    assert "--output cannot be written" in full.stderr


@pytest.mark.parametrize("kind", ["table", "csv", "json", "junit", "html"])
def test_a_terminal_without_letters_costs_no_report(synced: dict[str, str], kind: str) -> None:
    ended = run(synced | {"PYTHONIOENCODING": "ascii"}, "validate", "--format", kind)
    assert (ended.returncode, "report it" in ended.stderr) == (1, False)
    written = "Ø" in ended.stdout or "ø" in ended.stdout
    assert written == (kind in ("csv", "junit", "html")), "programs get UTF-8; JSON is written in ASCII"


def test_only_what_is_asked_for_is_judged(sandbox: Sandbox, synced: dict[str, str]) -> None:
    told = json.loads(run(synced, "validate", "--only", "mailbox", "--country", "US", "--format", "json").stdout)
    assert {report["country"] for report in told["reports"]} == {"US"}
    assert {code.split(".")[0] for code in told["codes"]} <= {"mailbox"}
    everything = json.loads(run(synced, "validate", "--format", "json").stdout)
    only_carrier = run(synced, "validate", "--only", "carrier", "--format", "json")
    assert only_carrier.returncode == 0
    told = json.loads(only_carrier.stdout)
    assert (told["ready"], told["agents"]) == (everything["ready"], everything["agents"])
    assert 0 < told["ready"] < told["agents"]
    agent_id = sandbox.organisation.agent_ids[3]
    told = json.loads(run(synced, "validate", "--agent", agent_id, "--format", "json").stdout)
    assert [report["agent_id"] for report in told["reports"]] == [agent_id]


def test_one_of_several_agents_who_is_none_is_named_and_nothing_is_reported(
    sandbox: Sandbox, synced: dict[str, str], tmp_path: Path
) -> None:
    ready = next(key for key in sandbox.organisation.agent_ids if key not in sandbox.organisation.defects)
    file = tmp_path / "report.csv"
    arguments = ("--agent", ready, "--agent", "mistyped@example.com", "--output", str(file))
    ended = run(synced, "validate", "--format", "csv", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "mistyped@example.com" in ended.stderr
    assert ready not in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("path", "code"), [("templates", "sync.refused"), ("sdkmessages", "webhook.not_readable")])
def test_what_dataverse_refuses_is_told_and_the_rest_is_judged(
    sandbox: Sandbox, synced: dict[str, str], path: str, code: str
) -> None:
    body = json.dumps({"error": {"code": "0x80060888", "message": "Refused."}})
    sandbox.faults.add("dataverse", Fault(status=400, path=f"/{path}", body=body, times=0))
    try:
        ended = run(synced, "validate", "--fresh", "--format", "json")
    finally:
        sandbox.faults.clear()
    assert ended.returncode == 1, ended.stderr
    told = json.loads(ended.stdout)
    assert code in {finding["code"] for finding in told["organisation"]}
    assert len(told["reports"]) == len(sandbox.organisation.agent_ids)
    assert ("not everything could be synced" in ended.stderr) is (path == "templates")
    assert run(synced, "sync").returncode == 0


def test_without_a_way_in_nothing_is_judged_afresh(synced: dict[str, str]) -> None:
    for wrong in ({"EMERGENCY_CLIENT_SECRET": "wrong"}, {"EMERGENCY_ACS_ACCESS_KEY": "d3Jvbmc="}):
        ended = run(synced | wrong, "validate", "--fresh", "--format", "json")
        assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
        assert ended.stderr


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
