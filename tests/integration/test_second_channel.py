"""A message that the agent's mailbox takes and does not send: Dataverse says nothing, so somebody must look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.directory.reader import Agent
from tests.integration.stage import Stage, until

NOT_APPROVED = {"emailrouteraccessapproval": 2, "isemailaddressapprovedbyo365admin": False}
APPROVED = {"emailrouteraccessapproval": 1, "isemailaddressapprovedbyo365admin": True}


def mailbox(stage: Stage, agent: Agent, **values: object) -> None:
    user = stage.sandbox.dataverse.rows.get("systemuser", agent.id)
    assert user is not None
    stage.sandbox.dataverse.change("mailbox", str(user.values["_defaultmailbox_value"]), **values)


@pytest.fixture
def unapproved(stage: Stage) -> Iterator[Agent]:
    """An agent whose mailbox loses its approval after the directory was synced."""
    agent = stage.agents()[0]
    mailbox(stage, agent, **NOT_APPROVED)
    yield agent
    stage.sandbox.faults.clear()
    mailbox(stage, agent, **APPROVED)
    stage.connector.sync()


def emails(stage: Stage) -> list[object]:
    return [row["statuscode"] for row in stage.sandbox.dataverse.rows.all("email")]


def again(stage: Stage, kind: str, outcome: str = "again") -> float:
    return stage.metric(f'emergency_effects_total{{kind="{kind}",outcome="{outcome}"}}')


def acs_fails_until_the_mailbox_has_its_turn(stage: Stage, agent: Agent) -> None:
    stage.sandbox.faults.set_outage("acs")
    stage.dial(agent)
    until(lambda: again(stage, "notify") >= 1)
    stage.clock.advance(31)


def test_a_mail_that_stays_in_the_mailbox_is_sent_by_acs(stage: Stage, unapproved: Agent) -> None:
    acs_fails_until_the_mailbox_has_its_turn(stage, unapproved)
    until(lambda: again(stage, "send_from_mailbox") >= 1)
    assert emails(stage) == [6], "Dataverse took it, and keeps it as pending"
    assert again(stage, "send_from_mailbox", "done") == 0
    stage.sandbox.faults.set_outage("acs", None)
    stage.clock.advance(31)
    until(lambda: stage.mails)
    (mail,) = stage.mails
    assert sorted(mail.recipients) == sorted(unapproved.recipients)
    stage.settle()
    assert emails(stage) == [], "it must not leave as a stale alarm on the day when the mailbox is approved"


def test_a_directory_that_knows_of_the_lost_approval_leaves_the_mailbox_alone(stage: Stage, unapproved: Agent) -> None:
    stage.connector.sync()
    acs_fails_until_the_mailbox_has_its_turn(stage, unapproved)
    stage.settle()
    assert emails(stage) == []
    stage.sandbox.faults.set_outage("acs", None)
    stage.clock.advance(31)
    until(lambda: stage.mails)
    assert sorted(stage.mails[0].recipients) == sorted(unapproved.recipients)


def test_a_mailbox_that_sends_late_is_seen_to_have_sent(stage: Stage, unapproved: Agent) -> None:
    acs_fails_until_the_mailbox_has_its_turn(stage, unapproved)
    until(lambda: again(stage, "send_from_mailbox") >= 1)
    (row,) = stage.sandbox.dataverse.rows.all("email")
    stage.sandbox.dataverse.change("email", str(row["activityid"]), statuscode=3)
    stage.clock.advance(31)
    until(lambda: again(stage, "send_from_mailbox", "done") >= 1)
    stage.sandbox.faults.set_outage("acs", None)
    stage.hang_up(unapproved)
    stage.settle()
    assert stage.mails == [], "one message a recipient"
    stage.pass_time(11)
    assert emails(stage) == []


def test_while_neither_channel_sends_both_have_their_turns(stage: Stage, unapproved: Agent) -> None:
    acs_fails_until_the_mailbox_has_its_turn(stage, unapproved)
    for turn in range(2):
        until(lambda: again(stage, "send_from_mailbox") > turn)  # noqa: B023 (awaited at once)
        stage.clock.advance(31)
        until(lambda: stage.metric('emergency_decisions_total{decision="first_channel_again"}') > turn)  # noqa: B023
        until(lambda: again(stage, "notify") > turn + 1)  # noqa: B023 (awaited at once)
        stage.clock.advance(31)
    assert emails(stage) == [6], "one row, however often it was the mailbox's turn"
    stage.sandbox.faults.set_outage("acs", None)
    for _ in range(4):
        stage.clock.advance(31)
        stage.settle(20)
    assert len(stage.mails) == 1
    assert stage.metric('emergency_decisions_total{decision="notice_lost"}') == 0
