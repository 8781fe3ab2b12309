"""Setting recipients: checked, shown, and never over somebody's edit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.assembly import Connector
from connector.directory.recipients import Recipients, Wish, read_csv
from connector.errors import BadData
from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights
from tests.integration.stage import chosen


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path) -> Iterator[Connector]:
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(denied=frozenset())}
    with Connector(chosen(sandbox, f"sqlite:///{tmp_path}/calls.db", tmp_path)) as made:
        made.sync()
        yield made


@pytest.fixture
def recipients(connector: Connector) -> Recipients:
    return Recipients(connector.dataverse, connector.directory_store, connector.mappings)


def field(sandbox: Sandbox, agent_id: str) -> str | None:
    row = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert row is not None
    return row.values.get("msdyn_emergencyemailrecipients")


def test_a_preview_writes_nothing_and_applying_does(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[0]
    before = field(sandbox, agent_id)
    (change,) = recipients.preview([Wish(agent_id, "new@example.com, Other <other@example.com>")])
    assert (change.state, change.before, change.after) == ("to change", before, "new@example.com; other@example.com")
    assert field(sandbox, agent_id) == before
    assert recipients.apply(change).state == "changed"
    assert field(sandbox, agent_id) == "new@example.com; other@example.com"
    (again,) = recipients.preview([Wish(agent_id, "new@example.com; other@example.com")])
    assert again.state == "unchanged"
    assert recipients.apply(again).state == "unchanged"


def test_an_edit_since_the_preview_is_not_overwritten(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[1]
    (change,) = recipients.preview([Wish(agent_id, "new@example.com")])
    sandbox.dataverse.change("systemuser", agent_id, msdyn_emergencyemailrecipients="colleague@example.com")
    applied = recipients.apply(change)
    assert applied.state == "refused"
    assert "somebody edited" in applied.problem
    assert field(sandbox, agent_id) == "colleague@example.com"


def test_an_agent_may_be_named_by_address(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[2]
    row = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert row is not None
    (change,) = recipients.preview([Wish(str(row.values["internalemailaddress"]).upper(), "new@example.com")])
    assert change.agent_id == agent_id


def test_an_empty_list_clears_the_field(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[3]
    (change,) = recipients.preview([Wish(agent_id, "")])
    assert recipients.apply(change).state == "changed"
    assert field(sandbox, agent_id) is None


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (Wish("nobody@example.com", "a@example.com"), "no user"),
        (Wish("0f0f0f0f-0000-4000-8000-00000000ffff", "a@example.com"), "404"),
        (Wish("0f0f0f0f-0000-4000-8000-00000000ffff", "not an address"), "not an address"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(recipients: Recipients, wish: Wish, problem: str) -> None:
    (change,) = recipients.preview([wish])
    assert change.state == "refused"
    assert problem in change.problem


def test_without_the_privilege_the_change_is_refused(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[4]
    (change,) = recipients.preview([Wish(agent_id, "new@example.com")])
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(denied=frozenset({"prvWriteUser"}))}
    applied = recipients.apply(change)
    assert applied.state == "refused"
    assert "prvWriteUser" in applied.problem


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "wishes.csv"
    file.write_text('\ufeffagent,recipients\na@example.com,"x@example.com; y@example.com"\nb@example.com,\n', "utf-8")
    assert read_csv(file) == [Wish("a@example.com", "x@example.com; y@example.com"), Wish("b@example.com", "")]


def test_a_csv_file_may_be_separated_by_semicolons(tmp_path: Path) -> None:
    file = tmp_path / "wishes.csv"
    file.write_text('agent;recipients\na@example.com;"x@example.com; y@example.com"\n', "utf-8")
    assert read_csv(file) == [Wish("a@example.com", "x@example.com; y@example.com")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"who,what\na,b\n", "must name the columns"),
        (b"", "must name the columns"),
        (b"agent,recipients\n,a@example.com\n", "line 2"),
        (b"agent,recipients\na@example.com\n", "line 2"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"agent,recipients\na@example.com,b@example.com,c@example.com\n", "line 2: more cells"),
        (b"agent,recipients\na@example.com,b@example.com\nA@example.com,c@example.com\n", "line 3: the agent stands"),
    ],
)
def test_a_wrong_csv_file_is_told_with_its_line(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "wishes.csv"
    file.write_bytes(content)
    with pytest.raises(BadData, match=problem):
        read_csv(file)


def test_a_missing_csv_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such file"):
        read_csv(tmp_path / "none.csv")
