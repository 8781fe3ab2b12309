"""Where every event is dealt with: state loaded, `decide` asked, state and effects stored, all in one transaction.

After the commit the effects that are due are handed to the worker of this process at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from connector.calls import events
from connector.calls.decide import Decision, decide
from connector.calls.effects import Effect, OfferNumbers, derive_id
from connector.calls.model import AgentState, Call, Facts, Policy
from connector.clock import Clock
from connector.directory.reader import Agent, Directory, if_readable
from connector.errors import RetryLater
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import notes
from connector.settings import Settings
from connector.store import calls, outbox
from connector.store.database import Database
from connector.store.outbox import Claim

SAME_DIAL = timedelta(minutes=1)
"""A dial that was served may be delivered again with a time up to this after it, if clocks differ."""
LATEST_DELIVERY = timedelta(hours=3)
"""How late a dial that does not say when it was made may be delivered again."""
TRIES = 5
"""How often an event is dealt with if another machine takes the same number in the same instant."""


@dataclass(frozen=True)
class Outcome:
    """What an event led to. `state` is None once everything is forgotten."""

    state: AgentState | None
    notes: tuple[str, ...] = ()


class Desk:
    """Deals with events. Safe to share between threads."""

    def __init__(
        self, store: Database, directory: Directory, mappings: Mappings, settings: Settings, clock: Clock
    ) -> None:
        self.store = store
        self.directory = directory
        self.clock = clock
        self.owner = str(uuid.uuid4())
        self.to_purge = False
        self._mappings = mappings
        self._settings = settings
        self._policy = policy(settings)
        self._hand_over: Callable[[Sequence[Claim]], None] = lambda _claims: None

    def hand_effects_to(self, take: Callable[[Sequence[Claim]], None]) -> None:
        """Names who is told of new effects: called after the commit, with those claimed for this process."""
        self._hand_over = take

    def handle(self, event: events.Event, *, settle: Callable[[Connection], bool] | None = None) -> Outcome:
        """Deals with one event; when it returns, state and effects are on disk.

        `settle` is done in the same transaction; if it returns False, nothing of the event happens.
        Raises RetryLater when the store cannot be used: then nothing of it has happened either.
        """
        agent = if_readable(lambda: self.directory.agent(event.agent_id))
        for attempt in range(TRIES):
            try:
                with self.store.write() as connection:
                    if settle and not settle(connection):
                        return Outcome(None, ("claim_lost",))
                    before = calls.load(connection, event.agent_id)
                    decision = self._decide(connection, event, before, agent, numbers=attempt < TRIES - 1)
                    claims = self._store(connection, before, decision)
                break
            except IntegrityError:
                # Mostly a number that another machine took in the same instant. The last try asks for none: a call is
                # never refused for want of a number.
                log().info("event_again", attempt=attempt)
        else:
            raise RetryLater("the store refuses the call")
        self._after(decision, claims)
        return Outcome(decision.state, decision.notes)

    def ask(self, effects: Sequence[Effect], agent_id: str) -> None:
        """Stores effects that come from no decision, such as reading an announcement again."""
        with self.store.write() as connection:
            claims = outbox.ask(connection, agent_id, effects, self.clock.now(), self.owner)
        self._hand_over(claims)

    def _decide(
        self, connection: Connection, event: events.Event, before: AgentState, agent: Agent | None, *, numbers: bool
    ) -> Decision:
        if isinstance(event, events.Dialled):
            dial = self._first_or_new(connection, event, before)
            if dial is None:
                return Decision(before, notes=("announced_after_forgetting",))
            event = dial
        if isinstance(event, events.Ended) and self._served(connection, event, before):
            return Decision(before, notes=("ended_after_forgetting",))
        facts = self._facts(connection, event, before, agent)
        if not numbers:
            facts = replace(facts, free_number=None, platform_number_taken=True)
        return decide(event, before, facts, self._policy)

    def _first_or_new(self, connection: Connection, event: events.Dialled, before: AgentState) -> events.Dialled | None:
        """The dial, unless it was served and forgotten: a delivery can come hours late.

        An announcer may use a call's id again, a soft-phone that counts from one after each start. What was dialled
        after the first was served, or comes long after it without saying when, is therefore a new call.
        """
        if before.call(event.call_id):
            return event
        served = calls.remember_delivery(connection, f"call/{event.call_id}", event.at)
        if served is None:
            return event
        told = event.dialled_at
        if (told > served + SAME_DIAL) if told else (event.at > served + LATEST_DELIVERY):
            again = derive_id(event.call_id, "again", told.isoformat() if told else served.isoformat())
            return self._first_or_new(connection, replace(event, call_id=again), before)
        return None

    def _served(self, connection: Connection, event: events.Ended, before: AgentState) -> bool:
        """Whether the call that ends is forgotten, or, where the end names no call, it was delivered before."""
        if event.call_id is None:
            key = f"end/{event.agent_id}/{event.delivery}"
            return event.delivery is not None and calls.remember_delivery(connection, key, event.at) is not None
        if before.call(event.call_id):
            return False
        return calls.remember_delivery(connection, f"call/{event.call_id}", event.at) is not None

    def _facts(self, connection: Connection, event: events.Event, state: AgentState, agent: Agent | None) -> Facts:
        call_id = getattr(event, "call_id", None) or getattr(getattr(event, "effect", None), "call_id", None)
        call = state.call(call_id) if call_id else (state.calls[-1] if state.calls else None)
        drill = event.drill if isinstance(event, events.Dialled) else bool(call and call.drill)
        number = event.callback_number if isinstance(event, events.Dialled) else None
        holder = calls.holder(connection, number) if number else None
        takes_number = isinstance(event, events.Dialled | events.NumberFreed) and not state.leases
        return Facts(
            recipients=self._recipients(agent, drill=drill),
            agent_known=agent is not None,
            mailbox_ready=agent is not None and agent.mailbox_ready,
            free_number=calls.free_number(connection, self._countries(event, call, agent)) if takes_number else None,
            platform_number_taken=holder not in (None, event.agent_id),
            redirect_target=agent.number if agent else None,
            unfinished=isinstance(event, events.LeaseExpired) and outbox.unfinished(connection, event.agent_id),
        )

    def _recipients(self, agent: Agent | None, *, drill: bool) -> tuple[str, ...]:
        if drill:
            return self._settings.drill_recipients
        return (agent.recipients if agent else ()) or self._settings.fallback_recipients

    def _countries(self, event: events.Event, call: Call | None, agent: Agent | None) -> tuple[str, ...]:
        """Where to look for a callback number: the announced country, else the agent's, else the dialled number's."""
        announced = event.country if isinstance(event, events.Dialled) else (call.country if call else None)
        country = self._mappings.country(announced) or self._mappings.country(agent.country if agent else None)
        if country is None:
            dialled = event.dialled if isinstance(event, events.Dialled) else (call.dialled if call else None)
            country = self._mappings.country_dialling(dialled)
        return country.callback_from if country else tuple(self._mappings.countries)

    def _store(self, connection: Connection, before: AgentState, decision: Decision) -> list[Claim]:
        after = decision.state
        kept = after.leases if after else ()
        freed = [lease for lease in before.leases if lease.id not in {own.id for own in kept}]
        if after is None or not after.calls:
            calls.forget(connection, before.agent_id)
        else:
            calls.save(connection, before, after)
        now = self.clock.now()
        claims = outbox.ask(connection, before.agent_id, decision.effects, now, self.owner)
        # Asked for under nobody's name, so that forgetting this agent does not forget the one who waits.
        offers = [OfferNumbers(lease.id, now.isoformat()) for lease in freed if lease.source == "pool"]
        return claims + outbox.ask(connection, "", offers, now, self.owner)

    def _after(self, decision: Decision, claims: Sequence[Claim]) -> None:
        for note in decision.notes:
            notes.labels(note).inc()
            log().info("decided", note=note)
        self._hand_over(claims)
        if decision.state is None:
            self.purge()

    def purge(self) -> None:
        """Makes forgotten calls unreadable; tried again by the schedule until nobody stands in the way."""
        self.to_purge = True
        try:
            self.to_purge = not self.store.purge(*calls.CALL_TABLES)
        except RetryLater as error:
            log().error("not_purged", problem=str(error))


def policy(settings: Settings) -> Policy:
    """The settings that `decide` needs."""
    return Policy(
        window=timedelta(minutes=settings.window_minutes),
        after_call=timedelta(minutes=settings.minutes_after_call),
        guardian=timedelta(minutes=settings.guardian_minutes),
        second_channel=timedelta(seconds=settings.second_channel_seconds),
        excluded_steps=frozenset(settings.excluded_steps),
    )
