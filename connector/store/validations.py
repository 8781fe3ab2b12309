"""Keeps what the last validation found, and what has changed since the one before. Inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select, update

from connector.drift import Change, Run, Standing
from connector.store.directory_schema import validation_changes, validation_runs, validation_standing

RUNS_KEPT = timedelta(days=30)


def last(connection: Connection) -> Run | None:
    """The latest run."""
    row = connection.execute(select(validation_runs).order_by(validation_runs.c.at.desc()).limit(1)).one_or_none()
    return Run(row.id, row.at, row.agents, row.ready, row.first) if row else None


def standing(connection: Connection) -> Standing:
    """What was wrong with whom at the latest run."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(select(validation_standing)):
        found[row.agent_id].add(row.code)
    return {agent_id: frozenset(codes) for agent_id, codes in found.items()}


def record(connection: Connection, run: Run, now: Standing, changes: list[Change]) -> None:
    """Keeps a run, how everybody stands after it, and what changed."""
    connection.execute(
        insert(validation_runs).values(
            id=run.id, at=run.at, agents=run.agents, ready=run.ready, first=run.first, told=False
        )
    )
    connection.execute(delete(validation_standing))
    rows = [{"agent_id": agent_id, "code": code} for agent_id, codes in now.items() for code in codes]
    if rows:
        connection.execute(insert(validation_standing), rows)
    if changes:
        kept = [{"run_id": run.id, "agent_id": c.agent_id, "code": c.code, "what": c.what} for c in changes]
        connection.execute(insert(validation_changes), kept)
    old = select(validation_runs.c.id).where(validation_runs.c.at < run.at - RUNS_KEPT)
    connection.execute(delete(validation_changes).where(validation_changes.c.run_id.in_(old)))
    connection.execute(delete(validation_runs).where(validation_runs.c.at < run.at - RUNS_KEPT))


def untold(connection: Connection) -> list[str]:
    """Runs of which nobody has been asked to tell yet, because the process was killed in between."""
    return list(connection.execute(select(validation_runs.c.id).where(~validation_runs.c.told)).scalars())


def mark_told(connection: Connection, run_id: str) -> None:
    """The effect that tells of a run is stored."""
    connection.execute(update(validation_runs).where(validation_runs.c.id == run_id).values(told=True))


def find(connection: Connection, run_id: str) -> tuple[Run, list[Change]] | None:
    """A run and what changed in it."""
    row = connection.execute(select(validation_runs).where(validation_runs.c.id == run_id)).one_or_none()
    if row is None:
        return None
    found = connection.execute(select(validation_changes).where(validation_changes.c.run_id == run_id))
    changes = sorted(Change(change.agent_id, change.code, change.what) for change in found)
    return Run(row.id, row.at, row.agents, row.ready, row.first), changes
