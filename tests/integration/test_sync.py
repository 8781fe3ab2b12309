"""The directory against the stand-in's Web API: full read, changes, deletions, expired tokens, interrupted reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connector.assembly import Connector
from connector.directory.sync import Sync
from connector.errors import AuthenticationError, BadData, RetryLater
from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights
from connector.sandbox.faults import Fault
from connector.store import directory_schema as tables
from tests.integration.syncing import by_name, connected, ids, impatient, in_dataverse


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path) -> Iterator[Connector]:
    with connected(sandbox, tmp_path) as made:
        yield made


def column(connector: Connector, name: str, row_id: str, what: str) -> Any:
    table = tables.metadata.tables[name]
    with connector.directory_store.read() as connection:
        return connection.execute(select(table.c[what]).where(table.c.id == row_id)).scalar()


def test_the_first_sync_reads_every_table_in_full(sandbox: Sandbox, connector: Connector) -> None:
    results = by_name(connector.sync())
    assert set(results) == set(connector.mappings.tables)
    assert all(result.full and result.tracked for result in results.values())
    for name in connector.mappings.tables:
        assert ids(connector, name) == in_dataverse(sandbox, connector, name)


def test_afterwards_only_changes_are_read(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    agent_id = sandbox.organisation.agent_ids[0]
    sandbox.dataverse.change("systemuser", agent_id, fullname="Renamed Person")
    results = by_name(connector.sync())
    assert not any(result.full for result in results.values())
    assert results["agents"].read == 1
    assert sum(result.read for result in results.values()) == 1
    assert column(connector, "agents", agent_id, "name") == "Renamed Person"


def test_deletions_are_seen(sandbox: Sandbox, connector: Connector) -> None:
    rows = sandbox.dataverse.rows
    new = {"mailboxid": "0f0f0f0f-0000-4000-8000-00000000f001", "name": "x"}
    rows.insert("mailbox", new)
    connector.sync()
    assert new["mailboxid"] in ids(connector, "mailboxes")
    rows.delete("mailbox", new["mailboxid"])
    assert by_name(connector.sync())["mailboxes"].removed == 1
    assert ids(connector, "mailboxes") == in_dataverse(sandbox, connector, "mailboxes")


@pytest.mark.parametrize("status", [400, 404, 410, 403])
def test_an_expired_token_means_a_full_read_and_no_ghosts(sandbox: Sandbox, connector: Connector, status: int) -> None:
    sandbox.dataverse.options.expired_token_status = status
    ghost = "0f0f0f0f-0000-4000-8000-00000000f002"
    sandbox.dataverse.rows.insert("mailbox", {"mailboxid": ghost, "name": "x"})
    connector.sync()
    sandbox.dataverse.rows.delete("mailbox", ghost)
    sandbox.faults.add("dataverse", Fault(status=status, path="deltatoken", body='{"error": {"code": "0x0"}}', times=1))
    sandbox.faults.add("dataverse", Fault(status=status, path="mailboxes.*deltatoken", times=1))
    results = by_name(connector.sync())
    assert results["agents"].full
    assert results["mailboxes"].full
    assert results["mailboxes"].removed == 1
    assert not results["templates"].full
    assert ghost not in ids(connector, "mailboxes")


def test_an_interrupted_first_read_goes_on_where_it_stopped(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.page_size = 20
    pages: list[int] = []

    class Killed(BaseException):
        pass

    def stop_at_third(_table: str, read: int) -> None:
        pages.append(read)
        if len(pages) == 3:
            raise Killed

    with pytest.raises(Killed):
        connector.sync(stop_at_third)
    sandbox.faults.clear_log()
    results = by_name(connector.sync())
    first = next(seen for seen in sandbox.faults.log("dataverse") if "systemusers" in seen.target)
    assert "skiptoken" in first.target
    assert results["agents"].read == len(in_dataverse(sandbox, connector, "agents"))
    assert ids(connector, "agents") == in_dataverse(sandbox, connector, "agents")


def test_a_refused_page_link_means_a_read_from_the_start(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.page_size = 20

    class Killed(BaseException):
        pass

    def stop(_table: str, _read: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        connector.sync(stop)
    sandbox.faults.add("dataverse", Fault(status=400, path="skiptoken", times=1))
    assert by_name(connector.sync())["agents"].full
    assert ids(connector, "agents") == in_dataverse(sandbox, connector, "agents")


def test_a_repeated_page_link_is_an_error(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.page_size = 20
    sandbox.dataverse.options.repeat_next_link = True
    with pytest.raises(BadData, match="repeats a page link"):
        connector.sync()


def test_a_table_without_change_tracking_is_read_in_full_each_time(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.untracked_tables = frozenset({"msdyn_agentstatus"})
    assert not by_name(connector.sync())["agent_statuses"].tracked
    again = by_name(connector.sync())
    assert again["agent_statuses"].full
    assert not again["agents"].full
    assert ids(connector, "agent_statuses") == in_dataverse(sandbox, connector, "agent_statuses")


def test_a_caller_without_organisation_level_read_reads_in_full(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(organisation_read=False)}
    results = by_name(connector.sync())
    assert results["agents"].full
    assert not results["agents"].tracked


def test_the_recipients_column_may_be_absent(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.recipients_column = False
    results = by_name(connector.sync())
    assert results["agents"].tracked
    assert {agent.recipients for agent in _agents(sandbox, connector)} == {()}


def _agents(sandbox: Sandbox, connector: Connector) -> list[Any]:
    return [connector.directory.agent(agent_id) for agent_id in sandbox.organisation.agent_ids]


def test_retry_after_is_obeyed_to_the_second(sandbox: Sandbox, connector: Connector) -> None:
    waits: list[float] = []
    impatient(connector, waits)
    sandbox.faults.add("dataverse", Fault(status=429, headers={"Retry-After": "7"}, path="systemusers", times=2))
    sandbox.faults.add("dataverse", Fault(status=503, headers={"Retry-After": "1.5"}, path="mailboxes", times=1))
    connector.sync()
    assert waits == [7, 7, 1.5]


def test_a_service_that_stays_away_ends_the_sync_with_a_word(sandbox: Sandbox, connector: Connector) -> None:
    waits: list[float] = []
    impatient(connector, waits)
    sandbox.faults.set_outage("dataverse", "unavailable")
    with pytest.raises(RetryLater, match="busy or out of order"):
        connector.sync()
    sandbox.faults.set_outage("dataverse", "cut")
    with pytest.raises(RetryLater, match="cannot be reached"):
        connector.sync()
    assert len(waits) == 2 * 14, "each time two tables are tried"
    assert all(0 <= wait <= 30 for wait in waits)


def test_other_refusals_are_not_repeated(sandbox: Sandbox, connector: Connector) -> None:
    waits: list[float] = []
    impatient(connector, waits)
    sandbox.faults.add("dataverse", Fault(status=401, path="systemusers", times=1))
    with pytest.raises(AuthenticationError):
        connector.sync()
    assert waits == []


def test_a_link_to_another_address_gets_no_token(sandbox: Sandbox, connector: Connector) -> None:
    elsewhere = '{"value": [], "@odata.nextLink": "https://elsewhere.example/api/data/v9.2/systemusers"}'
    sandbox.faults.add("dataverse", Fault(status=200, path="systemusers", body=elsewhere, times=1))
    with pytest.raises(BadData, match="another address"):
        connector.sync()


def test_links_of_another_environment_are_not_followed(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    with connector.directory_store.write() as connection:
        elsewhere = "https://elsewhere.example/api/data/v9.2/x?$deltatoken=1"
        connection.execute(tables.sync_progress.update().values(delta_link=elsewhere))
    assert all(result.full for result in connector.sync())
    assert ids(connector, "agents") == in_dataverse(sandbox, connector, "agents")


def test_the_pool_is_what_takes_calls_and_is_not_in_use(sandbox: Sandbox, connector: Connector) -> None:
    connector.sync()
    from connector.store import calls  # noqa: PLC0415 (named like the fixture's room)

    with connector.store.read() as connection:
        pool = calls.pool_size(connection)
    assert set(pool) == {"US", "GB", "DK", "CA", "PR"}
    owned = sandbox.acs.numbers.inventory.owned
    assert 0 < sum(total for total, _ in pool.values()) < len(owned)


def test_progress_is_told_page_by_page(sandbox: Sandbox, connector: Connector) -> None:
    sandbox.dataverse.options.page_size = 50
    told: list[tuple[str, int]] = []
    Sync(connector.dataverse, connector.directory_store, connector.mappings, connector.clock).run(
        lambda table, rows: told.append((table, rows))
    )
    users = [rows for table, rows in told if table == "agents"]
    assert users == [50, len(in_dataverse(sandbox, connector, "agents"))]
