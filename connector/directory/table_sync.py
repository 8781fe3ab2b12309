"""Brings one table of the directory up to date.

A full read is stored page by page with the link to the next page, so that a killed read goes on where it stopped; rows
that the read has not seen are removed at its end. Afterwards change tracking brings what changed and what was deleted,
until its token expires (7 days by default): then the table is read in full again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connector.clock import Clock
from connector.dataverse.client import PAGE_SIZE, Dataverse
from connector.dataverse.pages import Page, Row
from connector.directory import problems, progress, rows
from connector.directory.prefetch import prefetched
from connector.directory.problems import Problem
from connector.directory.progress import State
from connector.directory.rows import Batch
from connector.errors import BadData, DeltaExpired, MissingPrivilege, RetryLater, ServiceRejected
from connector.logs import log
from connector.mappings import TableMapping
from connector.store.database import Database

TRACKED = f"odata.track-changes,odata.maxpagesize={PAGE_SIZE}"
UNTRACKED = f"odata.maxpagesize={PAGE_SIZE}"
GOES_ON = timedelta(minutes=10)
"""How long after its begin an interrupted full read is gone on with, where no change tracking tells what it missed."""
NEVER_EMPTY = "agents"
"""Every environment has users; an answer that shows none is not believed."""

Progress = Callable[[str, int], None]
"""Told after each stored page: the table's name, and how many rows this sync has read of it so far."""


@dataclass(frozen=True)
class TableResult:
    """What a sync did to one table. `full`: it was read in full; `tracked`: next time only its changes will be.

    `done` is False where the copy stays as it was: it may not be read, or cannot be tracked and is recent enough.
    """

    name: str
    read: int = 0
    removed: int = 0
    full: bool = True
    tracked: bool = False
    done: bool = True
    problems: tuple[Problem, ...] = ()


class TableSync:
    """One table of one organisation. `untracked_every`: how old a copy may be that needs a full read."""

    def __init__(
        self,
        dataverse: Dataverse,
        database: Database,
        mapping: TableMapping,
        clock: Clock,
        told: Progress,
        untracked_every: timedelta,
    ) -> None:
        self._dataverse = dataverse
        self._database = database
        self._wanted = mapping
        self._clock = clock
        self._told = told
        self._untracked_every = untracked_every
        self._state = progress.load(database, mapping.name)

    def run(self) -> TableResult:
        """Reads what is new. Raises ConnectorError; what was stored before stays and is gone on from."""
        mapping: TableMapping | None = self._wanted
        if self._state.selected not in (None, progress.first(self._wanted)):
            # The last read did without some columns, or the mappings have changed since.
            mapping = problems.present(self._dataverse, self._wanted)
        if mapping is not None and progress.first(mapping) == self._state.selected:
            result = self._from_changes(mapping) or self._from_page(mapping)
            if result is not None:
                return result
            if not self._due():
                return TableResult(mapping.name, done=False, problems=self._state.problems)
        return self._from_start()

    def fail(self, error: ServiceRejected | BadData | RetryLater) -> None:
        """Notes an error of `run`."""
        found = (problems.refused(self._wanted, error),)
        progress.save_problems(self._database, self._wanted.name, found, self._state.problems)

    def _due(self) -> bool:
        """Whether a table that has to be read in full is old enough for it."""
        done = self._state.completed_at
        waits = any(problem.code in problems.UNTRACKED for problem in self._state.problems)
        # A time that lies ahead is that of a wrong clock.
        recent = done is not None and timedelta() <= self._clock.now() - done < self._untracked_every
        return not (waits and recent)

    def _from_changes(self, mapping: TableMapping) -> TableResult | None:
        """Reads the changes since the last read. None where that is impossible or refused."""
        link = self._state.delta_link
        if not link or not self._dataverse.owns(link):
            return None
        try:
            return self._changes(mapping, link)
        except (DeltaExpired, MissingPrivilege):
            log().warning("delta_refused", table=mapping.name)
        except ServiceRejected as error:
            # What an expired token looks like is not documented, so every refusal of it means a full read.
            log().warning("delta_refused", table=mapping.name, status=error.status, code=error.code)
        return None

    def _from_page(self, mapping: TableMapping) -> TableResult | None:
        """Goes on with an interrupted full read. None where there is none, it is old, or its link is refused."""
        state = self._state
        if not state.next_link or not self._dataverse.owns(state.next_link):
            return None
        if not state.tracked and not self._is_recent(state.began_at):
            return None
        try:
            result = self._full(mapping, state.next_link, state)
        except ServiceRejected:
            log().warning("page_link_refused", table=mapping.name)
            return None
        # The pages stored before the interruption are as old as that: what has changed since is read at once.
        self._state = progress.load(self._database, mapping.name)
        since = self._from_changes(mapping)
        return (
            replace(result, read=result.read + since.read, removed=result.removed + since.removed) if since else result
        )

    def _is_recent(self, began: datetime | None) -> bool:
        return began is not None and timedelta() <= self._clock.now() - began < GOES_ON

    def _from_start(self) -> TableResult:
        """Reads in full, with change tracking if that is possible, and without the columns that do not exist."""
        mapping = self._wanted
        try:
            return self._full(mapping, progress.first(mapping), self._new(mapping, tracked=True))
        except ServiceRejected as error:
            refusal = error
        there = problems.present(self._dataverse, mapping)
        if there is None:
            return self._unreadable(problems.table_missing(mapping))
        missing = tuple(problems.columns_missing(mapping, there))
        if there != mapping:
            try:
                return self._full(there, progress.first(there), self._new(there, missing, tracked=True))
            except ServiceRejected as error:
                refusal = error
        forbidden = isinstance(refusal, MissingPrivilege)
        found = (*missing, problems.untracked(mapping, forbidden=forbidden))
        state = self._new(there, found, tracked=False)
        if forbidden:
            # What reads of the whole table saw stays: that this one does not see it may mean either.
            state = replace(state, restricted_since=self._state.restricted_since or state.generation)
        try:
            return self._full(there, progress.first(there), state)
        except MissingPrivilege as error:
            return self._unreadable(problems.privilege_missing(mapping, error))

    def _new(self, mapping: TableMapping, found: tuple[Problem, ...] = (), *, tracked: bool) -> State:
        """The state of a full read that begins."""
        return State(
            generation=self._state.generation + 1,
            completed_at=self._state.completed_at,
            selected=progress.first(mapping),
            tracked=tracked,
            problems=found,
            began_at=self._clock.now(),
        )

    def _pages(
        self, mapping: TableMapping, link: str, preference: str, generation: int
    ) -> Iterator[tuple[Page, Batch]]:
        """Each page, and what of it is to be stored."""
        for page in self._dataverse.pages(link, mapping.selected, prefer=preference):
            yield page, rows.batch(mapping, (row for row in page.rows if not row.reason), generation)

    def _full(self, mapping: TableMapping, first: str, state: State) -> TableResult:
        removed = 0
        preference = TRACKED if state.tracked else UNTRACKED
        with closing(prefetched(self._pages(mapping, first, preference, state.generation))) as pages:
            for page, batch in pages:
                read = state.rows + len(page.rows)
                state = replace(state, next_link=page.next_link, delta_link=page.delta_link, rows=read)
                with self._database.write() as connection:
                    rows.store(connection, batch)
                    if page.next_link is None:
                        state = self._completed(connection, mapping, state)
                        removed = rows.sweep(connection, mapping, state.generation, since=state.restricted_since)
                    progress.save(connection, mapping.name, state)
                self._told(mapping.name, state.rows)
        return self._done(state, removed, full=True)

    def _completed(self, connection: Connection, mapping: TableMapping, state: State) -> State:
        """The state after the last page of a full read. Raises BadData where it cannot have been all."""
        if mapping.name == NEVER_EMPTY and not state.rows and rows.count(connection, mapping.name):
            raise BadData(f"Dataverse told of no row of table {mapping.table} at all: its copy stays as it was")
        found = state.problems
        if state.tracked and state.delta_link is None:
            # Asked for change tracking, it neither refused nor did it.
            found = (*found, problems.untracked(mapping, forbidden=False))
        return replace(state, completed_at=state.began_at, problems=found)

    def _changes(self, mapping: TableMapping, link: str) -> TableResult:
        read = removed = 0
        newer = None
        state, now = self._state, self._clock.now()
        with closing(prefetched(self._pages(mapping, link, TRACKED, state.generation))) as pages:
            for page, batch in pages:
                newer = page.delta_link
                deleted = [_deleted_id(row) for row in page.rows if row.reason]
                read += len(page.rows)
                with self._database.write() as connection:
                    rows.store(connection, batch)
                    removed += rows.remove(connection, mapping, deleted)
                    if newer:
                        missing = tuple(problems.columns_missing(self._wanted, mapping))
                        state = replace(state, next_link=None, delta_link=newer, completed_at=now, problems=missing)
                        progress.save(connection, mapping.name, replace(state, rows=read))
                self._told(mapping.name, read)
        if newer is None:
            raise BadData("Dataverse ended the changes without a new delta link: report this to its support")
        return self._done(replace(state, rows=read), removed, full=False)

    def _done(self, state: State, removed: int, *, full: bool) -> TableResult:
        name, tracked = self._wanted.name, state.delta_link is not None
        progress.tell(name, state.problems, self._state.problems)
        return TableResult(name, state.rows, removed, full=full, tracked=tracked, problems=state.problems)

    def _unreadable(self, found: Problem) -> TableResult:
        """The table does not exist or may not be read: the copy stays as it was, since either may be a mistake."""
        progress.save_problems(self._database, self._wanted.name, (found,), self._state.problems)
        return TableResult(self._wanted.name, done=False, problems=(found,))


def _deleted_id(row: Row) -> str:
    if row.deleted_id is None:
        raise BadData("Dataverse told of a deleted row without its id: report this to its support")
    return row.deleted_id
