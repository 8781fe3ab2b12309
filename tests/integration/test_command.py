"""The command line as its users run it: a process of its own, its output and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from connector.cli import main; main()"]


@pytest.fixture(scope="module")
def environment(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("command")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    store = {"EMERGENCY_STORE_URL": f"sqlite:///{folder}/calls.db", "COLUMNS": "160"}
    return kept | sandbox.info.settings() | store


def run(environment: dict[str, str], *arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script)] if script else COMMAND
    return subprocess.run(
        [*command, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_sync_validate_and_recipients(sandbox: Sandbox, environment: dict[str, str]) -> None:
    unsynced = run(environment, "validate")
    assert unsynced.returncode == 2
    assert "sync" in unsynced.stderr

    synced = run(environment, "sync")
    assert synced.returncode == 0, synced.stderr
    assert "agents" in synced.stdout
    assert "changes" in run(environment, "sync").stdout

    table = run(environment, "validate")
    assert table.returncode == 1
    assert "what to do" in table.stdout
    assert "mailbox.missing" in table.stdout

    found = json.loads(run(environment, "validate", "--format", "json").stdout)
    assert found["agents"] == found["ready"] + found["not_ready"] == len(found["reports"])
    codes = {finding["code"] for report in found["reports"] for finding in report["findings"]}
    assert len(codes) > 20, "every kind of broken prerequisite is in the seeded organisation"

    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(denied=frozenset())}
    agent_id = sandbox.organisation.agent_ids[0]
    shown = run(environment, "recipients", "set", "--agent", agent_id, "--to", "new@example.com")
    assert shown.returncode == 0, shown.stderr
    assert "--apply" in shown.stdout
    applied = run(environment, "--agent", agent_id, "--to", "new@example.com", "--apply", script="set_recipients.py")
    assert applied.returncode == 0, applied.stderr
    assert "changed" in applied.stdout
    row = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert row is not None
    assert row.values["msdyn_emergencyemailrecipients"] == "new@example.com"


def test_all_ready_is_exit_code_0(sandbox: Sandbox, environment: dict[str, str], tmp_path: Path) -> None:
    own = environment | {"EMERGENCY_STORE_URL": f"sqlite:///{tmp_path}/calls.db"}
    assert run(own, "sync").returncode == 0
    import sqlite3  # noqa: PLC0415 (to leave only the agents who are ready)

    found = json.loads(run(own, "validate", "--format", "json").stdout)
    broken = [report["agent_id"] for report in found["reports"] if not report["ready"]]
    with sqlite3.connect(tmp_path / "calls-directory.db") as connection:
        connection.executemany("delete from agents where id = ?", [(agent_id,) for agent_id in broken])
    connection.close()
    ready = run(own, "validate")
    assert ready.returncode == 0, ready.stdout
    assert "0 are not" in ready.stdout


@pytest.mark.parametrize(
    ("changed", "arguments", "told"),
    [
        ({"EMERGENCY_DATAVERSE_URL": ""}, ("sync",), "EMERGENCY_DATAVERSE_URL"),
        ({"EMERGENCY_DATAVERSE_URL": "http://org.example"}, ("sync",), "https://"),
        ({"EMERGENCY_CLIENT_SECRET": "wrong"}, ("sync",), "EMERGENCY_CLIENT_ID"),
        ({"EMERGENCY_STORE_URL": "nonsense"}, ("sync",), "store"),
        ({"EMERGENCY_STORE_URL": "sqlite:////nowhere/at/all.db"}, ("sync",), "store"),
        ({"EMERGENCY_WINDOW_MINUTES": "30"}, ("validate",), "EMERGENCY_WINDOW_MINUTES"),
        ({"EMERGENCY_MAPPINGS": "/nowhere"}, ("validate",), "dataverse.toml"),
        ({}, ("serve",), "EMERGENCY_WEBHOOK_SECRETS"),
        ({}, ("recipients", "set", "--csv", "/nowhere.csv"), "nowhere.csv"),
        ({}, ("recipients", "set"), "--csv"),
        ({}, ("validate", "--format", "xml"), "xml"),
    ],
)
def test_mistakes_end_with_a_word_and_exit_code_2(
    environment: dict[str, str], changed: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    ended = run(environment | changed, *arguments)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "wrong" not in ended.stderr.replace("are wrong", ""), "a secret is never quoted"


def test_the_sandbox_prints_one_json_object_and_ends_with_its_input() -> None:
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "--json", "--agents", "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    printed = json.loads(process.stdout.readline())
    assert {"dataverse_url", "acs_endpoint", "authority", "ca_file", "client_secret", "control_key"} <= printed.keys()
    assert Path(printed["ca_file"]).exists()
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
    assert not Path(printed["ca_file"]).exists()


def test_the_demo_shows_all_eight_steps() -> None:
    ended = run(dict(os.environ), "demo", "--exit", "--json", "--agents", "80")
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert [step["number"] for step in shown["steps"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(step["ok"] and step["evidence"] for step in shown["steps"])
    assert shown["left_behind"] == 0
    assert shown["agents"] == shown["ready"] + shown["not_ready"] == 80
    assert shown["accepted"] == 1
    assert shown["callback_number"].startswith("+1")
    assert shown["recipients"] > 1
    assert shown["dial_to_accepted_ms"] > 0


def test_help_and_version_are_told() -> None:
    environment = dict(os.environ)
    assert "validate" in run(environment, "--help").stdout
    assert run(environment, "--version").stdout.strip()
