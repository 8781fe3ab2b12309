"""A sync that is killed during its first load goes on from the last stored page and leaves no ghosts.

The process is the real command, the signal SIGKILL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connector.sandbox import Sandbox
from tests.integration.stage import until
from tests.integration.syncing import assert_same, by_name, connected, requests_for

COMMAND = [sys.executable, "-c", "from connector.cli import main; main()", "sync"]
GHOST = "0f0f0f0f-0000-4000-8000-0000000000%02x"


@pytest.mark.parametrize("pages", [1, 3, 7])
def test_killed_during_the_first_load(sandbox: Sandbox, tmp_path: Path, pages: int) -> None:
    with connected(sandbox, tmp_path) as connector:
        sandbox.dataverse.options.page_size = 10
        ghosts = [GHOST % (pages * 16 + number) for number in range(3)]
        for ghost in ghosts:
            sandbox.dataverse.rows.insert("systemuser", {"systemuserid": ghost, "fullname": "Ghost"})
        # Slow enough that the signal comes between two pages, not after the last.
        sandbox.faults.set_latency("dataverse", 40)
        kill_after(sandbox, tmp_path, pages)
        sandbox.faults.clear()
        for ghost in ghosts:
            sandbox.dataverse.rows.delete("systemuser", ghost)
        first = next(iter(sandbox.dataverse.rows.all("systemuser")))["systemuserid"]
        sandbox.dataverse.change("systemuser", first, fullname=f"Changed {pages}")
        before = requests_for(sandbox, "systemusers")
        sandbox.faults.clear_log()
        result = by_name(connector.sync())["agents"]
        again = requests_for(sandbox, "systemusers")
        if pages > 1:
            assert "skiptoken" in again[0], "not from the start"
            assert not set(again) & set(before[: pages - 1]), "no stored page is asked for again"
        else:
            assert len(again) > len(before)
        assert result.full
        assert_same(sandbox, connector)


def kill_after(sandbox: Sandbox, folder: Path, pages: int) -> None:
    """Runs the command and kills it when it has asked for so many pages of users and begun the next."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    store = {
        "EMERGENCY_STORE_URL": f"sqlite:///{folder}/calls.db",
        "EMERGENCY_DIRECTORY_URL": f"sqlite:///{folder}/directory.db",
    }
    process = subprocess.Popen(
        COMMAND, env=kept | sandbox.info.settings() | store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: len(requests_for(sandbox, "systemusers")) > pages, 30)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert requests_for(sandbox, "presences") == [], "it was killed during the users, which come first"
