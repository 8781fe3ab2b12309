"""Opens a database and gives read and write transactions on it.

SQLite runs in WAL mode with `synchronous=FULL` (a committed dial survives a power cut) and `secure_delete` (what is
deleted is overwritten). PostgreSQL is for several machines.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InternalError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from connector.errors import RetryLater, SettingsError
from connector.metrics import statements, transactions

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 911_112_999
"""Key of the PostgreSQL advisory lock under which one replica at a time migrates."""

_REPLACED = "move it away and sync; location checks must then be made again"
BUSY_MILLISECONDS = 10_000
"""How long SQLite waits for another process's write."""


class Database:
    """One database: the calls or the directory. Safe to share between threads."""

    def __init__(self, url: str, metadata: MetaData, kind: str) -> None:
        """`kind` names the folder of migrations, "calls" or "directory". Raises SettingsError for a wrong URL."""
        self.metadata = metadata
        self.kind = kind
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if parsed.get_backend_name() == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            self.engine = create_engine(parsed, pool_size=16, max_overflow=16, pool_timeout=10, hide_parameters=True)
        except (ArgumentError, NoSuchModuleError, ImportError, TypeError) as error:
            raise SettingsError(
                f"the address of the {kind} store cannot be used ({type(error).__name__}): write sqlite:///file.db, or "
                "postgresql://user@host/database with the extra [postgresql] installed"
            ) from None
        # SQLite has one writer; a lock of ours waits shorter than its own polling does.
        self._writer = threading.Lock() if self.is_sqlite else nullcontext()
        if self.is_sqlite:
            _for_its_owner_only(parsed.database)
            if kind == "directory":
                event.listen(self.engine, "connect", _sqlite_bulk_pragmas)
            event.listen(self.engine, "connect", _sqlite_pragmas)
            event.listen(self.engine, "begin", _sqlite_begin)
        self._count()

    def _count(self) -> None:
        executed, begun = statements.labels(self.kind), transactions.labels(self.kind)

        def count_statement(_connection: Any, _cursor: Any, text: str, *_others: Any) -> None:
            if not text.startswith("BEGIN"):
                executed.inc()

        event.listen(self.engine, "before_cursor_execute", count_statement)
        event.listen(self.engine, "begin", lambda _connection: begun.inc())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end, rolled back on an error.

        Raises RetryLater when the database cannot be reached.
        """
        with self._writer, _explained(self), self.engine.connect() as connection:
            connection.execution_options(write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, on one snapshot."""
        with _explained(self), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection of its own without a transaction, for a lock that lasts longer than one (PostgreSQL).

        Raises RetryLater when the database cannot be reached.
        """
        with _explained(self), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def migrate(self, to: str = "head") -> None:
        """Brings the tables to the newest version, or to a revision. Several replicas may do it at once."""
        # The lock of PostgreSQL holds a connection of its own: migrations commit as they go.
        with self._writer, _explained(self), self.engine.connect() as guard:
            if not self.is_sqlite:
                guard.execute(text("select pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            try:
                self._upgrade(to)
            finally:
                if not self.is_sqlite:
                    guard.execute(text("select pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                guard.rollback()

    def _upgrade(self, to: str) -> None:
        if self.version() == newest(self.kind):
            return
        # Alembic takes a fifth of a second to load, which most commands need not wait for.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS / self.kind))
        config.attributes["database"] = self
        command.upgrade(config, to)

    def version(self) -> str | None:
        """The revision that the tables have, None where there are none yet."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table(self.version_table):
                return None
            return connection.execute(text(f"select version_num from {self.version_table}")).scalar()  # noqa: S608 (our own name)

    @property
    def version_table(self) -> str:
        """The calls and the directory may share a database, so each has a version of its own."""
        return f"{self.kind}_version"

    def purge(self, *tables: str) -> bool:
        """Makes deleted rows unreadable: the log of SQLite is emptied, tables of PostgreSQL are written anew.

        False where somebody else's open transaction stands in the way: then try again later. Waits for nobody, since
        a dial could be waiting behind it.
        """
        return self._empty_log() if self.is_sqlite else self._rewrite(tables)

    def _empty_log(self) -> bool:
        with self._writer, _explained(self):
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA busy_timeout=50")
                (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
            except sqlite3.Error:
                return False
            finally:
                connection.close()
        return not busy

    def _rewrite(self, tables: tuple[str, ...]) -> bool:
        # A plain VACUUM would leave the old content in the pages.
        with _explained(self), self.engine.connect() as connection:
            raw = connection.execution_options(isolation_level="AUTOCOMMIT")
            raw.exec_driver_sql("SET lock_timeout = '200ms'")
            try:
                for table in tables:
                    raw.exec_driver_sql(f"VACUUM FULL {table}")
            except DBAPIError:
                return False
            finally:
                raw.exec_driver_sql("RESET lock_timeout")
        return True

    def close(self) -> None:
        self.engine.dispose()


def newest(kind: str) -> str:
    """The newest revision that this version of the connector knows: its file's name begins with it."""
    files = (_MIGRATIONS / kind / "versions").glob("[0-9]*.py")
    return max(file.name for file in files).partition("_")[0]


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    """A database out of reach becomes an error that says so; integrity errors stay what they are."""
    kind = database.kind
    try:
        yield
    except NoConnectionFree as error:
        raise RetryLater(f"the {kind} store has no connection free") from error
    except DBAPIError as error:
        if database.is_sqlite and type(error.orig) is sqlite3.DatabaseError:
            raise SettingsError(
                f"{database.engine.url.database} is no database or is damaged ({error.orig}): "
                f"{_REPLACED if kind == 'directory' else 'restore it from a backup'}"
            ) from None
        if error.connection_invalidated or isinstance(error, OperationalError | InternalError):
            # PostgreSQL's text may quote parameters; SQLite's says why, and of what file.
            why = f"{error.orig}: {database.engine.url.database}" if database.is_sqlite else type(error.orig).__name__
            raise RetryLater(f"the {kind} store cannot be used now ({why})") from error
        raise


def _for_its_owner_only(file: str | None) -> None:
    """Makes a new file that nobody else can read, as SQLite's own are not; it gives its log the same rights."""
    if file and file != ":memory:":
        with suppress(OSError):  # it is there, or cannot be made, which SQLite will say
            os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))


def _sqlite_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_sqlite_begin`, not by the driver
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_bulk_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    # A sync writes thousands of rows at a time: larger pages and rarer checkpoints save a third of its writing.
    connection.execute("PRAGMA page_size=8192")
    connection.execute("PRAGMA wal_autocheckpoint=4000")


def _sqlite_begin(connection: Connection) -> None:
    # A reader that later writes could fail at once in WAL mode; a writer therefore says so from the start.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")
