"""Where every event is dealt with: state loaded, `decide` asked, state and effects stored, all in one transaction.

After the commit the effects that are due are handed to the worker of this process at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from connector.calls import events
from connector.calls.decide import Decision, decide
from connector.calls.effects import Effect, OfferNumbers
from connector.calls.model import AgentState, Policy
from connector.calls.redelivery import new_dial
from connector.clock import Clock
from connector.directory.reader import Briefing, Directory, if_readable
from connector.engine import outbox
from connector.engine.facts import Gathering
from connector.engine.outbox import Known, Stored
from connector.errors import RetryLater
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import decisions
from connector.settings import Settings
from connector.store import calls
from connector.store.database import Database

TRIES = 5
"""How often an event is dealt with if another machine takes the same number in the same instant."""
_ASK_NO_DIRECTORY = events.Ended | events.CallOverdue | events.LeaseExpired


@dataclass(frozen=True)
class Outcome:
    """What an event led to. `state` is None once everything is forgotten."""

    state: AgentState | None
    notes: tuple[str, ...] = ()


class Handler:
    """Deals with events. Safe to share between threads."""

    def __init__(
        self, store: Database, directory: Directory, mappings: Mappings, settings: Settings, clock: Clock
    ) -> None:
        self.store = store
        self.clock = clock
        self.owner = str(uuid.uuid4())
        self.to_purge = False
        self._directory = directory
        self._template_title = settings.template_title
        self._policy = policy(settings)
        self._gathering = Gathering(settings, mappings, self._policy)
        self._hand_over: Callable[[Stored], None] = lambda _stored: None

    def hand_effects_to(self, take: Callable[[Stored], None]) -> None:
        """Names who is given new effects: called after the commit, with those claimed for this process."""
        self._hand_over = take

    def handle(self, event: events.Event, *, settle: Callable[[Connection], bool] | None = None) -> Outcome:
        """Deals with one event; when it returns, state and effects are on disk.

        `settle` is done in the same transaction; if it returns False, nothing of the event happens.
        Raises RetryLater when the store cannot be used: then nothing of it has happened either.
        """
        briefing = Briefing() if isinstance(event, _ASK_NO_DIRECTORY) else self._briefing(event.agent_id)
        for attempt in range(TRIES):
            try:
                with self.store.write() as connection:
                    if settle and not settle(connection):
                        return Outcome(None, ("claim_lost",))
                    before = calls.load(connection, event.agent_id)
                    decision = self._decide(connection, event, before, briefing, numbers=attempt < TRIES - 1)
                    stored = self._store(connection, before, decision, briefing)
                break
            except IntegrityError:
                # Mostly a number that another machine took in the same instant. The last try asks for none: a call is
                # never refused for want of a number.
                log().info("event_again", attempt=attempt)
        else:
            raise RetryLater("the store refuses the call")
        self._after(decision, stored)
        return Outcome(decision.state, decision.notes)

    def ask(self, effects: Sequence[Effect], agent_id: str) -> None:
        """Stores effects that come from no decision, such as reading an announcement again."""
        with self.store.write() as connection:
            stored = outbox.ask(connection, agent_id, effects, self.clock.now(), self.owner)
        self._hand_over(stored)

    def _briefing(self, agent_id: str) -> Briefing:
        found = if_readable(lambda: self._directory.briefing(agent_id, self._template_title))
        return found or Briefing()

    def _decide(
        self, connection: Connection, event: events.Event, before: AgentState, briefing: Briefing, *, numbers: bool
    ) -> Decision:
        if isinstance(event, events.Dialled):
            dial = _first_or_new(connection, event, before)
            if dial is None:
                return Decision(before, notes=("announced_after_forgetting",))
            event = dial
        if isinstance(event, events.Ended) and _served(connection, event, before):
            return Decision(before, notes=("ended_after_forgetting",))
        facts = self._gathering.facts(connection, event, before, briefing, numbers=numbers)
        return decide(event, before, facts, self._policy)

    def _store(self, connection: Connection, before: AgentState, decision: Decision, briefing: Briefing) -> Stored:
        after = decision.state
        kept = after.leases if after else ()
        freed = [lease for lease in before.leases if lease.id not in {own.id for own in kept}]
        now = self.clock.now()
        if after is None or not after.calls:
            calls.forget(connection, before.agent_id)
        else:
            calls.save(connection, before, after)
        known = Known(after, briefing) if after else None
        lane_free = not before.calls  # all effects of an agent are forgotten with the calls
        stored = outbox.ask(connection, before.agent_id, decision.effects, now, self.owner, known, lane_free=lane_free)
        # Asked for under nobody's name, so that forgetting this agent does not forget the one who waits.
        offers = [OfferNumbers(lease.id, now.isoformat()) for lease in freed if lease.source == "pool"]
        return stored + outbox.ask(connection, "", offers, now, self.owner)

    def _after(self, decision: Decision, stored: Stored) -> None:
        for note in decision.notes:
            decisions.labels(note).inc()
            log().info("decided", note=note)
        self._hand_over(stored)
        if decision.state is None:
            self.purge()

    def purge(self) -> None:
        """Makes forgotten calls unreadable; tried again by the schedule until nobody stands in the way."""
        self.to_purge = True
        try:
            self.to_purge = not self.store.purge(*calls.CALL_TABLES)
        except RetryLater as error:
            log().error("not_purged", problem=str(error))


def _first_or_new(connection: Connection, event: events.Dialled, before: AgentState) -> events.Dialled | None:
    """The dial, under an id of its own where its id was used before; None if it was served and forgotten."""
    dial: events.Dialled | None = event
    while dial and not before.call(dial.call_id):
        served = calls.remember_delivery(connection, f"call/{dial.call_id}", dial.at)
        if served is None:
            break
        dial = new_dial(dial, served)
    return dial


def _served(connection: Connection, event: events.Ended, before: AgentState) -> bool:
    """Whether the call that ends is forgotten, or, where the end names no call, it was delivered before."""
    if event.call_id is None:
        key = f"end/{event.agent_id}/{event.delivery}"
        return event.delivery is not None and calls.remember_delivery(connection, key, event.at) is not None
    if before.call(event.call_id):
        return False
    return calls.remember_delivery(connection, f"call/{event.call_id}", event.at) is not None


def policy(settings: Settings) -> Policy:
    """The settings that `decide` needs."""
    return Policy(
        window=timedelta(minutes=settings.window_minutes),
        after_call=timedelta(minutes=settings.minutes_after_call),
        guardian=timedelta(minutes=settings.guardian_minutes),
        second_channel=timedelta(seconds=settings.second_channel_seconds),
        excluded_steps=frozenset(settings.excluded_steps),
    )
