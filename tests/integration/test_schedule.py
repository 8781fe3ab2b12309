"""The service's own schedule: what is due is done, though the service was away, a clock was wrong or a sync waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from connector.assembly import Connector
from connector.clock import MovableClock
from connector.sandbox import Sandbox
from connector.sandbox.faults import Fault
from connector.service import validation
from connector.service.schedule import Schedule
from connector.store import calls
from connector.store.directory_schema import sync_progress, validation_runs
from connector.store.lock import alone
from connector.store.schema import seen
from tests.integration.stage import until
from tests.integration.syncing import connected

MORNING = datetime(2026, 3, 2, 5, 0, 1, tzinfo=UTC)
DAILY = "0 5 * * *"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(MORNING)


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path, clock: MovableClock) -> Iterator[Connector]:
    with connected(sandbox, tmp_path, clock, validation_cron=DAILY) as made:
        made.sync()
        yield made


def ran(connector: Connector, at: datetime) -> None:
    """A validation was made at a time."""
    with connector.directory_store.write() as connection:
        connection.execute(
            insert(validation_runs).values(id=f"{at:%Y-%m-%d}", at=at, agents=1, ready=1, first=False, told=True)
        )


def runs(connector: Connector) -> int:
    with connector.directory_store.read() as connection:
        return connection.execute(select(func.count()).select_from(validation_runs)).scalar_one()


def test_what_came_due_while_the_service_was_away_is_done_at_once_and_once(connector: Connector) -> None:
    ran(connector, MORNING - timedelta(days=3))
    schedule = Schedule(connector)
    schedule._validate()
    assert runs(connector) == 2
    schedule._validate()
    Schedule(connector)._validate()
    assert runs(connector) == 2


def test_the_first_validation_comes_when_it_is_due(connector: Connector, clock: MovableClock) -> None:
    schedule = Schedule(connector)
    schedule._validate()
    assert runs(connector) == 0
    clock.advance(24 * 3600)
    schedule._validate()
    assert runs(connector) == 1


def test_what_could_not_be_done_stays_due(connector: Connector) -> None:
    ran(connector, MORNING - timedelta(days=1))
    schedule = Schedule(connector)
    with alone(connector.directory_store, "validation"):
        schedule._validate()
    with connector.directory_store.write() as connection:
        kept = connection.execute(select(sync_progress.c.name, sync_progress.c.completed_at)).all()
        connection.execute(update(sync_progress).values(completed_at=None))
    schedule._validate()
    assert runs(connector) == 1, "put off"
    with connector.directory_store.write() as connection:
        for name, at in kept:
            connection.execute(update(sync_progress).where(sync_progress.c.name == name).values(completed_at=at))
    schedule._validate()
    assert runs(connector) == 2


def test_a_run_of_a_clock_that_was_wrong_stops_nothing(connector: Connector, clock: MovableClock) -> None:
    ran(connector, MORNING + timedelta(days=3650))
    schedule = Schedule(connector)
    clock.advance(24 * 3600)
    schedule._validate()
    assert runs(connector) == 2
    last = validation.last(connector)
    assert last
    assert last.at == clock.now()


def test_a_service_that_was_started_with_a_wrong_clock_validates_all_the_same(
    connector: Connector, clock: MovableClock
) -> None:
    connector.clock = MovableClock(MORNING + timedelta(days=3650))
    schedule = Schedule(connector)
    connector.clock = clock
    schedule._validate()
    clock.advance(24 * 3600)
    schedule._validate()
    assert runs(connector) == 1


def test_housekeeping_does_not_wait_for_a_sync(sandbox: Sandbox, connector: Connector, clock: MovableClock) -> None:
    waiting, let_go = threading.Event(), threading.Event()

    def wait(_seconds: float) -> None:
        waiting.set()
        assert let_go.wait(20)

    with connector.store.write() as connection:
        calls.remember_delivery(connection, "delivery", clock.now())
    clock.advance(3 * 24 * 3600)
    connector.dataverse._sleep = wait
    sandbox.faults.add("dataverse", Fault(status=429, headers={"Retry-After": "3600"}))
    schedule = Schedule(connector)
    schedule.start()
    try:
        assert waiting.wait(20)
        until(lambda: not remembered(connector))
        with connector.store.write() as connection:
            calls.remember_delivery(connection, "another", clock.now())
        clock.advance(3 * 24 * 3600)
        until(lambda: not remembered(connector))
    finally:
        let_go.set()
        schedule.stop()
    assert not any(thread.is_alive() for thread in schedule._threads)


def remembered(connector: Connector) -> int:
    with connector.store.read() as connection:
        return connection.execute(select(func.count()).select_from(seen)).scalar_one()
