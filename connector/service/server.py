"""Runs the app under uvicorn, without access logs: a query string may carry a secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url

from connector.assembly import Connector
from connector.errors import SettingsError
from connector.service.app import create_app


def make_server(
    connector: Connector, host: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Server:
    """A server for the connector's app; `port` 0 takes a free one."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(connector),
            host=host,
            port=port,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


@contextmanager
def running(connector: Connector, port: int = 0) -> Iterator[str]:
    """Serves on loopback from a thread; gives the address, once requests are answered.

    Raises SettingsError if the port is taken.
    """
    server = make_server(connector, "127.0.0.1", port)
    thread = threading.Thread(target=server.run, name="service", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        if not server.started:
            raise SettingsError(f"port {port} of this machine is taken: choose another")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def only_process(connector: Connector) -> FileLock | None:
    """Holds a SQLite store for this process. Raises SettingsError if another serves it already."""
    if not connector.store.is_sqlite:
        return None
    database = make_url(connector.settings.store_url.get_secret_value()).database
    lock = FileLock(f"{database}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(
            "another process serves this SQLite store: stop it, or use PostgreSQL (EMERGENCY_STORE_URL) for several"
        ) from None
    return lock
