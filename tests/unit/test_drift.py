"""What changed between two validations."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from connector.drift import EVERYBODY, Change, Run, compare
from connector.notifications.drift import MOST, compose

STANDINGS = st.dictionaries(
    st.sampled_from("abcd"),
    st.frozensets(st.sampled_from(["mailbox.missing", "recipients.none", "number.none"])),
)
RUN = Run("run", datetime(2026, 3, 2, 5, tzinfo=UTC), 10, 8, first=False)


def test_what_is_new_broke_and_what_is_gone_was_mended() -> None:
    before = {"a": frozenset({"mailbox.missing"}), "b": frozenset({"number.none"})}
    now = {"a": frozenset({"mailbox.missing", "recipients.none"}), "b": frozenset[str]()}
    assert compare(before, now) == [Change("a", "recipients.none", "broke"), Change("b", "number.none", "mended")]


def test_an_agent_who_left_is_not_mended() -> None:
    assert compare({"a": frozenset({"mailbox.missing"})}, {"b": frozenset()}) == []


@given(STANDINGS, STANDINGS)
def test_the_changes_lead_from_one_to_the_other(
    before: dict[str, frozenset[str]], now: dict[str, frozenset[str]]
) -> None:
    reached = {(agent, code) for agent, codes in before.items() if agent in now for code in codes}
    for change in compare(before, now):
        place = (change.agent_id, change.code)
        reached = reached | {place} if change.what == "broke" else reached - {place}
    assert reached == {(agent, code) for agent, codes in now.items() for code in codes}


@given(STANDINGS)
def test_nothing_changed_is_nothing_to_tell(standing: dict[str, frozenset[str]]) -> None:
    assert compare(standing, standing) == []


def test_the_mail_names_who_and_what() -> None:
    changes = [Change("a", "recipients.none", "broke"), Change("b", "number.none", "mended")]
    message = compose(RUN, changes, {"a": "Ada <Example>"})
    assert message.subject == "Emergency calling: 1 newly broken, 1 mended"
    assert "Ada <Example>: recipients.none" in message.plain
    assert "a user who is gone: number.none" in message.plain
    assert "Ada &lt;Example&gt;" in message.html
    assert "8 of 10 agents are ready" in message.plain


def test_very_many_changes_are_counted() -> None:
    changes = [Change(f"agent-{number}", "mailbox.missing", "broke") for number in range(MOST + 7)]
    assert "and 7 more" in compose(RUN, changes, {}).plain


def test_what_concerns_everybody_comes_before_very_many_agents() -> None:
    before = {EVERYBODY: frozenset[str]()} | {f"{number:08x}": frozenset[str]() for number in range(MOST)}
    now = {agent: frozenset({"sender.missing" if agent == EVERYBODY else "number.none"}) for agent in before}
    assert "everybody: sender.missing" in compose(RUN, compare(before, now), {}).plain


def test_the_first_mail_is_a_summary() -> None:
    broke = [Change(EVERYBODY, "sender.missing", "broke"), Change("a", "number.none", "broke")]
    message = compose(Run("run", RUN.at, 10, 8, first=True), broke, {})
    assert message.subject == "Emergency calling: 8 of 10 agents are ready"
    assert "everybody: sender.missing" in message.plain
    assert "number.none" not in message.plain
    assert "everybody" not in compose(Run("run", RUN.at, 10, 8, first=True), broke[1:], {}).plain
