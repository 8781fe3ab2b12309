"""Never two syncs of one organisation at a time: not in one process, not in two, not on two machines."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from connector.assembly import Connector
from connector.clock import MovableClock
from connector.directory.sync import TableResult
from connector.errors import AlreadyRunning
from connector.metrics import sync_failures
from connector.sandbox import Sandbox
from connector.service.schedule import Schedule
from tests.conftest import new_database
from tests.integration.stage import until
from tests.integration.syncing import assert_same, connected, requests_for


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    server: str = request.getfixturevalue("postgresql")
    return new_database(server)


@pytest.fixture
def machines(sandbox: Sandbox, tmp_path: Path, store_url: str) -> Iterator[tuple[Connector, Connector]]:
    """Two connectors on one store, as two machines have them."""
    clock = MovableClock()
    with (
        connected(sandbox, tmp_path, clock, store_url, directory_url="") as one,
        connected(sandbox, tmp_path, clock, store_url, directory_url="") as two,
    ):
        yield one, two


class Held:
    """A sync that stops after its first page until it is let go."""

    def __init__(self, connector: Connector) -> None:
        self._reached, self._let_go = threading.Event(), threading.Event()
        self._connector = connector
        self.results: list[TableResult] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._reached.wait(20)

    def _run(self) -> None:
        def wait(_table: str, _rows: int) -> None:
            self._reached.set()
            assert self._let_go.wait(20)

        self.results = self._connector.sync(wait)

    def finish(self) -> None:
        self._let_go.set()
        self._thread.join(20)


def test_a_second_machine_says_so_and_does_nothing(sandbox: Sandbox, machines: tuple[Connector, Connector]) -> None:
    one, two = machines
    held = Held(one)
    sandbox.faults.clear_log()
    try:
        with pytest.raises(AlreadyRunning, match="under way"):
            two.sync()
        assert requests_for(sandbox, "") == []
        with pytest.raises(AlreadyRunning):
            one.sync()
    finally:
        held.finish()
    assert held.results
    assert not any(result.full for result in two.sync()), "it goes on from what the first one read"
    assert_same(sandbox, two)


def test_both_at_once_again_and_again(sandbox: Sandbox, machines: tuple[Connector, Connector]) -> None:
    sandbox.dataverse.options.page_size = 20
    outcomes: list[str] = []

    def sync(connector: Connector) -> None:
        for _ in range(4):
            try:
                connector.sync()
                outcomes.append("done")
            except AlreadyRunning:
                outcomes.append("skipped")

    threads = [threading.Thread(target=sync, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert "done" in outcomes
    machines[0].sync()
    assert_same(sandbox, machines[0])


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)  # SQLite's lock is of files: see below
def test_the_lock_goes_with_the_machine(sandbox: Sandbox, machines: tuple[Connector, Connector]) -> None:
    one, two = machines
    held = Held(one)
    with two.directory_store.session() as connection:
        # The server ends the session that holds the lock, as when a machine loses its power.
        ended = connection.execute(
            text("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
        ).scalars()
        assert list(ended) == [True]
    until(lambda: not _locked(two))
    two.sync()
    assert_same(sandbox, two)
    with pytest.MonkeyPatch.context() as patch:
        # The first machine finds its lock gone only at the end; that it raises there is all it can do.
        patch.setattr(threading, "excepthook", lambda _: None)
        held.finish()
    assert_same(sandbox, two)


def _locked(connector: Connector) -> bool:
    with connector.directory_store.session() as connection:
        return bool(connection.execute(text("select count(*) from pg_locks where locktype = 'advisory'")).scalar())


def test_another_process_holds_the_file(sandbox: Sandbox, tmp_path: Path) -> None:
    with connected(sandbox, tmp_path) as connector:
        file = f"{connector.directory_store.engine.url.database}.sync.lock"
        code = f"import sys; from filelock import FileLock; lock = FileLock({file!r}); lock.acquire(); print('held')"
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}; sys.stdout.flush(); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning):
            connector.sync()
        process.kill()
        process.wait(10)
        process.stdout.close()
        process.stdin.close()
        connector.sync()
        assert_same(sandbox, connector)


def failures() -> float:
    samples = [sample for metric in sync_failures.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def test_the_schedule_skips_and_counts_only_failures(sandbox: Sandbox, tmp_path: Path) -> None:
    with connected(sandbox, tmp_path) as connector:
        before = failures()
        held = Held(connector)
        schedule = Schedule(connector)
        schedule._sync()
        held.finish()
        assert failures() == before
        connector.dataverse._sleep = lambda _seconds: None
        sandbox.faults.set_outage("dataverse", "unavailable")
        schedule.start()
        until(lambda: failures() == before + 1)
        schedule.stop()
