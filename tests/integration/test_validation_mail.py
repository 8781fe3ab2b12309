"""The scheduled validation: only what changed is told, once, by one replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from connector.calls.effects import TellAdministrators
from connector.directory.reader import Agent
from connector.errors import AlreadyRunning, RetryLater
from connector.prerequisites import history
from connector.prerequisites.changes import EVERYBODY, Change, Run, compare
from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights
from connector.sandbox.dataverse.tables import TABLES
from connector.sandbox.faults import Fault
from connector.service import validation
from connector.service.schedule import following
from connector.store import directory_schema
from connector.store.database import Database
from connector.store.directory_schema import agents, validation_changes, validation_runs, validation_standing
from connector.store.lock import alone
from connector.store.schema import effects
from tests.conftest import START
from tests.integration.stage import Stage, staged, until
from tests.integration.syncing import connected

ADMIN = "administrator@example.com"


@pytest.fixture
def watched(sandbox: Sandbox, tmp_path: Path) -> Iterator[Stage]:
    with staged(sandbox, tmp_path, administrators=ADMIN) as made:
        yield made


def validate(stage: Stage) -> None:
    stage.clock.advance(3600)
    assert validation.run(stage.connector) is not None
    stage.settle()


def test_first_a_summary_then_only_changes(watched: Stage) -> None:
    agent = watched.agents()[0]
    validate(watched)
    until(lambda: len(watched.mails) == 1)
    (summary,) = watched.mails
    assert summary.recipients == [ADMIN]
    assert "agents are ready" in summary.subject

    validate(watched)
    assert len(watched.mails) == 1, "nothing changed, so nothing is told"

    watched.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=None)
    watched.connector.sync()
    validate(watched)
    until(lambda: len(watched.mails) == 2)
    assert watched.mails[1].subject == "Emergency calling: 1 new, 0 resolved"
    assert f"{agent.name}: recipients.none" in watched.mails[1].message["content"]["plainText"]

    field = "; ".join(agent.recipients)
    watched.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=field)
    watched.connector.sync()
    validate(watched)
    until(lambda: len(watched.mails) == 3)
    assert watched.mails[2].subject == "Emergency calling: 0 new, 1 resolved"


def break_recipients(stage: Stage, agent: Agent) -> None:
    stage.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=None)
    stage.connector.sync()


def mend_recipients(stage: Stage, agent: Agent) -> None:
    field = "; ".join(agent.recipients)
    stage.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=field)
    stage.connector.sync()


def refuse_mails(stage: Stage) -> None:
    body = '{"error": {"code": "InvalidRequest", "message": "no"}}'
    stage.sandbox.faults.add("acs", Fault(status=400, body=body, path="emails:send", times=0))


def texts(stage: Stage) -> list[str]:
    return [str(mail.message["content"]["plainText"]) for mail in stage.mails]


def test_what_a_refused_mail_would_have_told_is_told_by_the_next_one_in_one(watched: Stage) -> None:
    one, two, three, *_ = watched.agents()
    validate(watched)
    refuse_mails(watched)
    break_recipients(watched, one)
    break_recipients(watched, two)
    validate(watched)
    mend_recipients(watched, two)
    break_recipients(watched, three)
    validate(watched)
    watched.sandbox.faults.clear("acs")
    assert len(watched.mails) == 1, "the summary alone was accepted"

    validate(watched)
    assert watched.mails[1].subject == "Emergency calling: 2 new, 0 resolved", "what cancelled out is not told"
    assert f"{one.name}: recipients.none" in texts(watched)[1]
    assert f"{three.name}: recipients.none" in texts(watched)[1]
    validate(watched)
    assert len(watched.mails) == 2, "nothing is told twice"
    for agent in (one, three):
        mend_recipients(watched, agent)


def test_a_summary_that_was_refused_comes_later(watched: Stage) -> None:
    refuse_mails(watched)
    validate(watched)
    watched.sandbox.faults.clear("acs")
    validate(watched)
    (summary,) = watched.mails
    assert "agents are ready" in summary.subject


def test_while_a_mail_is_still_to_be_sent_nothing_else_is_told(watched: Stage) -> None:
    agent = watched.agents()[0]
    validate(watched)
    watched.sandbox.faults.set_outage("acs", "unavailable")
    break_recipients_offline(watched, agent)
    validate(watched)
    watched.clock.advance(3600)
    assert validation.run(watched.connector) is None
    watched.sandbox.faults.set_outage("acs", None)
    watched.pass_time(1)
    assert len(watched.mails) == 2
    mend_recipients(watched, agent)
    validate(watched)
    assert [mail.subject for mail in watched.mails[1:]] == [
        "Emergency calling: 1 new, 0 resolved",
        "Emergency calling: 0 new, 1 resolved",
    ]


def test_after_a_mail_was_given_up_the_next_validation_tells_what_still_holds(watched: Stage) -> None:
    one, two, *_ = watched.agents()
    validate(watched)
    watched.sandbox.faults.set_outage("acs", "unavailable")
    break_recipients_offline(watched, one)
    break_recipients_offline(watched, two)
    validate(watched)
    watched.pass_time(25 * 60)
    watched.sandbox.faults.set_outage("acs", None)
    mend_recipients(watched, two)
    validate(watched)
    assert len(watched.mails) == 2
    assert watched.mails[1].subject == "Emergency calling: 1 new, 0 resolved"
    mend_recipients(watched, one)


def test_a_mail_of_a_clock_that_was_wrong_is_not_waited_for(watched: Stage) -> None:
    watched.sandbox.faults.set_outage("acs", "unavailable")
    validate(watched)
    watched.clock.advance(3600)
    with watched.connector.store.write() as connection:
        ahead = watched.clock.now() + timedelta(days=3650)
        connection.execute(update(effects).where(effects.c.kind == "tell_administrators").values(asked_at=ahead))
    assert validation.run(watched.connector)


def break_recipients_offline(stage: Stage, agent: Agent) -> None:
    """As above while ACS, which a sync reads too, is away."""
    stage.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=None)
    with suppress(RetryLater):
        stage.connector.sync()


def test_what_was_kept_before_a_crash_is_told_by_the_next_validation(watched: Stage) -> None:
    made = validation._validate(watched.connector)
    assert made
    assert not made.told
    assert watched.mails == [], "the process was killed before it asked for the mail"
    validate(watched)
    (summary,) = watched.mails
    assert "agents are ready" in summary.subject


@pytest.mark.parametrize("noted", [False, True])
def test_a_crash_around_the_mail_repeats_nothing(watched: Stage, *, noted: bool) -> None:
    agent = watched.agents()[0]
    validate(watched)
    break_recipients(watched, agent)
    validate(watched)
    made = validation.last(watched.connector)
    assert made
    # As if the process had been killed after ACS accepted the mail, before or after the directory says so; before the
    # effect was marked done in any case.
    with watched.connector.directory_store.write() as connection:
        if not noted:
            connection.execute(update(validation_runs).where(validation_runs.c.id == made.id).values(told=False))
            connection.execute(delete(validation_standing).where(validation_standing.c.agent_id == agent.id))
            lost = {"run_id": made.id, "agent_id": agent.id, "code": "recipients.none", "what": "new"}
            connection.execute(insert(validation_changes).values(lost))
    with watched.connector.store.write() as connection:
        connection.execute(delete(effects).where(effects.c.kind == "tell_administrators"))
    again = TellAdministrators(made.id, (ADMIN,), watched.clock.now() + validation.TELL_FOR)
    watched.connector.handler.ask([again], "")
    watched.settle()
    validate(watched)
    assert len(watched.mails) == 2, "the effect's id is the run's own"
    assert watched.mails[1].requests == (1 if noted else 2)
    mend_recipients(watched, agent)


def test_an_agent_who_left_is_not_reported_as_resolved(watched: Stage) -> None:
    agent = watched.agents()[0]
    break_recipients(watched, agent)
    validate(watched)
    watched.sandbox.dataverse.change("systemuser", agent.id, isdisabled=True)
    watched.connector.sync()
    validate(watched)
    assert len(watched.mails) == 1
    watched.sandbox.dataverse.change("systemuser", agent.id, isdisabled=False)
    watched.connector.sync()
    validate(watched)
    assert f"{agent.name}: recipients.none" in texts(watched)[1], "nothing was kept of them"
    mend_recipients(watched, agent)


def test_what_concerns_everybody_is_told_and_counted_as_nobody(watched: Stage) -> None:
    validate(watched)
    before = validation.last(watched.connector)
    steps = watched.sandbox.dataverse.rows
    watched.sandbox.dataverse.register_webhook("https://connector.example", messages=["ec_EmergencyCallDialled"])
    step = next(iter(steps.all("sdkmessageprocessingstep")))["sdkmessageprocessingstepid"]
    watched.sandbox.dataverse.change("sdkmessageprocessingstep", step, statecode=1)
    validate(watched)
    after = validation.last(watched.connector)
    assert before
    assert after
    assert (after.agents, after.ready) == (before.agents, before.ready)
    assert watched.mails[1].subject == "Emergency calling: 1 new, 0 resolved"
    assert "everybody: webhook.step_disabled" in texts(watched)[1]

    watched.connector.dataverse._sleep = lambda _seconds: None
    watched.sandbox.faults.set_outage("dataverse")
    validate(watched)
    assert len(watched.mails) == 2, "that it cannot be seen does not mend it"
    watched.sandbox.faults.set_outage("dataverse", None)

    watched.sandbox.dataverse.change("sdkmessageprocessingstep", step, statecode=0)
    validate(watched)
    assert watched.mails[2].subject == "Emergency calling: 0 new, 1 resolved"
    steps.delete("sdkmessageprocessingstep", step)


def test_a_directory_that_is_not_whole_is_not_judged(sandbox: Sandbox, tmp_path: Path) -> None:
    with connected(sandbox, tmp_path) as connector:
        sandbox.dataverse.options.page_size = 20
        connector.dataverse._sleep = lambda _seconds: None
        assert validation.run(connector) is None, "nothing was ever read"
        sandbox.faults.add("dataverse", Fault(path="systemusers.*skiptoken", times=0))
        with pytest.raises(RetryLater):
            connector.sync()
        assert validation.run(connector) is None, "a part of the agents"
        assert validation.last(connector) is None
        sandbox.faults.clear()
        connector.sync()
        made = validation.run(connector)
        assert made
        assert made.first


def test_no_agents_are_not_judged(watched: Stage) -> None:
    with watched.connector.directory_store.write() as connection:
        connection.execute(delete(agents))
    assert validation.run(watched.connector) is None
    assert validation.last(watched.connector) is None
    assert watched.mails == []


def test_a_table_that_may_not_be_read_does_not_stop_validations(sandbox: Sandbox, tmp_path: Path) -> None:
    with connected(sandbox, tmp_path) as connector:
        denied = frozenset({f"prvRead{TABLES['mailbox'].privilege}"})
        sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(denied=denied)}
        connector.sync()
        assert validation.run(connector)


def test_one_replica_at_a_time_and_each_due_time_once(watched: Stage) -> None:
    validate(watched)
    with alone(watched.connector.directory_store, "validation"), pytest.raises(AlreadyRunning):
        validation.run(watched.connector)
    due = watched.clock.now() - timedelta(minutes=1)
    assert validation.run(watched.connector, not_since=due) is None


def test_what_the_administrators_know_is_kept_on_both_engines(store_url: str) -> None:
    store = Database(store_url, directory_schema.metadata, "directory")
    store.migrate()
    known = {"a": frozenset({"number.none", "mailbox.missing"}), "b": frozenset({"recipients.none"})}
    now = {EVERYBODY: frozenset({"sender.missing"}), "a": frozenset({"mailbox.missing"}), "c": frozenset[str]()}
    with store.write() as connection:
        history.record(connection, Run("first", START, 2, 0, first=True, told=True), compare({}, known), [])
    for name in ("refused", "second"):
        with store.write() as connection:
            before = history.standing(connection)
            made = Run(name, START, 2, 1, first=False)
            history.record(connection, made, compare(before, now), before.keys() - now.keys())
    with store.write() as connection:
        assert history.find(connection, "refused") is None
        assert history.find(connection, "second") == (
            made,
            [Change(EVERYBODY, "sender.missing", "new"), Change("a", "number.none", "resolved")],
        )
        for _ in range(2):
            history.mark_told(connection, "second")
        assert history.standing(connection) == {agent: codes for agent, codes in now.items() if codes}
        assert history.find(connection, "second") == (replace(made, told=True), [])
    store.close()


def test_without_administrators_runs_are_kept_and_nobody_is_told(stage: Stage) -> None:
    validate(stage)
    assert stage.mails == []


def test_the_next_time_of_a_cron_expression() -> None:
    assert following("30 11 * * *", START) == START + timedelta(minutes=90)
    assert following("", START) is None
