"""The clock that tests and the demo move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.clock import Clock, MovableClock, SystemClock
from tests.conftest import START


def test_the_system_clock_tells_utc() -> None:
    clock: Clock = SystemClock()
    before = datetime.now(UTC)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_with_a_start_it_stands_still() -> None:
    clock = MovableClock(START)
    assert clock.now() == clock.now() == START


def test_without_a_start_it_runs_with_the_machine() -> None:
    clock = MovableClock()
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    clock.advance(3600)
    ahead = clock.now() - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead <= timedelta(hours=1)


@given(st.lists(st.integers(0, 10_000)))
def test_moves_add_up(moves: list[int]) -> None:
    clock = MovableClock(START)
    for seconds in moves:
        clock.advance(seconds)
    assert clock.now() == START + timedelta(seconds=sum(moves))


def test_it_never_moves_back() -> None:
    clock = MovableClock(START)
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-0.001)
    assert clock.now() == START


def test_moves_of_several_threads_are_all_counted() -> None:
    clock = MovableClock(START)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(clock.advance, [1.0] * 2000))
    assert clock.now() == START + timedelta(seconds=2000)
