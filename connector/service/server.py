"""Runs the app under uvicorn, without access logs: a query string may carry a secret."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from connector.assembly import Connector
from connector.errors import SettingsError
from connector.service.app import create_app
from connector.settings import Settings


def make_server(connector: Connector, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Server:
    """A server for the connector's app, to be run on a socket of `listen`."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(connector),
            ssl_certfile=certificate,
            ssl_keyfile=key,
            access_log=False,
            proxy_headers=False,  # nothing here asks where a request comes from
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
    listener = listen("127.0.0.1", port)
    server = make_server(connector)
    thread = threading.Thread(target=server.run, args=([listener],), name="service", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Binds the address before anything else begins. Raises SettingsError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it; without it an answer can wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host}:{port} ({error.strerror}): choose another address") from None
    return listener


def check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raises SettingsError unless the two can be used together."""
    if certificate is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # ssl's own errors are of this kind
        raise SettingsError(f"--certificate and --key cannot be used ({type(error).__name__})") from None


@contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Holds a SQLite store for this process. Raises SettingsError if another serves it already."""
    url = settings.store_url.get_secret_value()
    if not url.startswith("sqlite"):
        yield
        return
    try:
        with FileLock(f"{make_url(url).database}.lock", timeout=0):
            yield
    except Timeout:
        raise SettingsError(
            "another process serves this SQLite store: stop it, or use PostgreSQL (EMERGENCY_STORE_URL) for several"
        ) from None
    except (ArgumentError, OSError) as error:
        raise SettingsError(f"the folder of the calls store cannot be used ({type(error).__name__})") from None
