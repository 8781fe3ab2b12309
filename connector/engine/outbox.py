"""The transactional outbox: effects are stored with the state that asked for them, claimed, performed, marked done.

A claim has an owner, an end and a fence that grows with each claim. Whoever performed an effect may mark it only with
the fence of its own claim, so a process that stalled cannot undo what another did in its place. An expired claim is
simply claimable again. On PostgreSQL `FOR UPDATE SKIP LOCKED` hands out different effects to different machines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from connector.calls.effects import KINDS, Asked, Effect, effect_id, from_json, to_json
from connector.calls.model import AgentState
from connector.directory.reader import Briefing
from connector.logs import log
from connector.store.calls import insert_all_new
from connector.store.schema import effects

CLAIM = timedelta(seconds=5)
"""How long a claim holds, renewed at a third of that; another machine goes on after this time at the latest."""
UNREADABLE_WAIT = timedelta(minutes=5)
_UNCLAIMED: dict[str, Any] = {"owner": None, "claimed_until": None}
_LETTING_GO = tuple(name for name, kind in KINDS.items() if not kind.holds_up_forgetting)

_HELD = update(effects).where(
    effects.c.id == bindparam("effect"), effects.c.fence == bindparam("held"), effects.c.status == "pending"
)
_FINISH = _HELD.values(**_UNCLAIMED, status="done", payload={}, last_error=None)
_PENDING_IN_LANE = (
    select(effects.c.id).where(effects.c.lane == bindparam("wanted"), effects.c.status == "pending").limit(1)
)
_DUE_KINDS = (
    select(effects.c.kind)
    .where(effects.c.status == "pending", effects.c.run_at <= bindparam("now"))
    .where(or_(effects.c.claimed_until.is_(None), effects.c.claimed_until <= bindparam("now")))
    .distinct()
)
Recorded = Callable[[Connection], None]
"""What is to be stored in the same transaction that marks an effect done."""
Kind_co = TypeVar("Kind_co", bound=Asked, covariant=True)


@dataclass(frozen=True)
class Known:
    """What was read and decided when an effect was asked for, a moment ago: it need not be read again."""

    state: AgentState
    briefing: Briefing


@dataclass(frozen=True)
class Claim(Generic[Kind_co]):
    """An effect that this worker alone may perform while its claim holds.

    `known` is there for an effect that was asked for and claimed in one go, None for one that was claimed later.
    """

    id: str
    agent_id: str
    effect: Kind_co
    attempts: int
    asked_at: datetime
    fence: int
    known: Known | None = None

    @property
    def repeated(self) -> bool:
        """Whether it may have been performed before: it was tried, or a process died that had claimed it."""
        return self.attempts > 0 or self.fence > 1


AnyClaim = Claim[Effect]


@dataclass(frozen=True)
class Stored:
    """What the process that stored effects does next: `claims` it performs at once; `lanes` are those (by agent) in
    which one of the effects waits behind another."""

    claims: tuple[AnyClaim, ...] = ()
    lanes: frozenset[str] = frozenset()

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.claims + other.claims, self.lanes | other.lanes)


def ask(
    connection: Connection,
    agent_id: str,
    wanted: Sequence[Effect],
    at: datetime,
    owner: str,
    known: Known | None = None,
    *,
    lane_free: bool = False,
) -> Stored:
    """Stores effects; one that was asked for before is not stored again.

    Those that can be performed at once are claimed for `owner` right away, so that the process that stored them needs
    no other look at the table. `lane_free`: the caller knows that nothing is under way in the agent's lane.
    """
    if not wanted:
        return Stored()
    occupied = not lane_free and any(effect.in_lane for effect in wanted) and _occupied(connection, _lane(agent_id))
    by_id = {effect_id(effect): effect for effect in wanted}
    claims = {
        key: Claim(key, agent_id, effect, 0, at, 1, known)
        for key, effect in by_id.items()
        if effect.starts_at(at) <= at and not (effect.in_lane and occupied)
    }
    rows = [_row(key, effect, agent_id, at, owner if key in claims else None) for key, effect in by_id.items()]
    new = insert_all_new(connection, effects, rows)
    return Stored(
        tuple(claim for key, claim in claims.items() if key in new), frozenset([agent_id] if occupied else [])
    )


def _row(key: str, effect: Effect, agent_id: str, at: datetime, owner: str | None) -> dict[str, Any]:
    return {
        "id": key,
        "call_id": effect.call_id,
        "agent_id": agent_id,
        "kind": effect.kind,
        "lane": _lane(agent_id) if effect.in_lane else None,
        "payload": to_json(effect),
        "status": "pending",
        "run_at": effect.starts_at(at),
        "asked_at": at,
        "attempts": 0,
        "owner": owner,
        "claimed_until": at + CLAIM if owner else None,
        "fence": 1 if owner else 0,
    }


def _lane(agent_id: str) -> str:
    return f"presence/{agent_id}"


def _occupied(connection: Connection, lane: str) -> bool:
    return connection.execute(_PENDING_IN_LANE, {"wanted": lane}).first() is not None


def due_kinds(connection: Connection, at: datetime) -> set[str]:
    """The kinds of which something is due and nobody's, or waits in its lane: the cheap look of an idle worker."""
    return set(connection.execute(_DUE_KINDS, {"now": at}).scalars())


def claim_due(
    connection: Connection, at: datetime, owner: str, most: int, *, kinds: Sequence[str], busy: Collection[str] = ()
) -> list[AnyClaim]:
    """Claims effects of some kinds that are due and nobody's, the oldest first; of a lane only its head.

    `busy` are those that this process still performs: its own claim on them may have run out.
    """
    head, before = effects.alias("head"), effects.alias("before")
    blocked = (
        select(before.c.id)
        .where(before.c.lane == head.c.lane, before.c.status == "pending", before.c.position < head.c.position)
        .exists()
    )
    due = (
        select(head.c.position)
        .where(head.c.status == "pending", head.c.run_at <= at, head.c.kind.in_(kinds), head.c.id.not_in(busy))
        .where(or_(head.c.claimed_until.is_(None), head.c.claimed_until <= at))
        .where(or_(head.c.lane.is_(None), ~blocked))
        .order_by(head.c.run_at, head.c.position)
        .limit(most)
        .with_for_update(skip_locked=True, of=head)
    )
    rows = connection.execute(
        update(effects)
        .where(effects.c.position.in_(due))
        .values(owner=owner, claimed_until=at + CLAIM, fence=effects.c.fence + 1)
        .returning(effects)
    ).all()
    claims = []
    for row in sorted(rows, key=lambda row: row.position):
        try:
            claims.append(Claim(row.id, row.agent_id, from_json(row.payload), row.attempts, row.asked_at, row.fence))
        except ValidationError:
            # Written by another version: it must not stand in the way of the others.
            postponed = update(effects).where(effects.c.id == row.id)
            connection.execute(postponed.values(**_UNCLAIMED, run_at=at + UNREADABLE_WAIT))
            log().error("effect_not_readable", effect=row.kind)
    return claims


def renew(connection: Connection, owner: str, held: Sequence[str], at: datetime) -> None:
    """Holds the claims on effects that are still being performed."""
    own = (effects.c.id.in_(held), effects.c.owner == owner, effects.c.status == "pending")
    # Locked in one order, so that two such statements cannot wait for each other.
    ordered = select(effects.c.id).where(*own).order_by(effects.c.id).with_for_update()
    ids = connection.execute(ordered).scalars().all()
    if ids:
        connection.execute(update(effects).where(effects.c.id.in_(ids)).values(claimed_until=at + CLAIM))


def release(connection: Connection, owner: str, held: Sequence[str]) -> None:
    """Gives up the claims on effects that were not begun."""
    own = (effects.c.id.in_(held), effects.c.owner == owner, effects.c.status == "pending")
    connection.execute(update(effects).where(*own).values(**_UNCLAIMED))


def release_all(connection: Connection) -> int:
    """Frees every claim. For SQLite at the start: its one process has just begun, so nobody performs anything."""
    return connection.execute(
        update(effects).where(effects.c.status == "pending", effects.c.owner.is_not(None)).values(_UNCLAIMED)
    ).rowcount


def finish(connection: Connection, claim: AnyClaim) -> bool:
    """Marks an effect done and empties its payload. False: the claim was lost to another worker."""
    return connection.execute(_FINISH, {"effect": claim.id, "held": claim.fence}).rowcount == 1


def fail(connection: Connection, claim: AnyClaim, error: str) -> bool:
    """Marks an effect failed for good. `error` must be free of personal data. False: the claim was lost."""
    return _settle(connection, claim, status="failed", payload={}, last_error=error[:300])


def retry(connection: Connection, claim: AnyClaim, run_at: datetime, error: str) -> bool:
    """Lets an effect be tried again from `run_at`. False: the claim was lost."""
    return _settle(connection, claim, run_at=run_at, attempts=claim.attempts + 1, last_error=error[:300])


def _settle(connection: Connection, claim: AnyClaim, **values: Any) -> bool:
    settled = _HELD.values(**_UNCLAIMED, **values)
    return connection.execute(settled, {"effect": claim.id, "held": claim.fence}).rowcount == 1


def next_due(connection: Connection) -> datetime | None:
    """When the next effect becomes due or its claim runs out."""
    when = func.coalesce(effects.c.claimed_until, effects.c.run_at)
    return connection.execute(select(when).where(effects.c.status == "pending").order_by(when).limit(1)).scalar()


def unfinished(connection: Connection, agent_id: str) -> bool:
    """Whether something that a call waits for is still to be done."""
    pending = select(effects.c.id).where(
        effects.c.agent_id == agent_id, effects.c.status == "pending", effects.c.kind.not_in(_LETTING_GO)
    )
    return connection.execute(pending.limit(1)).first() is not None


def drop_finished(connection: Connection, before: datetime) -> int:
    """Deletes settled effects that belong to no remembered call."""
    settled = delete(effects).where(effects.c.status != "pending", effects.c.asked_at < before)
    return connection.execute(settled).rowcount
