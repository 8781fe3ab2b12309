"""Keeps the validations, and what of them the administrators know. Inside the caller's transaction.

A validation is compared with what the administrators were last told, not with the one before it. So what a lost mail
told of is told by the next one, unless it has been resolved meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from connector.prerequisites.changes import Change, Run, Standing
from connector.store.directory_schema import validation_changes, validation_runs, validation_standing
from connector.store.schema import effects

RUNS_KEPT = timedelta(days=30)


def last(connection: Connection, now: datetime) -> Run | None:
    """The latest run. One that lies ahead is that of a wrong clock, and does not count."""
    wanted = select(validation_runs).where(validation_runs.c.at <= now).order_by(validation_runs.c.at.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    return _run(row) if row else None


def ever_told(connection: Connection) -> bool:
    """Whether the administrators know of any run."""
    return connection.execute(select(validation_runs.c.id).where(validation_runs.c.told).limit(1)).first() is not None


def standing(connection: Connection) -> Standing:
    """What is wrong with whom, as far as the administrators know."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(select(validation_standing)):
        found[row.agent_id].add(row.code)
    return {agent_id: frozenset(codes) for agent_id, codes in found.items()}


def being_told(calls: Connection, since: datetime, now: datetime) -> bool:
    """Whether the mail of a run is still to be sent. In the store of the calls.

    One that was asked for before `since`, or is to come by its clock, is waited for no longer.
    """
    pending = (effects.c.kind == "tell_administrators", effects.c.status == "pending")
    wanted = select(effects.c.id).where(*pending, effects.c.asked_at.between(since, now)).limit(1)
    return calls.execute(wanted).first() is not None


def record(connection: Connection, run: Run, changes: list[Change], gone: Collection[str]) -> None:
    """Keeps a run and what the administrators are to be told of it; nothing is known of those who are gone.

    It takes the place of the runs that were never told: their changes are among these.
    """
    connection.execute(delete(validation_changes))
    connection.execute(delete(validation_runs).where(~validation_runs.c.told))
    connection.execute(insert(validation_runs).values({**vars(run), "told": False}))
    if changes:
        connection.execute(insert(validation_changes), [{"run_id": run.id, **vars(change)} for change in changes])
    if gone:
        leaving = delete(validation_standing).where(validation_standing.c.agent_id == bindparam("gone"))
        connection.execute(leaving, [{"gone": agent_id} for agent_id in gone])
    if run.told:
        mark_told(connection, run.id)


def mark_told(connection: Connection, run_id: str) -> None:
    """The administrators know what changed in a run, so nothing of it is kept but how all stand. Once or often."""
    runs, known, changes = validation_runs, validation_standing, validation_changes
    newly = connection.execute(update(runs).where(runs.c.id == run_id, ~runs.c.told).values(told=True))
    if newly.rowcount == 0:
        return
    changed = select(changes.c.agent_id, changes.c.code).where(changes.c.run_id == run_id)
    connection.execute(delete(known).where(tuple_(known.c.agent_id, known.c.code).in_(changed)))
    connection.execute(insert(known).from_select(["agent_id", "code"], changed.where(changes.c.what == "new")))
    connection.execute(delete(changes).where(changes.c.run_id == run_id))
    at = connection.execute(select(runs.c.at).where(runs.c.id == run_id)).scalar_one()
    connection.execute(delete(runs).where(runs.c.at < at - RUNS_KEPT))


def find(connection: Connection, run_id: str) -> tuple[Run, list[Change]] | None:
    """A run, and what is to be told of it."""
    row = connection.execute(select(validation_runs).where(validation_runs.c.id == run_id)).one_or_none()
    if row is None:
        return None
    found = connection.execute(select(validation_changes).where(validation_changes.c.run_id == run_id))
    return _run(row), sorted(Change(change.agent_id, change.code, change.what) for change in found)


def _run(row: Any) -> Run:
    """Any: a row of `validation_runs`."""
    return Run(row.id, row.at, row.agents, row.ready, row.first, row.told)
