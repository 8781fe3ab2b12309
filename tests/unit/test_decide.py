"""The heart, by example: each corner of an emergency call."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from connector.calls import events
from connector.calls.decide import RECIPIENTS_A_MESSAGE, Decision, decide
from connector.calls.effects import (
    CloseWindow,
    Effect,
    GuardCall,
    LookUpAgent,
    Notify,
    Redirect,
    RestorePresence,
    SendFromMailbox,
    SetDoNotDisturb,
    effect_id,
    operation_id,
)
from connector.calls.model import AgentState, Facts, Policy
from tests.conftest import START

POLICY = Policy()
FACTS = Facts(recipients=("lead@example.com",), free_number="+12025550101")
MINUTE = timedelta(minutes=1)
EMPTY = AgentState("a")
E = TypeVar("E", bound=Effect)


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def dialled(call_id: str = "call-1", minutes: float = 0, **parts: object) -> events.Dialled:
    return replace(events.Dialled("a", call_id, at(minutes), dialled="911"), **parts)  # type: ignore[arg-type]


def ended(call_id: str | None = "call-1", minutes: float = 5) -> events.Ended:
    return events.Ended("a", call_id, at(minutes))


def run(*happened: events.Event, facts: Facts = FACTS, policy: Policy = POLICY) -> Decision:
    """The last decision after a sequence of events."""
    decision = Decision(EMPTY)
    for event in happened:
        decision = decide(event, decision.state or EMPTY, facts, policy)
    return decision


def kinds(decision: Decision) -> list[str]:
    return [effect.kind for effect in decision.effects]


def only(decision: Decision, kind: type[E]) -> E:
    (found,) = (effect for effect in decision.effects if isinstance(effect, kind))
    return found


def known(decision: Decision) -> AgentState:
    assert decision.state is not None
    return decision.state


def test_a_dial_asks_for_everything_at_once() -> None:
    decision = run(dialled())
    assert sorted(kinds(decision)) == ["close_window", "guard_call", "notify", "set_do_not_disturb"]
    lease = known(decision).lease
    assert lease is not None
    assert (lease.number, lease.source, lease.expires_at) == ("+12025550101", "pool", at(60))


def test_the_same_dial_again_asks_for_nothing() -> None:
    once = run(dialled())
    again = run(dialled(), dialled(minutes=3))
    assert again.effects == ()
    assert again.state == once.state
    assert again.notes == ("announced_again",)


def test_redial_keeps_the_number_and_extends_the_window() -> None:
    decision = run(dialled(), dialled("call-2", 20), facts=replace(FACTS, free_number="+12025550102"))
    lease = known(decision).lease
    assert lease is not None
    assert (lease.number, lease.expires_at) == ("+12025550102", at(80))
    assert len(known(decision).leases) == 1
    assert only(decision, Notify).call_id == "call-2", "a second call is news"


def test_presence_is_restored_after_the_last_open_call() -> None:
    first_over = run(dialled(), dialled("call-2", 1), ended("call-1"))
    assert "restore_presence" not in kinds(first_over)
    both_over = run(dialled(), dialled("call-2", 1), ended("call-1"), ended("call-2"))
    assert only(both_over, RestorePresence).call_id == "call-2"


def test_an_end_without_a_call_id_ends_what_is_open() -> None:
    decision = run(dialled(), dialled("call-2", 1), ended(None))
    assert known(decision).open_calls == ()
    assert "restore_presence" in kinds(decision)


def test_end_before_start_is_announced_but_leaves_presence_alone() -> None:
    before = run(ended())
    assert kinds(before) == ["close_window"]
    assert before.notes == ("ended_before_dialled",)
    decision = run(ended(), dialled(minutes=6))
    assert sorted(kinds(decision)) == ["close_window", "notify"]
    assert known(decision).open_calls == ()
    assert known(decision).lease is not None, "responders may still call back"


def test_an_end_twice_asks_for_nothing() -> None:
    assert run(dialled(), ended(), ended(minutes=6)).effects == ()


def test_the_guardian_closes_a_call_whose_end_never_came() -> None:
    decision = run(dialled())
    guard = only(decision, GuardCall)
    assert guard.due == START + POLICY.guardian
    closed = run(dialled(), events.CallOverdue("a", "call-1", guard.due))
    assert closed.notes == ("closed_by_guardian",)
    assert known(closed).calls[0].end_cause == "guardian"
    assert "restore_presence" in kinds(closed)


def test_the_guardian_leaves_an_ended_call_alone() -> None:
    late = events.CallOverdue("a", "call-1", START + POLICY.guardian)
    assert run(dialled(), ended(), late).effects == ()


def test_recipients_are_packed_fifty_a_message() -> None:
    many = tuple(f"lead{number}@example.com" for number in range(120))
    notices = [effect for effect in run(dialled(), facts=Facts(many)).effects if isinstance(effect, Notify)]
    assert [len(notice.recipients) for notice in notices] == [50, 50, 20]
    assert RECIPIENTS_A_MESSAGE == 50
    assert tuple(address for notice in notices for address in notice.recipients) == many
    assert len({effect_id(notice) for notice in notices}) == 3


def test_without_anybody_to_tell_that_is_noted() -> None:
    assert "nobody_to_tell" in run(dialled(), facts=Facts()).notes
    assert "drill_without_recipients" in run(dialled(drill=True), facts=Facts()).notes


def test_an_unknown_agent_is_looked_up_before_anybody_is_told() -> None:
    unknown = replace(FACTS, agent_known=False)
    decision = run(dialled(), facts=unknown)
    assert only(decision, LookUpAgent)
    assert "notify" not in kinds(decision)
    looked_up = run(dialled(), events.AgentLookedUp("a", "call-1", at(0)), facts=unknown)
    assert kinds(looked_up) == ["notify"]
    assert "agent_unknown" in looked_up.notes


def test_an_unreadable_announcement_still_alarms() -> None:
    decision = run(dialled(agent_named=False))
    assert sorted(kinds(decision)) == ["close_window", "notify"], "no presence, no number: nobody is named"
    assert known(decision).lease is None


def test_no_number_free_is_noted_and_made_good() -> None:
    none_free = run(dialled(), facts=replace(FACTS, free_number=None))
    assert "no_number_free" in none_free.notes
    assert known(none_free).lease is None
    freed = decide(events.NumberFreed("a", at(10)), known(none_free), FACTS, POLICY)
    assert known(freed).lease is not None
    assert only(freed, Notify).reason == "number"


def test_a_freed_number_is_not_taken_twice_or_too_late() -> None:
    assert run(dialled(), events.NumberFreed("a", at(10))).effects == ()
    waiting = known(run(dialled(), facts=replace(FACTS, free_number=None)))
    assert decide(events.NumberFreed("a", at(61)), waiting, FACTS, POLICY).effects == ()


def test_the_platforms_own_number_is_recorded() -> None:
    lease = known(run(dialled(callback_number="+12025550177"))).lease
    assert lease is not None
    assert (lease.number, lease.source) == ("+12025550177", "platform")


def test_a_platform_number_that_another_agent_holds_is_neither_taken_nor_told() -> None:
    decision = run(dialled(callback_number="+12025550177"), facts=replace(FACTS, platform_number_taken=True))
    assert [lease.number for lease in known(decision).leases] == [FACTS.free_number]
    assert known(decision).calls[0].platform_number is None
    assert "platform_number_taken" in decision.notes


def test_a_callback_goes_to_the_identity_that_was_announced() -> None:
    arrived = events.CallbackArrived("a", "+12025550101", "event-1", "context", at(30))
    decision = run(dialled(agent_identity="8:acs:x"), arrived)
    redirect = only(decision, Redirect)
    assert (redirect.target, redirect.give_up_at) == ("8:acs:x", at(30.5))


def test_a_callback_goes_to_the_agents_own_number_otherwise() -> None:
    arrived = events.CallbackArrived("a", "+12025550101", "event-1", "context", at(30))
    assert only(run(dialled(), arrived, facts=replace(FACTS, redirect_target="+1202")), Redirect).target == "+1202"
    assert run(dialled(), arrived).notes == ("callback_without_target",)


def test_a_callback_after_the_end_of_the_call_still_reaches_the_agent() -> None:
    arrived = events.CallbackArrived("a", "+12025550101", "event-1", "context", at(59))
    assert only(run(dialled(agent_identity="8:acs:x"), ended(), arrived), Redirect)


def test_a_callback_on_another_number_or_after_the_window_is_not_ours() -> None:
    other = events.CallbackArrived("a", "+12025550109", "event-1", "context", at(1))
    late = events.CallbackArrived("a", "+12025550101", "event-1", "context", at(61))
    for arrived in (other, late):
        assert run(dialled(agent_identity="8:acs:x"), arrived).notes == ("callback_not_ours",)


def test_when_the_window_closes_everything_is_forgotten() -> None:
    decision = run(dialled(), ended(), events.LeaseExpired("a", at(60)))
    assert decision.state is None


def test_a_timer_that_rings_early_changes_nothing_and_says_so() -> None:
    decision = run(dialled(), ended(), events.LeaseExpired("a", at(59)))
    assert decision.notes == ("window_not_over",)
    assert known(decision).lease is not None


def test_a_call_that_outlasts_the_window_keeps_its_number() -> None:
    open_still = run(dialled(), events.LeaseExpired("a", at(60)))
    assert only(open_still, CloseWindow).due == at(75)
    lease = known(open_still).lease
    assert lease is not None
    assert lease.expires_at == at(75)


def test_the_window_runs_to_the_set_minimum_after_a_late_end() -> None:
    decision = run(dialled(), ended(minutes=58))
    assert known(decision).window_ends_at == at(73)
    lease = known(decision).lease
    assert lease is not None
    assert lease.expires_at == at(73)


def test_an_early_end_does_not_shorten_the_window() -> None:
    assert known(run(dialled(), ended(minutes=1))).window_ends_at == at(60)


def test_forgetting_waits_for_what_is_still_to_be_done_but_the_number_falls_free() -> None:
    decision = run(dialled(), ended(), events.LeaseExpired("a", at(60)), facts=replace(FACTS, unfinished=True))
    assert decision.notes == ("forgetting_waits",)
    assert known(decision).leases == ()
    assert only(decision, CloseWindow).due > at(60)
    assert known(decision).window_ends_at == at(60), "or the agent would count as waiting for a number"


READY = replace(FACTS, mailbox_ready=True)


def after_failing(effect: Effect, *, minutes: float = 1, refused: bool = False, facts: Facts = READY) -> Decision:
    return run(dialled(), events.EffectFailed("a", effect, at(minutes), refused), facts=facts)


def test_the_second_channel_is_taken_where_the_mailbox_could_send() -> None:
    notice = only(run(dialled(), facts=READY), Notify)
    assert notice.give_up_at == START + POLICY.second_channel
    mail = only(after_failing(notice), SendFromMailbox)
    assert mail.recipients == notice.recipients
    assert mail.give_up_at == at(1) + POLICY.second_channel


def test_the_channels_take_turns_until_one_is_back() -> None:
    mail = only(after_failing(only(run(dialled(), facts=READY), Notify)), SendFromMailbox)
    again = only(after_failing(mail, minutes=2), Notify)
    assert (again.attempt, again.give_up_at) == (2, at(2) + POLICY.second_channel)
    third = only(after_failing(again, minutes=3), SendFromMailbox)
    assert third.attempt == 2
    assert len({effect_id(effect) for effect in (mail, again, third)}) == 3
    assert operation_id(mail) == operation_id(third), "a service knows a message by one id"


def test_a_day_after_the_dial_the_notice_is_lost() -> None:
    notice = only(run(dialled(), facts=READY), Notify)
    assert after_failing(notice, minutes=24 * 60).notes == ("notice_lost",)


def test_a_channel_that_refused_is_not_asked_again() -> None:
    notice = only(run(dialled(), facts=READY), Notify)
    mail = only(after_failing(notice, refused=True), SendFromMailbox)
    assert after_failing(mail, refused=True).notes == ("notice_lost",)
    assert only(after_failing(mail), SendFromMailbox).attempt == 2
    other = only(after_failing(notice), SendFromMailbox)
    assert only(after_failing(other, refused=True), Notify).give_up_at == START + POLICY.give_up


def test_without_a_second_channel_the_first_is_tried_for_a_day() -> None:
    notice = only(run(dialled()), Notify)
    assert notice.give_up_at == START + POLICY.give_up
    assert after_failing(notice, refused=True, facts=FACTS).notes == ("notice_lost",)
    assert only(after_failing(notice, facts=FACTS), Notify).give_up_at == START + POLICY.give_up


def test_a_repeated_end_that_names_no_call_does_not_end_the_next_one() -> None:
    late = events.Ended("a", None, at(12), ended_at=at(5))
    decision = run(dialled(), ended(None, minutes=5), dialled("call-2", 10), late)
    assert [call.id for call in known(decision).open_calls] == ["call-2"]


def test_other_effects_that_fail_are_noted() -> None:
    failed = events.EffectFailed("a", SetDoNotDisturb("call-1"), at(1))
    assert run(dialled(), failed).notes == ("set_do_not_disturb_failed",)


def test_each_step_can_be_left_out() -> None:
    def without(step: str) -> Decision:
        return run(dialled(), policy=replace(POLICY, excluded_steps=frozenset({step})))

    assert "set_do_not_disturb" not in kinds(without("presence"))
    assert known(without("callback_number")).leases == ()
    assert "notify" not in kinds(without("notification"))
    no_restore = replace(POLICY, excluded_steps=frozenset({"restore"}))
    assert "restore_presence" not in kinds(run(dialled(), ended(), policy=no_restore))
    arrived = events.CallbackArrived("a", "+12025550101", "event-1", "context", at(1))
    no_routing = replace(POLICY, excluded_steps=frozenset({"callback_routing"}))
    assert run(dialled(agent_identity="8:acs:x"), arrived, policy=no_routing).effects == ()
