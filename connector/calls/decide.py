"""The heart: an event and the stored state in, the new state and the effects to perform out. Pure.

Whoever calls `decide` stores both in one transaction. Nothing here knows a service, a database or the time of day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from connector.calls import events
from connector.calls.effects import (
    CloseWindow,
    Effect,
    GuardCall,
    LookUpAgent,
    Notify,
    Reason,
    Redirect,
    RestorePresence,
    SendFromMailbox,
    SetDoNotDisturb,
    derive_id,
)
from connector.calls.model import AgentState, Call, Facts, Lease, Policy

RECIPIENTS_A_MESSAGE = 50
"""ACS Email takes at most 50 recipients a message, and its quota counts messages: so pack."""
RING_TIME = timedelta(seconds=30)
"""An incoming call can be routed for 30 s."""
UNFINISHED_WAIT = timedelta(minutes=5)
"""How long calls are kept beyond their window while an effect of theirs is still to be done."""
SHORTEST_EXTENSION = timedelta(minutes=1)
CLOCKS_DIFFER = timedelta(seconds=2)
"""How far the announcer's clock may be behind ours."""


@dataclass(frozen=True)
class Decision:
    """The outcome. `state` None: forget everything of this agent. `notes` are counted and logged by name."""

    state: AgentState | None
    effects: tuple[Effect, ...] = ()
    notes: tuple[str, ...] = ()


def decide(event: events.Event, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    """What an event means for an agent's emergency, and what must be done."""
    match event:
        case events.Dialled():
            return _dialled(event, state, facts, policy)
        case events.Ended():
            return _ended(_ending(event, state), "hung_up", event.at, state, policy)
        case events.CallOverdue():
            return _overdue(event, state, policy)
        case events.AgentLookedUp():
            return _looked_up(event, state, facts, policy)
        case events.CallbackArrived():
            return _callback(event, state, facts, policy)
        case events.NumberFreed():
            return _number_freed(event, state, facts, policy)
        case events.LeaseExpired():
            return _lease_expired(event, state, facts, policy)
        case events.EffectFailed():
            return _failed(event, state, facts, policy)


def _dialled(event: events.Dialled, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    known = state.call(event.call_id)
    if known and known.dialled_at:
        return Decision(state, notes=("announced_again",))
    call = Call(
        id=event.call_id,
        agent_id=event.agent_id,
        dialled=event.dialled,
        country=event.country,
        location=event.location,
        drill=event.drill,
        agent_identity=event.agent_identity,
        platform_number=None if facts.platform_number_taken else event.callback_number,
        dialled_at=event.dialled_at or event.at,
        # Ended before it was announced, or an agent whom no end can ever name.
        ended_at=known.ended_at if known else (None if event.agent_named else event.at),
        end_cause=known.end_cause if known else (None if event.agent_named else "unnamed"),
    )
    window = _later(state.window_ends_at, event.at + policy.window)
    leases, notes = _leases(event, state, facts, policy, window)
    others = tuple(other for other in state.calls if other.id != call.id)
    after = replace(state, calls=(*others, call), leases=leases, window_ends_at=window)
    sets_presence = call.is_open and policy.does("presence")
    first = sets_presence and state.prior_presence_id is None
    if first:
        after = replace(after, prior_presence_id=facts.presence_id)
    effects: list[Effect] = [CloseWindow(call.id, window)]
    if event.agent_named and not facts.agent_known:
        effects.append(LookUpAgent(call.id))
    else:
        told, untold = _tell(call, "dialled", event.at, facts, policy)
        effects += told
        notes += untold
    if call.is_open:
        effects.append(GuardCall(call.id, event.at + policy.guardian))
    if sets_presence:
        effects.append(SetDoNotDisturb(call.id, first))
    return Decision(after, tuple(effects), notes)


def needs_number(event: events.Event, state: AgentState, policy: Policy, *, platform_number_taken: bool) -> bool:
    """Whether a number of the pool would be leased now, if one is free."""
    if state.leases or not policy.does("callback_number"):
        return False
    match event:
        case events.Dialled():
            known = state.call(event.call_id)
            announced = event.callback_number is not None and not platform_number_taken
            return event.agent_named and not announced and not (known and known.dialled_at)
        case events.NumberFreed():
            return bool(_waiting(state)) and state.window_ends_at is not None and state.window_ends_at > event.at
        case _:
            return False


def _waiting(state: AgentState) -> list[Call]:
    """The agent's calls that wait for a number of the pool."""
    return [call for call in state.calls if call.dialled_at and not call.platform_number]


def _leases(
    event: events.Dialled, state: AgentState, facts: Facts, policy: Policy, window: datetime
) -> tuple[tuple[Lease, ...], tuple[str, ...]]:
    """The agent's numbers after a dial: the same as before where there is one, all held until the window closes."""
    held = tuple(replace(lease, expires_at=window) for lease in state.leases)
    if not policy.does("callback_number") or not event.agent_named:
        return held, ()
    notes: tuple[str, ...] = ()
    if number := event.callback_number:
        if any(lease.number == number for lease in held):
            return held, ()
        if not facts.platform_number_taken:
            return (*held, _lease(event.call_id, number, "platform", event.at, window)), ()
        # It is somebody else's still, so it must not be told as this agent's.
        notes = ("platform_number_taken",)
    if held:
        return held, notes
    if facts.free_number is None:
        return (), (*notes, "no_number_free")
    return (_lease(event.call_id, facts.free_number, "pool", event.at, window),), notes


def _lease(call_id: str, number: str, source: Literal["pool", "platform"], at: datetime, until: datetime) -> Lease:
    return Lease(derive_id(call_id, "lease", number), number, source, at, until)


def _tell(
    call: Call, reason: Reason, at: datetime, facts: Facts, policy: Policy
) -> tuple[list[Effect], tuple[str, ...]]:
    """The messages that tell everybody, as few as the limit of recipients allows."""
    if not policy.does("notification"):
        return [], ()
    if not facts.recipients:
        return [], ("drill_without_recipients" if call.drill else "nobody_to_tell",)
    patience = policy.second_channel if facts.mailbox_ready else policy.give_up
    packs = packed(facts.recipients)
    return [Notify(call.id, reason, part, pack, at + patience) for part, pack in enumerate(packs)], ()


def packed(recipients: Sequence[str]) -> list[tuple[str, ...]]:
    """Recipients in as few messages as ACS Email allows."""
    return [
        tuple(recipients[start : start + RECIPIENTS_A_MESSAGE])
        for start in range(0, len(recipients), RECIPIENTS_A_MESSAGE)
    ]


def _ending(event: events.Ended, state: AgentState) -> list[str]:
    """Which calls an end means. One that names none means none that was dialled after it: it may come late."""
    if event.call_id:
        return [event.call_id]
    until = (event.ended_at or event.at) + CLOCKS_DIFFER
    return [call.id for call in state.open_calls if call.dialled_at and call.dialled_at <= until]


def _ended(ids: Sequence[str], cause: str, at: datetime, state: AgentState, policy: Policy) -> Decision:
    already = {call.id for call in state.calls if call.ended_at}
    ending = [call_id for call_id in ids if call_id not in already]
    if not ending:
        return Decision(state, notes=("end_of_no_open_call",))
    ended = {call_id: replace(_known(state, call_id), ended_at=at, end_cause=cause) for call_id in ending}
    kept = tuple(call for call in state.calls if call.id not in ended)
    announced = any(call.dialled_at for call in ended.values())
    window = _later(state.window_ends_at, at + (policy.after_call if announced else policy.window))
    after = replace(
        state,
        calls=(*kept, *ended.values()),
        window_ends_at=window,
        leases=tuple(replace(lease, expires_at=window) for lease in state.leases),
    )
    effects: list[Effect] = [CloseWindow(ending[-1], window)]
    if announced and not after.open_calls and policy.does("presence") and policy.does("restore"):
        effects.append(RestorePresence(ending[-1]))
    return Decision(after, tuple(effects), () if announced else ("ended_before_dialled",))


def _known(state: AgentState, call_id: str) -> Call:
    return state.call(call_id) or Call(call_id, state.agent_id)


def _overdue(event: events.CallOverdue, state: AgentState, policy: Policy) -> Decision:
    call = state.call(event.call_id)
    if call is None or not call.is_open:
        return Decision(state)
    decision = _ended([call.id], "guardian", event.at, state, policy)
    return replace(decision, notes=("closed_by_guardian",))


def _looked_up(event: events.AgentLookedUp, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    call = state.call(event.call_id)
    if call is None:
        return Decision(state)
    effects, notes = _tell(call, "dialled", event.at, facts, policy)
    return Decision(state, tuple(effects), notes if facts.agent_known else (*notes, "agent_unknown"))


def _callback(event: events.CallbackArrived, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    leased = any(lease.number == event.number and lease.expires_at > event.at for lease in state.leases)
    if not policy.does("callback_routing") or not leased:
        return Decision(state, notes=("callback_not_ours",))
    identities = [call.agent_identity for call in state.calls if call.agent_identity]
    target = identities[-1] if identities else facts.redirect_target
    if target is None:
        return Decision(state, notes=("callback_without_target",))
    effect = Redirect(state.calls[-1].id, event.event_id, event.context, target, event.at + RING_TIME)
    return Decision(state, (effect,))


def _number_freed(event: events.NumberFreed, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    waiting, window = _waiting(state), state.window_ends_at
    if state.leases or not waiting or facts.free_number is None or window is None or window <= event.at:
        return Decision(state)
    call = waiting[-1]
    lease = _lease(call.id, facts.free_number, "pool", event.at, window)
    effects, notes = _tell(call, "number", event.at, facts, policy)
    return Decision(replace(state, leases=(lease,)), tuple(effects), notes)


def _lease_expired(event: events.LeaseExpired, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    window = state.window_ends_at
    if window is None:
        return Decision(state)
    last = state.calls[-1].id
    if event.at < window:
        # The timer of the later time has been asked for with it; or the clock was set back, and this one rings again.
        return Decision(state, notes=("window_not_over",))
    if state.open_calls:
        later = event.at + max(policy.after_call, SHORTEST_EXTENSION)
        leases = tuple(replace(lease, expires_at=later) for lease in state.leases)
        extended = replace(state, window_ends_at=later, leases=leases)
        return Decision(extended, (CloseWindow(last, later),), ("window_outlasted",))
    if facts.unfinished:
        later = event.at + UNFINISHED_WAIT
        # The window itself is not moved: an agent without a number inside one would count as waiting for one.
        return Decision(replace(state, leases=()), (CloseWindow(last, later),), ("forgetting_waits",))
    return Decision(None, notes=("forgotten",))


def _failed(event: events.EffectFailed, state: AgentState, facts: Facts, policy: Policy) -> Decision:
    match event.effect:
        case Notify() | SendFromMailbox() as notice:
            call = state.call(notice.call_id)
            end = call.dialled_at + policy.give_up if call and call.dialled_at else event.at
            following = _other_channel(notice, event, end, facts, policy) if event.at < end else None
            if following is None:
                return Decision(state, notes=("notice_lost",))
            note = "second_channel" if isinstance(following, SendFromMailbox) else "first_channel_again"
            return Decision(state, (following,), (note,))
        case SetDoNotDisturb(first=True) as effect if event.refused:
            # Ours was never set, so a Do not disturb that is found later is the agent's own.
            return Decision(replace(state, prior_presence_id=None), notes=(f"{effect.kind}_failed",))
        case effect:
            return Decision(state, notes=(f"{effect.kind}_failed",))


def _other_channel(
    notice: Notify | SendFromMailbox, event: events.EffectFailed, end: datetime, facts: Facts, policy: Policy
) -> Notify | SendFromMailbox | None:
    """The channels take turns, each with a short patience: neither is known to come back first. None: both refused."""
    shared = (notice.call_id, notice.reason, notice.part, notice.recipients)
    soon = min(event.at + policy.second_channel, end)
    following = notice.attempt + 1
    if isinstance(notice, Notify):
        if facts.mailbox_ready:
            return SendFromMailbox(*shared, soon, notice.attempt, first_refused=event.refused)
        return None if event.refused else Notify(*shared, end, following)
    if notice.first_refused:
        return None if event.refused else SendFromMailbox(*shared, soon, following, first_refused=True)
    return Notify(*shared, end if event.refused else soon, following)


def _later(one: datetime | None, other: datetime) -> datetime:
    return max(one, other) if one else other
