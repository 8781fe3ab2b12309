"""The scheduled validation: only what changed is told, once, by one replica."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from connector.errors import AlreadyRunning
from connector.sandbox import Sandbox
from connector.service import validation
from connector.service.schedule import following
from connector.store.directory_schema import validation_runs
from connector.store.lock import alone
from tests.conftest import START
from tests.integration.stage import Stage, staged, until

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
    assert watched.mails[1].subject == "Emergency calling: 1 newly broken, 0 mended"
    assert f"{agent.name}: recipients.none" in watched.mails[1].message["content"]["plainText"]

    field = "; ".join(agent.recipients)
    watched.sandbox.dataverse.change("systemuser", agent.id, msdyn_emergencyemailrecipients=field)
    watched.connector.sync()
    validate(watched)
    until(lambda: len(watched.mails) == 3)
    assert watched.mails[2].subject == "Emergency calling: 0 newly broken, 1 mended"


def test_a_run_whose_mail_was_not_asked_for_is_told_later_and_once(watched: Stage) -> None:
    validate(watched)
    until(lambda: len(watched.mails) == 1)
    # As if the process had been killed after the run was kept and before, or after, its mail was asked for.
    with watched.connector.directory_store.write() as connection:
        connection.execute(update(validation_runs).values(told=False))
    validate(watched)
    assert len(watched.mails) == 1, "the effect's id is the run's own"
    assert watched.mails[0].requests == 1


def test_one_replica_at_a_time_and_each_due_time_once(watched: Stage) -> None:
    validate(watched)
    with alone(watched.connector.directory_store, "validation"), pytest.raises(AlreadyRunning):
        validation.run(watched.connector)
    due = watched.clock.now() - timedelta(minutes=1)
    assert validation.run(watched.connector, not_since=due) is None


def test_without_administrators_runs_are_kept_and_nobody_is_told(stage: Stage) -> None:
    validate(stage)
    assert stage.mails == []


def test_the_next_time_of_a_cron_expression() -> None:
    assert following("30 11 * * *", START) == START + timedelta(minutes=90)
    assert following("", START) is None
