"""Work that only one process on one machine may do at a time, such as the sync of an organisation.

The lock goes with whoever holds it: PostgreSQL and the operating system release it when the process dies.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from sqlalchemy import text

from connector.errors import AlreadyRunning
from connector.store.database import Database


@contextmanager
def alone(database: Database, work: str) -> Iterator[None]:
    """Does `work` (a short name, such as "sync") while nobody else on this database does it.

    Raises AlreadyRunning at once if somebody else does, RetryLater if the database cannot be reached.
    """
    with _file_lock(database, work) if database.is_sqlite else _advisory_lock(database, work):
        yield


def _told(work: str) -> AlreadyRunning:
    return AlreadyRunning(f"another {work} of this organisation is under way: wait for its end")


@contextmanager
def _file_lock(database: Database, work: str) -> Iterator[None]:
    file = database.engine.url.database
    if not file or file == ":memory:":  # nobody else can see such a database
        yield
        return
    lock = FileLock(f"{file}.{work}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _told(work) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _advisory_lock(database: Database, work: str) -> Iterator[None]:
    key = zlib.crc32(f"emergency-connector {work}".encode())
    # A connection of its own for as long as the work lasts, without a transaction that would hold back vacuuming.
    with database.session() as connection:
        if not connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            raise _told(work)
        try:
            yield
        finally:
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": key})
