"""Performs effects: those just asked for at once, all others when they are due, each until it is done or given up.

Kinds of effects have threads of their own, so that a slow Dataverse cannot hold up a message.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from queue import SimpleQueue

from connector.calls.events import EffectFailed
from connector.desk import Desk
from connector.errors import AuthenticationError, ConnectorError, RetryLater
from connector.logs import log, where
from connector.metrics import effect_seconds, effects
from connector.store import outbox
from connector.store.outbox import Claim, Recorded

POOLS = {
    "messages": (48, ("notify",)),
    "callbacks": (16, ("redirect",)),
    "inquiries": (16, ("send_from_mailbox", "look_up_agent", "read_announcement")),
    "presence": (16, outbox.IN_LANES),
    "timers": (8, (*outbox.TIMERS, "delete_sent_email")),
}
"""Threads by what they wait for: a service that hangs must hold up only what needs it. A number never leaves late
because presence cannot be set, and a callback never waits behind messages."""
THREADS = sum(threads for threads, _ in POOLS.values())
LOOK_SECONDS = 0.5
"""How often the outbox is looked at for what has become due."""
RENEW_SECONDS = outbox.CLAIM.total_seconds() / 3
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
GIVE_UP = timedelta(hours=24)

Perform = Callable[[Claim], Recorded | None]
Performed = tuple[Claim, Recorded | None]


class Worker:
    """The threads that perform effects, in this process."""

    def __init__(self, desk: Desk, perform: Perform) -> None:
        self._desk = desk
        self._perform = perform
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._busy: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        for name, (threads, kinds) in POOLS.items():
            pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
            self._pools |= dict.fromkeys(kinds, pool)
        self._looking = threading.Thread(target=self._look, name="outbox", daemon=True)
        self._renewing = threading.Thread(target=self._renew, name="claims", daemon=True)
        self._performed: SimpleQueue[Performed | None] = SimpleQueue()
        self._settling = threading.Thread(target=self._settle, name="settled", daemon=True)

    def start(self) -> None:
        """Takes up whatever an earlier process left undone, then everything new."""
        if self._desk.store.is_sqlite:
            # The one process of a SQLite store has just begun: claims of its predecessor hold nothing.
            with self._desk.store.write() as connection:
                outbox.release_all(connection)
        self._desk.hand_effects_to(self.take)
        self._looking.start()
        self._renewing.start()
        self._settling.start()

    def stop(self) -> None:
        """Ends after the effects under way; what is left stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        self._looking.join()
        self._renewing.join()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._performed.put(None)
        self._settling.join()

    def take(self, claims: Sequence[Claim]) -> None:
        """Performs effects that are claimed for this process; called right after their commit."""
        for claim in claims:
            with self._lock:
                if self._stopping.is_set() or claim.id in self._busy:
                    continue
                self._busy[claim.id] = claim
            self._pools[claim.effect.kind].submit(self._run, claim)

    def idle(self) -> bool:
        """Whether nothing is being performed and nothing is due."""
        with self._claiming:  # what is being claimed is neither due nor under way
            with self._lock:
                if self._busy:
                    return False
            with self._desk.store.read() as connection:
                due = outbox.next_due(connection)
        return due is None or due > self._desk.clock.now()

    def _look(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                room = THREADS - len(self._busy)
                with self._claiming:
                    with self._desk.store.write() as connection:
                        due = outbox.claim_due(connection, self._desk.clock.now(), self._desk.owner, max(room, 1))
                    self.take(due)
            except Exception as error:  # noqa: BLE001 (the loop must outlive whatever the database does)
                log().error("outbox_out_of_reach", error=type(error).__name__, where=where(error))
                self._stopping.wait(LOOK_SECONDS)
            self._wake.wait(LOOK_SECONDS)

    def _renew(self) -> None:
        while not self._stopping.wait(RENEW_SECONDS):
            with self._lock:
                held = list(self._busy)
            try:
                if held:
                    with self._desk.store.write() as connection:
                        outbox.renew(connection, self._desk.owner, held, self._desk.clock.now())
            except ConnectorError as error:
                log().error("claims_not_renewed", problem=str(error))

    def _run(self, claim: Claim) -> None:
        settled = True
        try:
            settled = self._attempt(claim)
        except Exception as error:  # noqa: BLE001 (a thread must not die silently: the claim runs out and it is tried again)
            log().error("effect_not_settled", effect=claim.effect.kind, error=type(error).__name__, where=where(error))
        finally:
            if settled:
                self._let_go(claim)

    def _let_go(self, claim: Claim) -> None:
        with self._lock:
            self._busy.pop(claim.id, None)

    def _attempt(self, claim: Claim) -> bool:
        """Performs an effect; whether it is settled, too, and not left to the thread that settles."""
        kind = claim.effect.kind
        give_up = getattr(claim.effect, "give_up_at", claim.asked_at + GIVE_UP)
        try:
            if claim.attempts and self._desk.clock.now() >= give_up:
                raise TimeoutError  # noqa: TRY301 (the same way out as for an error of the service)
            record = self._perform(claim)
        except (RetryLater, AuthenticationError) as error:
            self._again(claim, error, give_up)
        except TimeoutError:
            self._failed(claim, "given up after its time")
        except ConnectorError as error:
            self._failed(claim, str(error))
        except Exception as error:  # noqa: BLE001 (a fault of ours is tried again as one of a service is, and shown)
            log().error("effect_broke", effect=kind, error=type(error).__name__, where=where(error))
            self._again(claim, RetryLater(f"an error of our own ({type(error).__name__})"), give_up)
        else:
            self._performed.put((claim, record))
            return False
        return True

    def _settle(self) -> None:
        """Marks effects done, as many in one transaction as have been performed meanwhile."""
        while (first := self._performed.get()) is not None:
            batch, last = [first], False
            while not self._performed.empty():
                performed = self._performed.get()
                if performed is None:
                    last = True
                else:
                    batch.append(performed)
            try:
                self._mark_done(batch)
            except Exception as error:  # noqa: BLE001 (their claims run out, and they are performed again)
                log().error("effects_not_settled", count=len(batch), error=type(error).__name__, where=where(error))
            for claim, _ in batch:
                self._let_go(claim)
            if last:
                return

    def _mark_done(self, batch: Sequence[Performed]) -> None:
        followed = False
        with self._desk.store.write() as connection:
            for claim, record in batch:
                outbox.finish(connection, claim)
                if record:
                    record(connection)
                followed |= outbox.followed(connection, claim)
        if followed:
            self._wake.set()
        now = self._desk.clock.now()
        for claim, _ in batch:
            seconds = (now - claim.asked_at).total_seconds()
            effects.labels(claim.effect.kind, "done").inc()
            effect_seconds.labels(claim.effect.kind).observe(seconds)
            log().info("effect_done", effect=claim.effect.kind, call_id=claim.effect.call_id, seconds=round(seconds, 4))

    def _again(self, claim: Claim, error: ConnectorError, give_up: datetime) -> None:
        now = self._desk.clock.now()
        run_at = min(now + timedelta(seconds=pause(claim.attempts, error)), max(give_up, now))
        with self._desk.store.write() as connection:
            outbox.retry(connection, claim, run_at, str(error))
        effects.labels(claim.effect.kind, "again").inc()
        log().warning(
            "effect_again", effect=claim.effect.kind, call_id=claim.effect.call_id, attempt=claim.attempts + 1,
            seconds=round((run_at - now).total_seconds(), 1), problem=str(error),
        )  # fmt: skip

    def _failed(self, claim: Claim, problem: str) -> None:
        # The event first: if this process dies between the two, the effect is tried and fails again.
        self._desk.handle(EffectFailed(claim.agent_id, claim.effect, self._desk.clock.now()))
        with self._desk.store.write() as connection:
            outbox.fail(connection, claim, problem)
        effects.labels(claim.effect.kind, "failed").inc()
        log().error("effect_failed", effect=claim.effect.kind, call_id=claim.effect.call_id, problem=problem)


def pause(attempts: int, error: ConnectorError) -> float:
    """Seconds until the next try: what the service asks for, else growing from one second, with jitter."""
    wish = error.retry_after if isinstance(error, RetryLater) else None
    if wish is not None:
        return wish
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts, 10))
    return longest * random.uniform(0.75, 1.25)  # noqa: S311 (jitter)
