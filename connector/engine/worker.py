"""Performs effects: those just asked for at once, all others when they are due, each until it is done or given up.

Each pool of `connector.calls.effects` has threads of its own, so that a slow Dataverse cannot hold up a message.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Protocol

from sqlalchemy import Connection

from connector.calls.effects import KINDS, POOLS, PRESENCE, Pool
from connector.calls.events import EffectFailed
from connector.engine import outbox
from connector.engine.handler import Handler
from connector.engine.outbox import AnyClaim, Recorded, Stored
from connector.errors import AuthenticationError, ConnectorError, GivenUp, RetryLater
from connector.logs import log, where
from connector.metrics import effect_seconds, effects

LOOK_SECONDS = 0.5
"""How often the outbox is looked at for what has become due."""
RENEW_SECONDS = outbox.CLAIM.total_seconds() / 3
GATHER_SECONDS = 0.02
"""How long performed effects are gathered before they are marked done in one transaction."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
LONGEST_WISH = 300.0
"""A service may ask for a longer pause; a notice that waits longer than this would be of no use."""

Performed = tuple[AnyClaim, Recorded | None]


class Perform(Protocol):
    """What performs effects: raises RetryLater where it may succeed later, another ConnectorError where never."""

    def __call__(self, claim: AnyClaim) -> Recorded | None: ...

    def last_look(self, claim: AnyClaim) -> Recorded | None:
        """Asked once an effect's time is over. Raises GivenUp unless it turns out to be done."""


class Worker:
    """The threads that perform effects, in this process."""

    def __init__(self, handler: Handler, perform: Perform) -> None:
        self._handler = handler
        self._perform = perform
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._busy: dict[str, AnyClaim] = {}
        self._lanes: set[str] = set()
        """Agents in whose lane something waits behind what is under way."""
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._pools = {pool: ThreadPoolExecutor(pool.threads, pool.name) for pool in POOLS}
        self._performed: SimpleQueue[Performed | None] = SimpleQueue()
        self._looking = threading.Thread(target=self._look, name="outbox", daemon=True)
        self._renewing = threading.Thread(target=self._renew, name="claims", daemon=True)
        self._settling = threading.Thread(target=self._settle, name="settled", daemon=True)

    def start(self) -> None:
        """Takes up whatever an earlier process left undone, then everything new."""
        if self._handler.store.is_sqlite:
            # The one process of a SQLite store has just begun: claims of its predecessor hold nothing.
            with self._handler.store.write() as connection:
                outbox.release_all(connection)
        self._handler.hand_effects_to(self.take)
        for thread in (self._looking, self._renewing, self._settling):
            thread.start()

    def stop(self) -> None:
        """Ends after the effects under way; what was not begun is left to others at once."""
        self._stopping.set()
        self._wake.set()
        self._looking.join()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._performed.put(None)
        self._settling.join()
        # Claims are held until here: another machine must not begin what this one is still doing.
        self._drained.set()
        self._renewing.join()
        self._release()

    @property
    def alive(self) -> bool:
        """Whether all threads that must run do."""
        return all(thread.is_alive() for thread in (self._looking, self._renewing, self._settling))

    def take(self, stored: Stored) -> None:
        """Performs effects that are claimed for this process; called right after their commit."""
        with self._lock:
            self._lanes |= stored.lanes
        self._begin(stored.claims)

    def _begin(self, claims: Sequence[AnyClaim]) -> None:
        for claim in claims:
            with self._lock:
                if self._stopping.is_set() or claim.id in self._busy:
                    continue
                self._busy[claim.id] = claim
            self._pools[claim.effect.pool].submit(self._run, claim)

    def idle(self) -> bool:
        """Whether nothing is being performed and nothing is due."""
        with self._claiming:  # what is being claimed is neither due nor under way
            with self._lock:
                if self._busy:
                    return False
            with self._handler.store.read() as connection:
                due = outbox.next_due(connection)
        return due is None or due > self._handler.clock.now()

    def _look(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                with self._claiming:
                    self._begin(self._claim())
            except Exception as error:  # noqa: BLE001 (the loop must outlive whatever the database does)
                log().error("outbox_out_of_reach", error=type(error).__name__, where=where(error))
                self._stopping.wait(LOOK_SECONDS)
            self._wake.wait(LOOK_SECONDS)

    def _claim(self) -> list[AnyClaim]:
        """Claims what is due, for each pool as much as it has threads free: slow effects must not crowd out others."""
        now, owner = self._handler.clock.now(), self._handler.owner
        with self._handler.store.read() as connection:
            due = _by_pool(outbox.due_kinds(connection, now))
        with self._lock:
            if PRESENCE not in due:
                self._lanes.clear()
            held = list(self._busy)
            busy = Counter(claim.effect.pool for claim in self._busy.values())
        claims: list[AnyClaim] = []
        if due:
            with self._handler.store.write() as connection:
                for pool, kinds in due.items():
                    if (room := pool.threads - busy[pool]) > 0:
                        claims += outbox.claim_due(connection, now, owner, room, kinds=kinds, busy=held)
        return claims

    def _renew(self) -> None:
        while not self._drained.wait(RENEW_SECONDS):
            try:
                with self._lock:
                    held = list(self._busy)
                if held:
                    with self._handler.store.write() as connection:
                        outbox.renew(connection, self._handler.owner, held, self._handler.clock.now())
            except Exception as error:  # noqa: BLE001 (without this thread every claim would run out)
                log().error("claims_not_renewed", error=type(error).__name__, where=where(error))

    def _release(self) -> None:
        try:
            with self._handler.store.write() as connection:
                outbox.release(connection, self._handler.owner, list(self._busy))
        except ConnectorError as error:
            log().error("claims_not_released", problem=str(error))

    def _run(self, claim: AnyClaim) -> None:
        settled = True
        try:
            settled = self._attempt(claim)
        except Exception as error:  # noqa: BLE001 (a thread must not die silently: its claim runs out, and it is tried again)
            log().error("effect_not_settled", effect=claim.effect.kind, error=type(error).__name__, where=where(error))
        finally:
            if settled:
                self._let_go(claim)

    def _let_go(self, claim: AnyClaim) -> None:
        """The effect is no longer this process's; what waits behind it in its lane can be begun."""
        with self._lock:
            self._busy.pop(claim.id, None)
            followed = claim.effect.in_lane and claim.agent_id in self._lanes
        if followed:
            self._wake.set()

    def _attempt(self, claim: AnyClaim) -> bool:
        """Performs an effect; whether it is settled, too, and not left to the thread that settles."""
        give_up = claim.effect.ends_at(claim.asked_at)
        overdue = claim.attempts > 0 and self._handler.clock.now() >= give_up
        try:
            record = self._perform.last_look(claim) if overdue else self._perform(claim)
        except (RetryLater, AuthenticationError) as error:
            self._again(claim, error, give_up)
        except ConnectorError as error:
            self._failed(claim, error)
        except Exception as error:  # noqa: BLE001 (a fault of ours is tried again as one of a service is, and shown)
            log().error("effect_broke", effect=claim.effect.kind, error=type(error).__name__, where=where(error))
            self._again(claim, RetryLater(f"an error of our own ({type(error).__name__})"), give_up)
        else:
            self._performed.put((claim, record))
            return False
        return True

    def _settle(self) -> None:
        """Marks effects done, as many in one transaction as have been performed meanwhile."""
        last = False
        while not last and (first := self._performed.get()) is not None:
            self._drained.wait(GATHER_SECONDS)
            batch = [first]
            while not self._performed.empty() and not last:
                performed = self._performed.get()
                if performed is None:
                    last = True
                else:
                    batch.append(performed)
            self._mark(batch)
            for claim, _ in batch:
                self._let_go(claim)

    def _mark(self, batch: Sequence[Performed]) -> None:
        try:
            self._mark_done(batch)
        except Exception as error:  # noqa: BLE001 (one at a time, so that the others of its batch are not performed again)
            log().error("effects_not_settled", count=len(batch), error=type(error).__name__, where=where(error))
            if len(batch) > 1:
                for performed in batch:
                    self._mark([performed])

    def _mark_done(self, batch: Sequence[Performed]) -> None:
        # In the order in which claims are renewed, so that the two cannot wait for each other.
        ordered = sorted(batch, key=lambda performed: performed[0].id)
        with self._handler.store.write() as connection:
            for claim, record in ordered:
                if outbox.finish(connection, claim) and record:
                    record(connection)
        now = self._handler.clock.now()
        for claim, _ in batch:
            seconds = (now - claim.asked_at).total_seconds()
            effects.labels(claim.effect.kind, "done").inc()
            effect_seconds.labels(claim.effect.kind).observe(seconds)
            log().info("effect_done", effect=claim.effect.kind, call_id=claim.effect.call_id, seconds=round(seconds, 4))

    def _again(self, claim: AnyClaim, error: ConnectorError, give_up: datetime) -> None:
        now = self._handler.clock.now()
        wait = pause(claim, error)
        run_at = min(now + timedelta(seconds=wait), max(give_up, now))
        with self._handler.store.write() as connection:
            outbox.retry(connection, claim, run_at, str(error))
        effects.labels(claim.effect.kind, "again").inc()
        log().warning(
            "effect_again", effect=claim.effect.kind, call_id=claim.effect.call_id, attempt=claim.attempts + 1,
            seconds=round((run_at - now).total_seconds(), 1), problem=str(error),
        )  # fmt: skip

    def _failed(self, claim: AnyClaim, error: ConnectorError) -> None:
        """Marks an effect failed and lets `decide` find another way, in one transaction."""

        def settle(connection: Connection) -> bool:
            return outbox.fail(connection, claim, str(error))

        if claim.agent_id:
            refused = not isinstance(error, GivenUp)
            event = EffectFailed(claim.agent_id, claim.effect, self._handler.clock.now(), refused)
            self._handler.handle(event, settle=settle)
        else:
            with self._handler.store.write() as connection:
                settle(connection)
        outcome = "given_up" if isinstance(error, GivenUp) else "failed"
        effects.labels(claim.effect.kind, outcome).inc()
        log().error("effect_failed", effect=claim.effect.kind, call_id=claim.effect.call_id, problem=str(error))


def _by_pool(kinds: set[str]) -> dict[Pool, list[str]]:
    """The kinds, in the order of their pools."""
    wanted = {pool: sorted(name for name in kinds if name in KINDS and KINDS[name].pool == pool) for pool in POOLS}
    return {pool: names for pool, names in wanted.items() if names}


def pause(claim: AnyClaim, error: ConnectorError) -> float:
    """Seconds until the next try: what the service asks for, else growing from one second, with jitter."""
    wish = error.retry_after if isinstance(error, RetryLater) else None
    if wish is not None:
        return wish if claim.effect.patient else min(wish, LONGEST_WISH)
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(claim.attempts, 10))
    return longest * random.uniform(0.75, 1.25)  # noqa: S311 (jitter)
