"""What presence is gone back to, where the directory was behind, Dataverse failed, or the agent chose differently."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.directory.reader import Agent
from connector.sandbox.faults import Fault
from connector.sandbox.platform_rows import AVAILABLE, AWAY
from tests.integration.stage import Stage, until


@pytest.fixture
def agent(stage: Stage) -> Iterator[Agent]:
    """An agent who was available when the directory was synced."""
    found = stage.agents()[0]
    yield found
    stage.sandbox.dataverse.set_presence(found.id, AVAILABLE)


def do_not_disturb(stage: Stage) -> str:
    """The agent's own Do not disturb is no other than ours."""
    known = stage.connector.directory.do_not_disturb()
    assert known is not None
    return known


def test_what_the_directory_has_not_seen_yet_is_gone_back_to(stage: Stage, agent: Agent) -> None:
    stage.sandbox.dataverse.set_presence(agent.id, AWAY)
    stage.dial(agent)
    stage.settle()
    assert stage.presence(agent) == "Busy DND"
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Away"


def test_an_agents_own_do_not_disturb_stands_though_the_directory_has_not_seen_it(stage: Stage, agent: Agent) -> None:
    stage.sandbox.dataverse.set_presence(agent.id, do_not_disturb(stage))
    stage.dial(agent)
    stage.settle()
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Busy DND"


def test_an_own_do_not_disturb_stands_where_ours_was_never_set(stage: Stage, agent: Agent) -> None:
    stage.sandbox.faults.set_outage("dataverse")
    stage.dial(agent)
    until(lambda: stage.presence_changes() >= 1)
    stage.hang_up(agent)
    stage.sandbox.faults.set_outage("dataverse", None)
    stage.sandbox.dataverse.set_presence(agent.id, do_not_disturb(stage))
    stage.pass_time(1)
    stage.settle()
    assert stage.presence(agent) == "Busy DND"


def test_an_own_do_not_disturb_stands_where_ours_was_refused(stage: Stage, agent: Agent) -> None:
    stage.sandbox.faults.add("dataverse", Fault(status=403, path="ModifyAgentPresence"))
    stage.dial(agent)
    until(lambda: stage.metric('emergency_decisions_total{decision="set_do_not_disturb_failed"}') >= 1)
    stage.sandbox.faults.clear()
    stage.sandbox.dataverse.set_presence(agent.id, do_not_disturb(stage))
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Busy DND"


def test_ours_is_not_taken_for_the_agents_own_after_a_lost_answer(stage: Stage, agent: Agent) -> None:
    stage.sandbox.faults.add("dataverse", Fault(cut="after", path="ModifyAgentPresence", times=1))
    stage.dial(agent)
    until(lambda: stage.metric('emergency_effects_total{kind="set_do_not_disturb",outcome="again"}') >= 1)
    assert stage.presence(agent) == "Busy DND"
    stage.pass_time(0.1)
    stage.hang_up(agent)
    stage.settle()
    assert stage.presence(agent) == "Available"


def test_a_redial_while_the_first_is_restored_is_restored_too(stage: Stage, agent: Agent) -> None:
    for key in ("one", "two", "three"):
        stage.dial(agent, key)
        stage.hang_up(agent, key)
    stage.dial(agent, "four")
    stage.settle()
    assert stage.presence(agent) == "Busy DND"
    stage.hang_up(agent, "four")
    stage.settle()
    assert stage.presence(agent) == "Available"
