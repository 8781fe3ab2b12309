"""Setting recipients: checked, shown, and never over somebody's edit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connector.assembly import Connector
from connector.cli.recipients import carry_out
from connector.directory.recipients import Recipients, Wish, read_csv
from connector.errors import BadData, RetryLater
from connector.sandbox import Sandbox
from connector.sandbox.dataverse import Rights
from connector.sandbox.faults import Fault
from tests.integration.stage import chosen, until
from tests.integration.syncing import assert_same, impatient

COMMAND = [sys.executable, "-c", "from connector.cli import main; main()", "recipients", "set"]
UNKNOWN = "0f0f0f0f-0000-4000-8000-00000000ffff"


@pytest.fixture
def connector(sandbox: Sandbox, tmp_path: Path) -> Iterator[Connector]:
    sandbox.faults.clear()
    sandbox.dataverse.options.rights = {sandbox.info.client_id: Rights(denied=frozenset())}
    with Connector(chosen(sandbox, f"sqlite:///{tmp_path}/calls.db", tmp_path)) as made:
        impatient(made, [])
        made.sync()
        yield made
    sandbox.faults.clear()


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
        (Wish(UNKNOWN, "a@example.com"), "404"),
        (Wish(UNKNOWN, "not an address"), "not an address"),
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


@pytest.mark.parametrize("header", ["Agent,Recipients", "agent, recipients", " AGENT ,note,RECIPIENTS "])
def test_the_columns_are_known_in_any_case_and_with_blanks(tmp_path: Path, header: str) -> None:
    file = tmp_path / "wishes.csv"
    note = "a note," if "note" in header else ""
    file.write_text(f"{header}\r\n a@example.com ,{note}x@example.com\r\n\r\n", "utf-8")
    assert read_csv(file) == [Wish("a@example.com", "x@example.com")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_break_in_a_cell_separates_addresses(recipients: Recipients, tmp_path: Path, end: str) -> None:
    file = tmp_path / "wishes.csv"
    cells = f'agent,recipients{end}{UNKNOWN},"x@example.com{end}y@example.com;"{end}b@example.com,{end}'
    file.write_bytes(cells.encode())
    first, second = read_csv(file)
    assert first == Wish(UNKNOWN, "x@example.com\ny@example.com;")
    assert second == Wish("b@example.com", "")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"who,what\na,b\n", "must name the columns"),
        (b"", "must name the columns"),
        (b"agent,recipients\n,a@example.com\n", "line 2"),
        (b"agent,recipients\na@example.com\n", "line 2"),
        (b"agent,agent,recipients\na@example.com,b@example.com,\n", "must name the columns"),
        (b"agent,recipients\n", "names nobody"),
        (b"agent,recipients\n,\n\n", "names nobody"),
        (b"agent,recipients\n\na@example.com," + 140_000 * b"x" + b"\n", "line 3: .*131,072 characters"),
        (b'agent,recipients\na@example.com,"x@example.com\nb@example.com,y@example.com\n', "line 2: a quote"),
        (b'agent,recipients\na@example.com,"x@example.com\ny@example.com"\nb@example.com\n', "line 4: both"),
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


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is a folder"):
        read_csv(tmp_path)


def test_a_missing_csv_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such file"):
        read_csv(tmp_path / "none.csv")


def agent_values(sandbox: Sandbox, agent_id: str) -> dict[str, Any]:
    row = sandbox.dataverse.rows.get("systemuser", agent_id)
    assert row is not None
    return row.values


def wishes_for(sandbox: Sandbox, agents: slice, text: str) -> list[Wish]:
    return [Wish(agent_id, text) for agent_id in sandbox.organisation.agent_ids[agents]]


def test_line_breaks_separate_addresses(sandbox: Sandbox, recipients: Recipients) -> None:
    (change,) = recipients.preview([Wish(sandbox.organisation.agent_ids[0], "x@example.com\ny@example.com")])
    assert change.after == "x@example.com; y@example.com"


def test_what_is_written_is_in_the_directory_at_once(
    sandbox: Sandbox, connector: Connector, recipients: Recipients
) -> None:
    carry_out(recipients, wishes_for(sandbox, slice(10, 14), "at-once@example.com"), apply=True)
    for agent_id in sandbox.organisation.agent_ids[10:14]:
        agent = connector.directory.agent(agent_id)
        assert agent is not None
        assert agent.recipients == ("at-once@example.com",)
    assert_same(sandbox, connector)


def test_a_directory_that_is_behind_is_mended_by_repeating(
    sandbox: Sandbox, connector: Connector, recipients: Recipients
) -> None:
    agent_id = sandbox.organisation.agent_ids[14]
    sandbox.dataverse.change("systemuser", agent_id, msdyn_emergencyemailrecipients="behind@example.com")
    (change,) = carry_out(recipients, [Wish(agent_id, "behind@example.com")], apply=True)
    assert change.state == "unchanged"
    agent = connector.directory.agent(agent_id)
    assert agent is not None
    assert agent.recipients == ("behind@example.com",)


def test_what_is_written_but_not_stored_says_so(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[15]
    (change,) = recipients.preview([Wish(agent_id, "told@example.com")])
    sandbox.faults.add("dataverse", Fault(status=503, method="GET", path="systemusers", times=0))
    applied = recipients.apply(change)
    assert applied.state == "changed"
    assert "until the next sync" in applied.problem
    assert field(sandbox, agent_id) == "told@example.com"


def test_trouble_in_the_middle_stops_and_tells_what_was_done(
    sandbox: Sandbox, recipients: Recipients, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes = wishes_for(sandbox, slice(20, 30), "middle@example.com")
    sandbox.faults.add("dataverse", Fault(status=503, path=wishes[3].agent, times=0))
    with pytest.raises(RetryLater):
        carry_out(recipients, wishes, apply=True)
    told = " ".join(capsys.readouterr().out.split())
    assert "3 changed, 0 unchanged, 0 refused" in told
    assert "Stopped with 7 left" in told
    assert "safe to repeat" in told
    assert [field(sandbox, wish.agent) == "middle@example.com" for wish in wishes] == [True] * 3 + [False] * 7
    sandbox.faults.clear()
    carry_out(recipients, wishes, apply=True)
    assert "7 changed, 3 unchanged, 0 refused" in capsys.readouterr().out


def test_a_write_whose_answer_was_lost_is_not_taken_for_an_edit(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[40]
    (change,) = recipients.preview([Wish(agent_id, "lost@example.com")])
    sandbox.faults.add("dataverse", Fault(method="PATCH", cut="after"))
    assert recipients.apply(change).state == "changed"
    assert field(sandbox, agent_id) == "lost@example.com"


def test_all_agents_are_looked_up_in_one_pass(connector: Connector, recipients: Recipients) -> None:
    statements: list[str] = []
    event.listen(
        connector.directory_store.engine, "before_cursor_execute", lambda *given: statements.append(str(given[2]))
    )
    wishes = [Wish(f"stranger-{number}@example.com", "a@example.com") for number in range(500)]
    assert {change.state for change in recipients.preview(wishes)} == {"refused"}
    assert len([statement for statement in statements if "FROM agents" in statement]) == 1


def test_an_agent_may_be_named_by_a_name_that_only_they_have(
    sandbox: Sandbox, connector: Connector, recipients: Recipients
) -> None:
    first, second, other = sandbox.organisation.agent_ids[50:53]
    for agent_id, name in ((first, "\u00c9lodie Unique"), (second, "Twin Agent"), (other, "Twin Agent")):
        sandbox.dataverse.change("systemuser", agent_id, fullname=name)
    connector.sync()
    found, twin = recipients.preview(
        [Wish(" \u00e9lodie UNIQUE ", "a@example.com"), Wish("twin agent", "a@example.com")]
    )
    assert (found.agent_id, found.state) == (first, "to change")
    assert (twin.agent_id, twin.state) == ("", "refused")
    assert "several users" in twin.problem


def test_two_wishes_for_one_user_are_both_refused(sandbox: Sandbox, recipients: Recipients) -> None:
    agent_id = sandbox.organisation.agent_ids[53]
    address = agent_values(sandbox, agent_id)["internalemailaddress"]
    changes = list(recipients.preview([Wish(agent_id, "a@example.com"), Wish(address, "b@example.com")]))
    assert [change.state for change in changes] == ["refused", "refused"]
    assert "another line" in changes[0].problem


def test_too_many_addresses_are_refused_in_the_preview(sandbox: Sandbox, recipients: Recipients) -> None:
    many = "; ".join(f"contact-{number}@example.com" for number in range(500))
    (change,) = recipients.preview([Wish(sandbox.organisation.agent_ids[54], many)])
    assert change.state == "refused"
    assert "the field holds 4000" in change.problem


def test_where_the_length_is_not_told_the_refusal_is_explained(sandbox: Sandbox, recipients: Recipients) -> None:
    sandbox.faults.add("dataverse", Fault(status=403, path="EntityDefinitions"))
    many = "; ".join(f"contact-{number}@example.com" for number in range(500))
    (change,) = recipients.preview([Wish(sandbox.organisation.agent_ids[54], many)])
    assert change.state == "to change"
    applied = recipients.apply(change)
    assert applied.state == "refused"
    assert f"{len(many)} characters are more than the field holds" in applied.problem


def test_nobody_is_said_plainly(sandbox: Sandbox, recipients: Recipients, capsys: pytest.CaptureFixture[str]) -> None:
    agent_id = sandbox.organisation.agent_ids[55]
    sandbox.dataverse.change("systemuser", agent_id, msdyn_emergencyemailrecipients="somebody@example.com")
    carry_out(recipients, [Wish(agent_id, " ; ")], apply=False)
    told = capsys.readouterr().out
    assert told.startswith(f"{agent_id}: to change\n    before:  somebody@example.com\n    after:   nobody\n")
    assert "1 to change, 0 unchanged, 0 refused" in told


def environment(connector: Connector, sandbox: Sandbox) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    store, directory = connector.settings.store_url, connector.settings.directory_url
    assert directory
    stores = {
        "EMERGENCY_STORE_URL": store.get_secret_value(),
        "EMERGENCY_DIRECTORY_URL": directory.get_secret_value(),
        "COLUMNS": "160",
    }
    return kept | sandbox.info.settings() | stores


def test_a_field_that_holds_control_characters_is_told_on_one_line(
    sandbox: Sandbox, recipients: Recipients, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_id = sandbox.organisation.agent_ids[56]
    sandbox.dataverse.change("systemuser", agent_id, msdyn_emergencyemailrecipients="\x1b[2Jold@example.com\nother")
    carry_out(recipients, [Wish(agent_id, "a@example.com")], apply=False)
    assert "before:   [2Jold@example.com other\n" in capsys.readouterr().out


def run(connector: Connector, sandbox: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, variables = [*COMMAND, *arguments], environment(connector, sandbox)
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("apply", "told"),
    [
        (True, ("2 changed, 0 unchanged, 0 refused", "Stopped with 8 left", "safe to repeat")),
        (False, ("2 to change, 0 unchanged, 0 refused", "Stopped with 8 left", "Nothing is written")),
    ],
)
def test_an_interruption_tells_what_was_done(
    sandbox: Sandbox, connector: Connector, tmp_path: Path, apply: bool, told: tuple[str, ...], end: signal.Signals
) -> None:
    file, agent_ids = tmp_path / "wishes.csv", sandbox.organisation.agent_ids[30:40]
    to = f"{tmp_path.name}@example.com"
    file.write_text("agent,recipients\n" + "".join(f"{agent_id},{to}\n" for agent_id in agent_ids))
    # The third one makes it wait, long enough to be interrupted.
    sandbox.faults.add("dataverse", Fault(status=503, headers={"Retry-After": "60"}, path=agent_ids[2], times=0))
    sandbox.faults.clear_log()
    options = ["--csv", str(file), *(["--apply"] if apply else [])]
    process = subprocess.Popen(
        [*COMMAND, *options],
        env=environment(connector, sandbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: [seen for seen in sandbox.faults.log("dataverse") if agent_ids[2] in seen.target], 30)
    process.send_signal(end)
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert all(text in printed for text in told), printed
    assert "Traceback" not in errors
    written = [field(sandbox, agent_id) == to for agent_id in agent_ids]
    assert written == [apply] * 2 + [False] * 8


def test_the_command_previews_and_applies_a_file(sandbox: Sandbox, connector: Connector, tmp_path: Path) -> None:
    first, second = sandbox.organisation.agent_ids[60:62]
    file = tmp_path / "wishes.csv"
    file.write_text(f"Agent, Recipients\n{first},command@example.com\n{second},\n{UNKNOWN},a@example.com\n")
    shown = run(connector, sandbox, "--csv", str(file))
    assert shown.returncode == 1
    assert "2 to change, 0 unchanged, 1 refused" in shown.stdout
    assert "Nothing is written yet" in shown.stdout
    applied = run(connector, sandbox, "--csv", str(file), "--apply")
    assert applied.returncode == 1
    assert "2 changed, 0 unchanged, 1 refused" in applied.stdout
    assert (field(sandbox, first), field(sandbox, second)) == ("command@example.com", None)


def test_the_command_takes_blanks_around_an_agent(sandbox: Sandbox, connector: Connector) -> None:
    address = agent_values(sandbox, sandbox.organisation.agent_ids[62])["internalemailaddress"]
    shown = run(connector, sandbox, "--agent", f" {address} ", "--to", "blanks@example.com")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"{address}: to change\n")
    assert run(connector, sandbox, "--agent", address, "--to", "a@example.com", "--csv", "x.csv").returncode == 2
