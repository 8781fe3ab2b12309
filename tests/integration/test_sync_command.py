"""`sync`, `sync --watch` and `sync status` as people and schedulers run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from connector.cli.sync import keep_syncing
from connector.errors import SettingsError
from connector.sandbox import Sandbox
from tests.integration.syncing import assert_same, connected, impatient

COMMAND = [sys.executable, "-c", "from connector.cli import main; main()", "sync"]


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    store = {
        "EMERGENCY_STORE_URL": f"sqlite:///{tmp_path}/calls.db",
        "EMERGENCY_DIRECTORY_URL": f"sqlite:///{tmp_path}/directory.db",
        "COLUMNS": "160",
    }
    return kept | sandbox.info.settings() | store


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_status_before_and_after(sandbox: Sandbox, environment: dict[str, str], tmp_path: Path) -> None:
    before = run(environment, "status")
    assert before.returncode == 1
    assert "never read" in before.stdout
    with connected(sandbox, tmp_path) as connector:
        connector.sync()
    shown = run(environment, "status", "--json")
    assert shown.returncode == 0, shown.stderr
    tables = {table["name"]: table for table in json.loads(shown.stdout)["tables"]}
    agents = tables["agents"]
    assert agents["rows"] > 80
    assert 0 <= agents["age"] < 60
    assert (agents["next_read"], agents["problems"]) == ("changes", [])
    table = run(environment, "status")
    assert table.returncode == 0
    assert "voice_channels" in table.stdout


def test_a_terminal_shows_how_far_it_is(sandbox: Sandbox, environment: dict[str, str]) -> None:
    sandbox.faults.set_latency("dataverse", 100)
    terminal, theirs = os.openpty()
    process = subprocess.Popen(
        [*COMMAND], env=environment | {"TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how a terminal tells that nobody writes to it any more
        while more := os.read(terminal, 4096):
            shown += more
    os.close(terminal)
    assert process.wait(60) == 0
    sandbox.faults.set_latency("dataverse", 0)
    speeds = re.findall(rb"([\d,]+) rows, ([\d,]+) a second", shown)
    assert any(int(rows.replace(b",", b"")) > 80 and speed != b"0" for rows, speed in speeds)


def test_what_is_missing_is_exit_code_1(sandbox: Sandbox, environment: dict[str, str], tmp_path: Path) -> None:
    with connected(sandbox, tmp_path):
        sandbox.dataverse.options.recipients_column = False
        synced = run(environment)
        assert synced.returncode == 1
        assert "fallback recipients" in synced.stdout
        assert "Traceback" not in synced.stderr
    told = run(environment, "status", "--json")
    assert told.returncode == 1
    (problem,) = [problem for table in json.loads(told.stdout)["tables"] for problem in table["problems"]]
    assert problem["code"] == "sync.column_missing"


def test_watch_goes_on_until_it_is_stopped(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with connected(sandbox, tmp_path, sync_minutes=7) as connector:
        impatient(connector, [])
        waited: list[float] = []

        def wait(seconds: float) -> bool:
            waited.append(seconds)
            if len(waited) == 1:
                sandbox.faults.set_outage("dataverse", "unavailable")
            else:
                sandbox.faults.clear()
            return len(waited) == 3

        keep_syncing(connector, wait)
        assert waited == [7 * 60] * 3
        assert_same(sandbox, connector)
    printed = capsys.readouterr()
    assert printed.out.count("rows read") == 2
    assert printed.err.count("error: ") == 1, "a service that is away is waited for"


def test_watch_ends_where_no_waiting_helps(sandbox: Sandbox, tmp_path: Path) -> None:
    with (
        connected(sandbox, tmp_path, dataverse_url="") as connector,
        pytest.raises(SettingsError, match="EMERGENCY_DATAVERSE_URL"),
    ):
        keep_syncing(connector, lambda _seconds: True)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_is_ended_tidily(environment: dict[str, str], end: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--watch"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "rows read" in process.stdout.readline()
    process.send_signal(end)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert errors == ""
