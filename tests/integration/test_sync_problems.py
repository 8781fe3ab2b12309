"""What is missing in Dataverse is told once, by name and with what it means; everything else still syncs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from connector import logs
from connector.assembly import Connector
from connector.clock import MovableClock
from connector.directory.lookup import fetch_agent
from connector.directory.progress import TableStatus, status
from connector.directory.sync import UNTRACKED_EVERY
from connector.errors import AuthenticationError, BadData, RetryLater
from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights
from connector.sandbox.faults import Fault
from connector.store.directory_schema import agents
from connector.store.schema import pool_numbers
from tests.integration.syncing import assert_same, by_name, connected, ids, in_dataverse, requests_for

READ = ("User", "mailbox", "bookableresource")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path, clock: MovableClock) -> Iterator[Connector]:
    with connected(sandbox, tmp_path, clock) as made:
        yield made


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    stream = io.StringIO()
    logs.configure(level="info", stream=stream)
    yield stream
    logs.configure(level="critical")


def told(lines: io.StringIO, event: str) -> list[dict[str, str]]:
    entries = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [entry for entry in entries if entry["event"] == event]


def of(connector: Connector, name: str) -> TableStatus:
    found = status(connector.directory_store, connector.clock, connector.mappings.tables)
    return next(table for table in found if table.name == name)


def rename(connector: Connector, name: str, table: str, entity_set: str) -> None:
    """The organisation lacks a table: the mappings ask for one that the stand-in does not have."""
    tables = dict(connector.mappings.tables)
    tables[name] = replace(tables[name], table=table, set=entity_set)
    connector.mappings = replace(connector.mappings, tables=tables)


def privilege(sandbox: Sandbox, name: str) -> Rights:
    """The right to read everything but one table, whose privilege the stand-in spells as Dataverse does."""
    from connector.sandbox.dataverse.tables import TABLES  # noqa: PLC0415 (the stand-in's own list)

    return Rights(denied=frozenset({f"prvRead{TABLES[name].privilege}"}))


def test_a_missing_table_is_one_finding_and_its_copy_stays(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    before = ids(connector, "voice_channels")
    assert before
    rename(connector, "voice_channels", "ec_absent", "ec_absents")
    results = by_name(connector.sync())
    (problem,) = results["voice_channels"].problems
    assert problem.code == "sync.table_missing"
    assert "ec_absent" in problem.text
    assert "install the voice channel" in problem.text
    assert ids(connector, "voice_channels") == before, "a 404 may be a mistake that passes"
    assert not any(result.problems for name, result in results.items() if name != "voice_channels")
    assert of(connector, "voice_channels").problems == (problem,)


def test_a_missing_column_is_one_finding_and_the_rest_is_read(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.recipients_column = False
    result = by_name(connector.sync())["agents"]
    (problem,) = result.problems
    assert problem.code == "sync.column_missing"
    assert connector.mappings.tables["agents"].columns["recipients"] in problem.text
    assert "fallback recipients" in problem.text
    assert result.tracked
    again = by_name(connector.sync())["agents"]
    assert (again.full, again.problems) == (False, (problem,)), "it stays known while only changes are read"


def test_an_agent_is_looked_up_without_the_missing_column(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.recipients_column = False
    connector.sync()
    agent_id = sandbox.organisation.agent_ids[0]
    before = connector.directory.agent(agent_id)
    with connector.directory_store.write() as connection:
        connection.execute(agents.delete().where(agents.c.id == agent_id))
    fetch_agent(connector.dataverse, connector.directory_store, connector.mappings, agent_id, 5)
    assert connector.directory.agent(agent_id) == before


def test_a_look_up_never_makes_an_agent_look_gone(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.page_size = 20

    def look_up(table: str, read: int) -> None:
        if table == "agents" and read <= 60:
            agent_id = sandbox.organisation.agent_ids[0]
            fetch_agent(connector.dataverse, connector.directory_store, connector.mappings, agent_id, 5)

    connector.sync(look_up)
    assert_same(sandbox, connector)


def test_a_column_that_is_installed_later_is_read(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.recipients_column = False
    connector.sync()
    sandbox.dataverse.options.recipients_column = True
    result = by_name(connector.sync())["agents"]
    assert result.full, "the changes alone would leave the column empty"
    assert result.problems == ()
    assert_same(sandbox, connector)


def test_a_column_that_is_removed_later_is_told(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    sandbox.dataverse.options.recipients_column = False
    result = by_name(connector.sync())["agents"]
    assert [problem.code for problem in result.problems] == ["sync.column_missing"]
    agent = connector.directory.agent(sandbox.organisation.agent_ids[0])
    assert agent is not None
    assert agent.recipients == ()


def test_changed_mappings_mean_a_full_read(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    mapping = connector.mappings.tables["agents"]
    tables = {**connector.mappings.tables, "agents": replace(mapping, attributes=(*mapping.attributes, "domainname"))}
    connector.mappings = replace(connector.mappings, tables=tables)
    assert by_name(connector.sync())["agents"].full
    assert_same(sandbox, connector)
    assert not by_name(connector.sync())["agents"].full


def test_a_missing_privilege_is_named_with_its_table(
    sandbox: Sandbox, connector: Connector, clock: MovableClock
) -> None:
    connector.sync()
    before = ids(connector, "mailboxes")
    sandbox.dataverse.options.rights = {sandbox.info.client_id: privilege(sandbox, "mailbox")}
    clock.advance(600)
    results = by_name(connector.sync())
    (problem,) = results["mailboxes"].problems
    assert problem.code == "sync.privilege_missing"
    assert "prvRead" in problem.text
    assert "table mailbox" in problem.text
    assert ids(connector, "mailboxes") == before, "an old copy is better than none"
    assert (of(connector, "mailboxes").age or 0) >= 600
    assert (of(connector, "agents").age or 0) < 600
    sandbox.dataverse.options.rights = {}
    restored = by_name(connector.sync())["mailboxes"]
    assert (restored.full, restored.problems) == (False, ()), "the change-tracking token was kept"
    assert of(connector, "mailboxes").problems == ()


def test_an_application_that_may_read_nothing_is_an_error(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.members = frozenset()
    with pytest.raises(AuthenticationError, match="security role"):
        connector.sync()


def test_one_table_that_cannot_be_read_never_costs_the_others_their_update(
    sandbox: Sandbox, connector: Connector
) -> None:
    sandbox.faults.add("dataverse", Fault(status=200, path="presences", body='{"value": 1}', times=0))
    with pytest.raises(BadData):
        connector.sync()
    assert ids(connector, "templates") == in_dataverse(sandbox, connector, "templates")
    assert [problem.code for problem in of(connector, "presences").problems] == ["sync.refused"]
    sandbox.faults.clear()
    connector.sync()
    assert of(connector, "presences").problems == ()
    assert_same(sandbox, connector)


def test_a_problem_is_logged_when_it_comes_and_when_it_goes(
    sandbox: Sandbox, connector: Connector, lines: io.StringIO
) -> None:
    sandbox.dataverse.options.untracked_tables = frozenset({"msdyn_agentstatus"})
    for _ in range(3):
        connector.sync()
    (line,) = told(lines, "sync_problem")
    assert line["code"] == "sync.not_tracked"
    assert line["table"] == "agent_statuses"
    sandbox.dataverse.options.untracked_tables = frozenset()
    connector.sync()
    connector.sync()
    assert len(told(lines, "sync_problem")) == 1
    assert len(told(lines, "sync_problem_gone")) == 1


def test_a_table_without_change_tracking_is_read_in_full_from_time_to_time(
    sandbox: Sandbox, connector: Connector, clock: MovableClock
) -> None:
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(organisation_read=False)}
    connector.sync(untracked_every=UNTRACKED_EVERY)
    ghost = "0f0f0f0f-0000-4000-8000-00000000f00a"
    sandbox.dataverse.rows.insert("mailbox", {"mailboxid": ghost, "name": "x"})
    sandbox.faults.clear_log()
    results = connector.sync(untracked_every=UNTRACKED_EVERY)
    assert not any(result.done for result in results)
    assert requests_for(sandbox, "mailboxes") == []
    clock.advance(UNTRACKED_EVERY.total_seconds() + 1)
    connector.sync(untracked_every=UNTRACKED_EVERY)
    assert_same(sandbox, connector)
    sandbox.dataverse.rows.delete("mailbox", ghost)
    results = connector.sync()
    assert by_name(results)["mailboxes"].removed == 1, "mark and sweep; a sync that is asked for waits for nothing"
    codes = {problem.code for result in results for problem in result.problems}
    assert codes == {"sync.no_organisation_read"}
    assert_same(sandbox, connector)


def test_what_may_no_longer_be_seen_stays_until_all_may_be_seen_again(sandbox: Sandbox, connector: Connector) -> None:
    rows, options = sandbox.dataverse.rows, sandbox.dataverse.options
    seen, unseen, elsewhere = (f"0f0f0f0f-0000-4000-8000-00000000000{number}" for number in range(3))
    for row_id in (seen, unseen, elsewhere):
        rows.insert("systemuser", {"systemuserid": row_id, "fullname": "x"})
    connector.sync()
    options.rights = {sandbox.info.client_id: Rights(organisation_read=False)}
    options.other_units = frozenset({unseen, elsewhere})
    assert by_name(connector.sync())["agents"].removed == 0
    assert {seen, unseen, elsewhere} <= ids(connector, "agents"), "who may not be seen may still dial"
    for row_id in (seen, unseen):
        rows.delete("systemuser", row_id)
    assert by_name(connector.sync())["agents"].removed == 1, "the last read saw it, this one does not: it is gone"
    assert ids(connector, "agents") & {seen, unseen, elsewhere} == {unseen, elsewhere}
    options.rights, options.other_units = {}, frozenset()
    assert by_name(connector.sync())["agents"].removed == 1, "now it is known which one is gone"
    rows.delete("systemuser", elsewhere)
    connector.sync()
    assert_same(sandbox, connector)


@pytest.mark.parametrize("minutes", [1, 11])
def test_an_untracked_read_goes_on_where_it_was_interrupted_unless_that_is_long_ago(
    sandbox: Sandbox, connector: Connector, clock: MovableClock, minutes: int
) -> None:
    sandbox.dataverse.options.untracked_tables = frozenset({"systemuser"})
    sandbox.dataverse.options.page_size = 20

    class Killed(BaseException):
        pass

    def stop(_table: str, read: int) -> None:
        if read > 20:
            raise Killed

    with pytest.raises(Killed):
        connector.sync(stop)
    sandbox.faults.clear_log()
    clock.advance(minutes * 60)
    result = by_name(connector.sync(untracked_every=timedelta(hours=1)))["agents"]
    from_start = any("skiptoken" not in target for target in requests_for(sandbox, "systemusers"))
    assert from_start == (minutes == 11)
    assert [problem.code for problem in result.problems] == ["sync.not_tracked"]
    assert_same(sandbox, connector)


def leased_from(connector: Connector) -> set[str]:
    """The pool of callback numbers."""
    with connector.store.read() as connection:
        return set(connection.execute(select(pool_numbers.c.number)).scalars())


def hide_some_numbers(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(organisation_read=False)}
    sandbox.dataverse.options.other_units = frozenset(in_dataverse(sandbox, connector, "phone_numbers"))


def hide_their_column(sandbox: Sandbox, connector: Connector) -> None:
    mapping = connector.mappings.tables["phone_numbers"]
    columns = {**mapping.columns, "number": "ec_absent"}
    connector.mappings = replace(
        connector.mappings, tables={**connector.mappings.tables, "phone_numbers": replace(mapping, columns=columns)}
    )


def hide_their_table(sandbox: Sandbox, connector: Connector) -> None:
    for path in ("msdyn_ocphonenumber", "EntityDefinitions"):
        sandbox.faults.add("dataverse", Fault(status=404, path=path, times=0))


def show_none(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.faults.add("dataverse", Fault(status=200, path="msdyn_ocphonenumber", body='{"value": []}', times=0))


@pytest.mark.parametrize("hide", [hide_some_numbers, hide_their_column, hide_their_table, show_none])
def test_no_number_is_leased_while_those_that_carry_customers_are_not_all_known(
    sandbox: Sandbox, connector: Connector, hide: Callable[[Sandbox, Connector], None]
) -> None:
    original = connector.mappings
    hide(sandbox, connector)
    connector.sync()
    assert leased_from(connector) == set()
    connector.mappings = original
    sandbox.faults.clear()
    sandbox.dataverse.options.rights, sandbox.dataverse.options.other_units = {}, frozenset()
    connector.sync()
    free = leased_from(connector)
    assert free
    assert not free & connector.directory.numbers_in_use()
    hide(sandbox, connector)
    with suppress(BadData):  # changes without an end
        connector.sync()
    assert leased_from(connector) == free, "the pool stays as it was"


def test_a_service_that_knows_nothing_any_more_empties_nothing(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    before = {name: ids(connector, name) for name in connector.mappings.tables}
    sandbox.faults.add("dataverse", Fault(status=404, path=".*", times=0))
    results = connector.sync()
    assert {problem.code for result in results for problem in result.problems} == {"sync.table_missing"}
    assert {name: ids(connector, name) for name in connector.mappings.tables} == before


def test_an_answer_without_any_user_is_not_believed(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    before = ids(connector, "agents")
    sandbox.faults.add("dataverse", Fault(status=400, path="systemusers.*deltatoken", times=1))
    sandbox.faults.add("dataverse", Fault(status=200, path="systemusers", body='{"value": []}', times=1))
    with pytest.raises(BadData, match="no row of table systemuser"):
        connector.sync()
    assert ids(connector, "agents") == before
    connector.sync()
    assert_same(sandbox, connector)
    assert of(connector, "agents").problems == ()


def test_a_service_that_does_not_track_without_a_word_is_told_of(sandbox: Sandbox, connector: Connector) -> None:
    body = '{"value": [{"msdyn_presenceid": "0f0f0f0f-0000-4000-8000-00000000f00b"}]}'
    sandbox.faults.add("dataverse", Fault(status=200, path="msdyn_presences", body=body, times=1))
    (problem,) = by_name(connector.sync())["presences"].problems
    assert problem.code == "sync.not_tracked"
    assert by_name(connector.sync())["presences"].problems == ()
    assert_same(sandbox, connector)


def test_one_table_out_of_order_costs_no_other_its_update(sandbox: Sandbox, connector: Connector) -> None:
    connector.dataverse._sleep = lambda _seconds: None
    sandbox.faults.add("dataverse", Fault(status=500, path="msdyn_agentstatuses", times=0))
    with pytest.raises(RetryLater):
        connector.sync()
    for name in connector.mappings.tables.keys() - {"agent_statuses"}:
        assert ids(connector, name) == in_dataverse(sandbox, connector, name)
    (problem,) = of(connector, "agent_statuses").problems
    assert problem.code == "sync.refused"
    assert leased_from(connector), "ACS is asked all the same"
    assert (of(connector, "acs").age or 0) < 60


def test_what_acs_tells_has_an_age(sandbox: Sandbox, connector: Connector, clock: MovableClock) -> None:
    connector.sync()
    sandbox.faults.set_outage("acs")
    clock.advance(3600)
    with pytest.raises(RetryLater):
        connector.sync()
    assert (of(connector, "acs").age or 0) >= 3600
    assert (of(connector, "agents").age or 0) < 60


def test_a_copy_of_a_wrong_clock_is_no_reason_to_wait(sandbox: Sandbox, connector: Connector, tmp_path: Path) -> None:
    sandbox.dataverse.options.untracked_tables = frozenset({"systemuser"})
    with Connector(connector.settings, MovableClock(connector.clock.now() + timedelta(days=400))) as wrong:
        wrong.sync()
    assert by_name(connector.sync(untracked_every=UNTRACKED_EVERY))["agents"].done


def test_an_agent_is_looked_up_whatever_characters_their_name_has(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    agent_id = sandbox.organisation.agent_ids[0]
    row = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert row is not None
    body = json.dumps({"systemuserid": agent_id, "fullname": "A\0b\ud800c"})
    sandbox.faults.add("dataverse", Fault(status=200, path="systemusers", body=body, times=1))
    fetch_agent(connector.dataverse, connector.directory_store, connector.mappings, agent_id, 2.0)
    agent = connector.directory.agent(agent_id)
    assert agent is not None
    assert agent.name == "A\ufffdb?c"
