"""Sends requests of the stand-ins to the outside (events, callbacks) from a few threads of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import requests

WORKERS = 8
STOP_SECONDS = 1.0

Job = Callable[[requests.Session], None]

log = logging.getLogger(__name__)


class Courier:
    """A queue of jobs, each run with an HTTP session that trusts the sandbox's authority.

    The environment is not trusted: a CA bundle or proxy set there would win over ours.
    """

    def __init__(self, name: str, ca_file: str, workers: int = WORKERS) -> None:
        self._ca_file = ca_file
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def session(self) -> requests.Session:
        """A new session; the caller closes it."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self._ca_file
        return session

    def submit(self, job: Job) -> None:
        """Runs a job soon, on one of the threads."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Drops what has not started, and waits shortly for what has."""
        self._stopped.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=STOP_SECONDS / len(self._threads))

    def _work(self) -> None:
        with self.session() as session:
            while (job := self._jobs.get()) is not None:
                if self._stopped.is_set():
                    continue
                try:
                    job(session)
                except Exception:  # one job's fault must not end the thread that serves the others
                    log.exception("a delivery of the sandbox failed")
