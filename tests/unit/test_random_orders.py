"""Random dials, ends, callbacks, agents' own choices and passing time, in any order, delivered repeatedly.

A small world in memory stores what `decide` returns and performs the effects, late and in random order. Whatever
happens, the promises of the design must hold.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.calls import events
from connector.calls.decide import RECIPIENTS_A_MESSAGE, decide
from connector.calls.effects import (
    CloseWindow,
    Effect,
    GuardCall,
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

AGENTS = ("a", "b", "c")
RECIPIENTS = tuple(f"lead.{number}@example.com" for number in range(RECIPIENTS_A_MESSAGE + 1))
"""Two messages a notice."""
POOL = ("+12025550101", "+12025550102")
DND = "do-not-disturb"
POLICY = Policy()


@dataclass
class World:
    chance: random.Random
    now: datetime = START
    states: dict[str, AgentState] = field(default_factory=dict)
    pending: dict[str, tuple[str, Effect]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    presence: dict[str, str] = field(default_factory=lambda: dict.fromkeys(AGENTS, "available"))
    own_choice: set[str] = field(default_factory=set)
    served: set[str] = field(default_factory=set)
    first_dial: dict[str, datetime] = field(default_factory=dict)
    notified: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    calls: int = 0

    def handle(self, event: events.Event) -> None:
        agent = event.agent_id
        before = self.states.get(agent, AgentState(agent))
        if isinstance(event, events.Dialled | events.Ended) and event.call_id and not before.call(event.call_id):
            if event.call_id in self.served:
                return
            self.served.add(event.call_id)
        taken = {lease.number for state in self.states.values() for lease in state.leases}
        free = [number for number in POOL if number not in taken]
        facts = Facts(
            recipients=RECIPIENTS,
            mailbox_ready=self.mailbox_ready(),
            free_number=free[0] if free else None,
            unfinished=any(owner == agent and not timer(effect) for owner, effect in self.pending.values()),
        )
        decision = decide(event, before, facts, POLICY)
        self.notes.update(decision.notes)
        self.check_leases_end(before, decision.state)
        if decision.state is None or not decision.state.calls:
            self.states.pop(agent, None)
            self.pending = {key: value for key, value in self.pending.items() if value[0] != agent}
        else:
            self.states[agent] = decision.state
        for effect in decision.effects:
            if effect_id(effect) not in self.asked:
                self.asked.add(effect_id(effect))
                self.pending[effect_id(effect)] = (agent, effect)
        self.check()

    def check_leases_end(self, before: AgentState, after: AgentState | None) -> None:
        kept = {lease.id for lease in after.leases} if after else set()
        for lease in before.leases:
            if lease.id not in kept:
                dials = [call.dialled_at for call in before.calls if call.dialled_at]
                assert all(self.now >= dial + POLICY.window for dial in dials), "a lease ended before its 60 minutes"

    def check(self) -> None:
        numbers = [lease.number for state in self.states.values() for lease in state.leases]
        assert len(numbers) == len(set(numbers)), "a number is two agents'"

    def perform(self, key: str) -> None:
        agent, effect = self.pending[key]
        match effect:
            case CloseWindow():
                if effect.due > self.now:
                    return
                del self.pending[key]
                self.handle(events.LeaseExpired(agent, self.now))
                for other in AGENTS:
                    self.handle(events.NumberFreed(other, self.now))
                return
            case GuardCall():
                if effect.due > self.now:
                    return
                self.handle(events.CallOverdue(agent, effect.call_id, self.now))
            case SetDoNotDisturb() | RestorePresence():
                lane = [k for k, (owner, e) in self.pending.items() if owner == agent and presence_effect(e)]
                if lane[0] != key:
                    return
                self.change_presence(agent, effect)
            case Notify() | SendFromMailbox():
                if not self.send(effect):
                    return
            case Redirect():
                assert effect.target == f"8:acs:{agent}", "a callback reached another agent"
            case _:
                pass
        self.pending.pop(key, None)

    def mailbox_ready(self) -> bool:
        return False

    def send(self, notice: Notify | SendFromMailbox) -> bool:
        """Whether the effect is settled."""
        self.notified.append(message(notice))
        return True

    def change_presence(self, agent: str, effect: Effect) -> None:
        """What `connector.effects.presence` does, in memory."""
        state = self.states.get(agent)
        if state is None:
            return
        if isinstance(effect, SetDoNotDisturb):
            if state.open_calls:
                if state.prior_presence_id is None:
                    self.states[agent] = replace(state, prior_presence_id=self.presence[agent])
                self.presence[agent] = DND
        elif not state.open_calls and state.prior_presence_id:
            if self.presence[agent] == DND:
                self.presence[agent] = state.prior_presence_id
            self.states[agent] = replace(state, prior_presence_id=None)

    def step(self) -> None:
        agent = self.chance.choice(AGENTS)
        known = [call for state in self.states.values() for call in state.calls if call.dialled_at]
        match self.chance.randrange(8):
            case 0 | 1:
                self.calls += 1
                call_id = f"call-{self.calls}"
                dial = events.Dialled(agent, call_id, self.now, dialled="911", agent_identity=f"8:acs:{agent}")
                end = events.Ended(agent, call_id, self.now + timedelta(minutes=self.chance.randrange(300)))
                deliveries: list[events.Event] = [dial] * self.chance.randrange(1, 4)
                deliveries += [end] * self.chance.randrange(0, 3)
                self.chance.shuffle(deliveries)
                for event in deliveries[: self.chance.randrange(1, len(deliveries) + 1)]:
                    self.handle(event)
            case 2 if known:
                call = self.chance.choice(known)
                self.handle(events.Ended(call.agent_id, call.id, self.now))
            case 3 if known:
                call = self.chance.choice(known)
                lease = self.states[call.agent_id].lease
                if lease:
                    key = f"event-{self.chance.random()}"
                    self.handle(events.CallbackArrived(call.agent_id, lease.number, key, "context", self.now))
            case 4:
                self.presence[agent] = self.chance.choice(["available", "away"])
            case 5:
                self.now += timedelta(minutes=self.chance.randrange(1, 70))
            case _:
                for key in self.chance.sample(list(self.pending), min(3, len(self.pending))):
                    if key in self.pending:
                        self.perform(key)

    def drain(self) -> None:
        """Time passes until nothing is left to do."""
        for _ in range(400):
            if not self.pending:
                return
            for key in list(self.pending):
                if key in self.pending:
                    self.perform(key)
            self.now += timedelta(minutes=30)


@dataclass
class FailingWorld(World):
    """Both channels, either of which may be out of reach, refuse for good, or accept and lose the answer."""

    accepted: Counter[str] = field(default_factory=Counter)
    doubtful: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    reachable: bool = True

    def mailbox_ready(self) -> bool:
        return self.chance.random() < 0.7

    def send(self, notice: Notify | SendFromMailbox) -> bool:
        """What `connector.effects.performers` does: tries until `give_up_at`, then says that it failed."""
        operation = operation_id(notice)
        if self.accepted[operation]:
            return True  # the service knows the operation, however often it is sent
        outcome = self.chance.choice(["accepted", "lost", "later", "later", "refused"]) if self.reachable else "later"
        if outcome in ("accepted", "lost"):
            self.accepted[operation] += 1
            if outcome == "accepted":
                return True
            self.doubtful.add(message(notice))
        if outcome == "refused":
            self.refused.add(message(notice))
        if outcome == "refused" or self.now >= notice.give_up_at:
            self.handle(events.EffectFailed(agent_of(self, notice), notice, self.now, refused=outcome == "refused"))
            return True
        return False

    def step(self) -> None:
        self.reachable = self.chance.random() < 0.6
        super().step()

    def drain(self) -> None:
        self.reachable = self.chance.random() < 0.6
        super().drain()


def message(notice: Notify | SendFromMailbox) -> str:
    """What both channels would tell, whichever does."""
    return f"{notice.call_id}/{notice.reason}/{notice.part}"


def agent_of(world: World, effect: Effect) -> str:
    return world.pending[effect_id(effect)][0]


def timer(effect: Effect) -> bool:
    return isinstance(effect, CloseWindow | GuardCall)


def presence_effect(effect: Effect) -> bool:
    return isinstance(effect, SetDoNotDisturb | RestorePresence)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80))
def test_the_promises_hold_in_every_order(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    for _ in range(steps):
        world.step()
    world.drain()
    assert world.pending == {}
    assert world.states == {}, "everything is forgotten in the end"
    assert len(world.notified) == len(set(world.notified)), "a message went out twice"
    assert DND not in world.presence.values(), "an agent was left in Do not disturb"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80))
def test_every_dial_is_told_of_exactly_once(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    dialled: set[str] = set()
    original = world.handle

    def noting(event: events.Event) -> None:
        if isinstance(event, events.Dialled) and event.call_id not in world.served:
            dialled.add(event.call_id)
        original(event)
        if isinstance(event, events.Dialled):
            state = world.states.get(event.agent_id)
            if state and state.call(event.call_id):
                dialled.add(event.call_id)

    world.handle = noting  # type: ignore[method-assign]  # to see what reached the heart
    for _ in range(steps):
        world.step()
    world.drain()
    told = [what.removesuffix("/dialled/0") for what in world.notified if what.endswith("/dialled/0")]
    assert sorted(told) == sorted(what.removesuffix("/dialled/1") for what in world.notified if "/dialled/1" in what)
    assert sorted(told) == sorted(dialled)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_every_message_is_accepted_or_known_to_be_lost_whatever_fails(seed: int, steps: int) -> None:
    world = FailingWorld(random.Random(seed))
    wanted: dict[str, tuple[str, str]] = {}
    patience: dict[str, timedelta] = {}
    original = world.send

    def noting(notice: Notify | SendFromMailbox) -> bool:
        shared = (notice.call_id, notice.reason, notice.part, notice.recipients, world.now)
        wanted[message(notice)] = (operation_id(Notify(*shared)), operation_id(SendFromMailbox(*shared)))
        call = world.states[agent_of(world, notice)].call(notice.call_id)
        assert call is not None, "forgotten before it was told"
        assert call.dialled_at is not None
        patience[message(notice)] = world.now - call.dialled_at
        return original(notice)

    world.send = noting  # type: ignore[method-assign]  # to see what was to be sent
    for _ in range(steps):
        world.step()
    world.drain()
    assert world.pending == {}, "every effort ends"
    assert world.states == {}, "everything is forgotten in the end"
    lost = [what for what, operations in wanted.items() if not any(world.accepted[one] for one in operations)]
    assert len(lost) <= world.notes["notice_lost"], "a message was lost and nobody was told"
    assert all(what in world.refused or patience[what] >= POLICY.give_up for what in lost), "given up too early"
    assert max(world.accepted.values(), default=0) <= 1
    twice = {what for what, operations in wanted.items() if all(world.accepted[one] for one in operations)}
    assert twice <= world.doubtful, "a message came from both channels though the first had said that it took it"
