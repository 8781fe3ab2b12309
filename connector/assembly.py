"""Puts the rooms together: from settings to a connector that can serve, sync and validate."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import TracebackType
from typing import Self

from connector import mappings as mapping_files
from connector.acs.calls import Calls
from connector.acs.email import Email
from connector.acs.numbers import purchased_numbers, routing
from connector.acs.pipeline import Access
from connector.calls.effects import OfferNumbers, derive_id
from connector.clock import Clock, SystemClock
from connector.dataverse.client import Dataverse
from connector.dataverse.tokens import Tokens
from connector.directory.reader import Directory
from connector.directory.sync import AT_ONCE, Progress, Sync, TableResult
from connector.effects.performers import AllPerformers
from connector.effects.services import Services
from connector.engine.handler import Handler
from connector.engine.worker import Worker
from connector.errors import ConnectorError, SettingsError
from connector.http import session
from connector.logs import log
from connector.numbers import pool
from connector.settings import Settings
from connector.store import directory_schema, schema
from connector.store.calls import CALL_TABLES
from connector.store.database import Database
from connector.store.lock import alone

NEEDED_TO_SERVE = ("dataverse_url", "acs_endpoint", "email_sender", "fallback_recipients")
NO_OPERATION = "00000000-0000-4000-8000-000000000000"


class Connector:
    """One organisation's connector. A context manager: leaving stops the worker and closes the databases."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Opens and migrates the databases. Raises SettingsError or RetryLater."""
        self.settings = settings
        self.clock = clock or SystemClock()
        self.mappings = mapping_files.load(settings.mappings)
        self.store = Database(settings.store_url.get_secret_value(), schema.metadata, "calls")
        self.directory_store = Database(directory_url(settings), directory_schema.metadata, "directory")
        self.store.migrate()
        self.directory_store.migrate()
        # A process that was killed between forgetting a call and purging left the traces to us.
        self.store.purge(*CALL_TABLES)
        self.directory = Directory(self.directory_store, self.mappings)
        self.handler = Handler(self.store, self.directory, self.mappings, settings, self.clock)
        self.http = session(settings)
        self.tokens = Tokens(settings, self.http)
        self.dataverse = Dataverse(settings.dataverse_url, self.tokens, self.http)
        self.acs = Access(settings, self.tokens, self.http)
        self._worker: Worker | None = None

    def start_worker(self) -> Worker:
        """Starts performing effects. Raises SettingsError where something needed for that is not set."""
        self.settings.require(*NEEDED_TO_SERVE)
        email = Email(self.acs)
        services = Services(
            store=self.store,
            directory=self.directory,
            dataverse=self.dataverse,
            email=email,
            calls=Calls(self.acs),
            mappings=self.mappings,
            settings=self.settings,
            clock=self.clock,
            handle=self.handler.handle,
            ask=self.handler.ask,
        )
        self._worker = Worker(self.handler, AllPerformers(services))
        self._worker.start()
        threading.Thread(target=self._warm_up, args=(email,), name="warm-up", daemon=True).start()
        return self._worker

    def _warm_up(self, email: Email) -> None:
        """Gets tokens and opens connections before the first call needs them: that costs several round trips."""
        for reach in (lambda: email.was_accepted(NO_OPERATION), lambda: self.dataverse.get("WhoAmI")):
            try:
                reach()
            except ConnectorError as error:
                log().warning("not_reached_at_start", problem=str(error))

    def sync(
        self, progress: Progress = lambda _table, _rows: None, untracked_every: timedelta = AT_ONCE
    ) -> list[TableResult]:
        """Brings the directory and the pool of callback numbers up to date.

        `untracked_every`: how old a table without change tracking may be before it is read in full again.
        Raises AlreadyRunning if another sync of this directory runs, and other ConnectorErrors.
        """
        self.settings.require("dataverse_url")
        with alone(self.directory_store, "sync"):
            try:
                sync = Sync(self.dataverse, self.directory_store, self.mappings, self.clock)
                results = sync.run(progress, untracked_every)
            except ConnectorError:
                self._try_numbers()
                raise
            self.sync_numbers()
            return results

    def _try_numbers(self) -> None:
        """What ACS tells is wanted all the same where Dataverse is in trouble, which is then what is to be told."""
        try:
            self.sync_numbers()
        except ConnectorError as error:
            log().warning("numbers_not_synced", problem=str(error))

    @property
    def performs(self) -> bool:
        """Whether effects are performed: every thread that must run does."""
        return self._worker is not None and self._worker.alive

    def sync_numbers(self) -> None:
        """Reads the numbers and the direct routing of the ACS resource. Raises ConnectorError."""
        purchased = purchased_numbers(self.acs)
        pool.store_facts(self.directory_store, purchased, routing(self.acs), self.clock.now())
        if pool.fill(self.store, self.directory, purchased, self.settings.callback_numbers):
            self.handler.ask([OfferNumbers(derive_id("pool"), self.clock.now().isoformat())], "")

    def close(self) -> None:
        """Stops what runs and closes the databases."""
        if self._worker:
            self._worker.stop()
        self.http.close()
        self.store.close()
        self.directory_store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def directory_url(settings: Settings) -> str:
    """Where the directory is: its own setting, else beside the SQLite store, else in the same PostgreSQL database.

    Raises SettingsError for a SQLite store without a file, which two databases cannot share.
    """
    if settings.directory_url:
        return settings.directory_url.get_secret_value()
    store = settings.store_url.get_secret_value()
    if not store.startswith("sqlite"):
        return store
    if not store.endswith(".db"):
        raise SettingsError("EMERGENCY_STORE_URL must end in .db, or set EMERGENCY_DIRECTORY_URL")
    return store.removesuffix(".db") + "-directory.db"
