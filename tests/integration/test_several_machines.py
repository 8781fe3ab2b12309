"""Two replicas on one PostgreSQL store: work is shared, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from connector.sandbox import Sandbox
from tests.conftest import new_database
from tests.integration.stage import Stage, staged, until


@pytest.fixture
def store_url(postgresql: str) -> str:
    return new_database(postgresql)


@pytest.fixture
def machines(sandbox: Sandbox, tmp_path: Path, store_url: str) -> Iterator[tuple[Stage, Stage]]:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with staged(sandbox, tmp_path / "one", store_url) as one, staged(sandbox, tmp_path / "two", store_url) as two:
        two.folder = one.folder
        yield one, two


def test_both_take_calls_and_each_is_told_of_once(machines: tuple[Stage, Stage]) -> None:
    agents = machines[0].agents()[:12]
    answers: list[dict[str, object]] = []

    def dial_at_both(position: int) -> None:
        # The same announcement reaches both machines, as a load balancer that repeats itself would have it.
        answers.extend(machine.dial(agents[position]) for machine in machines)

    threads = [threading.Thread(target=dial_at_both, args=(position,)) for position in range(len(agents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for machine in machines:
        machine.settle()
    one = machines[0]
    until(lambda: len(one.mails) >= len(agents))
    assert len(one.mails) == len(agents)
    assert [mail.requests for mail in one.mails] == [1] * len(agents)
    assert len({str(answer["call_id"]) for answer in answers}) == len(agents)
    numbers = [state.lease.number for agent in agents if (state := one.state(agent)) and state.lease]
    assert len(numbers) == len(set(numbers)), "no number is two agents'"
    assert numbers


def test_what_one_machine_began_the_other_ends(machines: tuple[Stage, Stage]) -> None:
    one, two = machines
    agent = one.agents()[0]
    one.dial(agent)
    one.settle()
    assert two.presence(agent) == "Busy DND"
    two.hang_up(agent)
    two.settle()
    assert one.presence(agent) == "Available"
    assert one.state(agent) == two.state(agent)


def test_the_number_pool_is_shared(machines: tuple[Stage, Stage]) -> None:
    one, two = machines
    agents = one.agents("GB")
    given = [machine.dial(agent)["callback_number"] for agent, machine in zip(agents, cycle((one, two)), strict=False)]
    leased = [number for number in given if number]
    assert leased
    assert len(leased) == len(set(leased))
