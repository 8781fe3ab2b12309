"""What changed between two validations."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from connector.prerequisites.changes import EVERYBODY, Change, Run, compare
from connector.reports.as_mail import MOST, compose

STANDINGS = st.dictionaries(
    st.sampled_from("abcd"),
    st.frozensets(st.sampled_from(["mailbox.missing", "recipients.none", "number.none"])),
)
RUN = Run("run", datetime(2026, 3, 2, 5, tzinfo=UTC), 10, 8, first=False)


def test_what_came_is_new_and_what_is_gone_is_resolved() -> None:
    before = {"a": frozenset({"mailbox.missing"}), "b": frozenset({"number.none"})}
    now = {"a": frozenset({"mailbox.missing", "recipients.none"}), "b": frozenset[str]()}
    assert compare(before, now) == [Change("a", "recipients.none", "new"), Change("b", "number.none", "resolved")]


def test_an_agent_who_left_is_not_resolved() -> None:
    assert compare({"a": frozenset({"mailbox.missing"})}, {"b": frozenset()}) == []


@given(STANDINGS, STANDINGS)
def test_the_changes_lead_from_one_to_the_other(
    before: dict[str, frozenset[str]], now: dict[str, frozenset[str]]
) -> None:
    reached = {(agent, code) for agent, codes in before.items() if agent in now for code in codes}
    for change in compare(before, now):
        place = (change.agent_id, change.code)
        reached = reached | {place} if change.what == "new" else reached - {place}
    assert reached == {(agent, code) for agent, codes in now.items() for code in codes}


@given(STANDINGS)
def test_nothing_changed_is_nothing_to_tell(standing: dict[str, frozenset[str]]) -> None:
    assert compare(standing, standing) == []


def test_the_mail_names_who_and_what() -> None:
    changes = [Change("a", "recipients.none", "new"), Change("b", "number.none", "resolved")]
    message = compose(RUN, changes, {"a": "Ada <Example>"})
    assert message.subject == "Emergency calling: 1 new, 1 resolved"
    assert "Ada <Example>: recipients.none" in message.plain
    assert "a user who is gone: number.none" in message.plain
    assert "Ada &lt;Example&gt;" in message.html
    assert "8 of 10 agents are ready" in message.plain


def test_very_many_changes_are_counted() -> None:
    changes = [Change(f"agent-{number}", "mailbox.missing", "new") for number in range(MOST + 7)]
    assert "and 7 more" in compose(RUN, changes, {}).plain


def test_what_concerns_everybody_comes_before_very_many_agents() -> None:
    before = {EVERYBODY: frozenset[str]()} | {f"{number:08x}": frozenset[str]() for number in range(MOST)}
    now = {agent: frozenset({"sender.missing" if agent == EVERYBODY else "number.none"}) for agent in before}
    assert "everybody: sender.missing" in compose(RUN, compare(before, now), {}).plain


def test_the_first_mail_is_a_summary() -> None:
    new = [Change(EVERYBODY, "sender.missing", "new"), Change("a", "number.none", "new")]
    message = compose(Run("run", RUN.at, 10, 8, first=True), new, {})
    assert message.subject == "Emergency calling: 8 of 10 agents are ready"
    assert "everybody: sender.missing" in message.plain
    assert "number.none" not in message.plain
    assert "everybody" not in compose(Run("run", RUN.at, 10, 8, first=True), new[1:], {}).plain
