"""How far each table has been read: where the next read goes on, how old the copy is, and what stands in its way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, select

from connector.clock import Clock
from connector.directory import problems, rows
from connector.directory.problems import Problem
from connector.logs import log
from connector.mappings import TableMapping
from connector.store.calls import insert_new
from connector.store.database import Database
from connector.store.directory_schema import sync_progress

ACS = "acs"
"""Under this name stands when the numbers and the direct routing of the ACS resource were read."""


@dataclass(frozen=True)
class State:
    """How far a table has been read. `tracked`: whether the read that `next_link` continues tracks changes.

    `selected` is what the links read, an entity set and its columns; None where the table was never read.
    `restricted_since` is the first of the full reads that may not have been shown every row, 0 where the last was.
    The copy is as Dataverse was at `completed_at`, when the last complete read began; `began_at` is when the full read
    that `next_link` continues did.
    """

    next_link: str | None = None
    delta_link: str | None = None
    generation: int = 0
    rows: int = 0
    completed_at: datetime | None = None
    selected: str | None = None
    tracked: bool = True
    problems: tuple[Problem, ...] = ()
    restricted_since: int = 0
    began_at: datetime | None = None


@dataclass(frozen=True)
class TableStatus:
    """What `sync status` tells of a table. `age` is in seconds since it was last up to date, None if it never was."""

    name: str
    rows: int
    age: float | None
    next_read: Literal["changes", "in full", "goes on"]
    problems: tuple[Problem, ...]


def load(database: Database, name: str) -> State:
    """How far a table has been read."""
    with database.write() as connection:
        insert_new(connection, sync_progress, name=name, generation=0, rows=0)
        row = connection.execute(select(sync_progress).where(sync_progress.c.name == name)).one()
    return _state(row)


def selected(database: Database, name: str) -> str | None:
    """What the last read of a table asked for, an entity set and its columns; None where it was never read."""
    with database.read() as connection:
        found = connection.execute(select(sync_progress.c.selected).where(sync_progress.c.name == name)).scalar()
    return str(found) if found else None


def first(mapping: TableMapping) -> str:
    """The address of a table's first page, below the root of the Web API."""
    return f"{mapping.set}?$select={mapping.select}"


def save(connection: Connection, name: str, state: State) -> None:
    """Notes how far a table has been read, in the transaction that stores its rows."""
    values = {**vars(state), "problems": problems.stored(state.problems)}
    connection.execute(sync_progress.update().where(sync_progress.c.name == name).values(values))


def save_problems(database: Database, name: str, found: Sequence[Problem], before: Sequence[Problem]) -> None:
    """Notes what stands in the way of a table whose copy stays as it was. What was not known before is logged."""
    tell(name, found, before)
    with database.write() as connection:
        kept = sync_progress.c.name == name
        connection.execute(sync_progress.update().where(kept).values(problems=problems.stored(found)))


def tell(name: str, found: Sequence[Problem], before: Sequence[Problem]) -> None:
    """Logs a problem once: when it is new, and when it has gone."""
    for problem in found:
        if problem not in before:
            log().warning("sync_problem", table=name, code=problem.code, problem=problem.text)
    for code in {problem.code for problem in before} - {problem.code for problem in found}:
        log().info("sync_problem_gone", table=name, code=code)


def note_acs(connection: Connection, numbers: int, at: datetime) -> None:
    """Notes that the numbers and the direct routing of the ACS resource were read."""
    insert_new(connection, sync_progress, name=ACS, generation=0, rows=0)
    noted = sync_progress.update().where(sync_progress.c.name == ACS)
    connection.execute(noted.values(rows=numbers, completed_at=at))


def knows_all(database: Database, name: str) -> bool:
    """Whether a table's copy is not empty and lacks nothing, as far as it is known."""
    with database.read() as connection:
        row = connection.execute(select(sync_progress).where(sync_progress.c.name == name)).one_or_none()
        if row is None or not rows.count(connection, name):
            return False
    state = _state(row)
    return state.completed_at is not None and not any(problem.hinders for problem in state.problems)


def ages(database: Database, clock: Clock, names: Iterable[str]) -> dict[str, float | None]:
    """By table: seconds for which its copy may be behind, None if it was never completely read. ACS is one of them."""
    with database.read() as connection:
        done = {row.name: row.completed_at for row in connection.execute(select(sync_progress))}
    return {name: _age(clock, done.get(name)) for name in (*names, ACS)}


def status(database: Database, clock: Clock, names: Iterable[str]) -> list[TableStatus]:
    """Every table of the directory as it is now."""
    with database.read() as connection:
        states = {row.name: _state(row) for row in connection.execute(select(sync_progress))}
        counts = {name: rows.count(connection, name) for name in names}
    counts[ACS] = states.get(ACS, State()).rows
    return [_status(name, count, states.get(name, State()), clock) for name, count in counts.items()]


def _status(name: str, count: int, state: State, clock: Clock) -> TableStatus:
    next_read: Literal["changes", "in full", "goes on"] = "in full"
    if state.delta_link:
        next_read = "changes"
    elif state.next_link:
        next_read = "goes on"
    return TableStatus(name, count, _age(clock, state.completed_at), next_read, state.problems)


def _age(clock: Clock, at: datetime | None) -> float | None:
    return (clock.now() - at).total_seconds() if at else None


def _state(row: Any) -> State:
    """Any: a row of `sync_progress`."""
    return State(
        row.next_link,
        row.delta_link,
        row.generation,
        row.rows,
        row.completed_at,
        row.selected,
        row.tracked is not False,
        problems.read(row.problems),
        row.restricted_since or 0,
        row.began_at,
    )
