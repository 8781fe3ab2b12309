"""Serves ASGI apps on loopback over TLS, each on a port of its own, from one background thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
import uvicorn

START_SECONDS = 15.0


class Authority:
    """A certificate authority of the sandbox's own; `ca_file` is the PEM that clients must be told to trust.

    It is never added to the system's store. Every client is given the path instead.
    """

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA(organization_name="Emergency connector sandbox")
        server = ca.issue_cert("localhost", "127.0.0.1")
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.pem"
        self.certificate_file = folder / "server.pem"
        ca.cert_pem.write_to_path(self.ca_file)
        server.private_key_and_cert_chain_pem.write_to_path(self.certificate_file)


class Servers:
    """The running servers. Ports are bound before the thread starts, so `url()` is known at once.

    A context manager: entering waits until every app answers, leaving stops them all.
    """

    def __init__(self, apps: Mapping[str, Any], authority: Authority, ports: Mapping[str, int] | None = None) -> None:
        wanted = ports or {}
        self._sockets = {name: _listen(wanted.get(name, 0)) for name in apps}
        self._servers = {name: _server(app, authority) for name, app in apps.items()}
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def url(self, name: str) -> str:
        """The base address of an app, without a trailing slash (a slash breaks the ACS clients' signatures)."""
        return f"https://localhost:{self._sockets[name].getsockname()[1]}"

    def start(self) -> None:
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_SECONDS / 0.02)):
            if all(server.started for server in self._servers.values()):
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.02)
        raise RuntimeError("the sandbox did not start: see the log above")

    def stop(self) -> None:
        for server in self._servers.values():
            server.should_exit = True
            # Idle keep-alive connections of clients would otherwise hold the stop.
            server.force_exit = True
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._serve_all())

    async def _serve_all(self) -> None:
        await asyncio.gather(*(server.serve(sockets=[self._sockets[name]]) for name, server in self._servers.items()))
        # A client that keeps its connection leaves the TLS goodbye unanswered: the loop would end with open sockets.
        # The servers know no connection that is still shaking hands; only the loop does, in a part that is its own.
        transports: Mapping[int, asyncio.WriteTransport] = getattr(asyncio.get_running_loop(), "_transports", {})
        for transport in list(transports.values()):
            transport.abort()
        # The loop closes an aborted socket in its next rounds.
        for _ in range(3):
            await asyncio.sleep(0)


def _listen(port: int) -> socket.socket:
    # Named as TCP: asyncio sets TCP_NODELAY only then, without which each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _server(app: Any, authority: Authority) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        ssl_certfile=str(authority.certificate_file),
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    return uvicorn.Server(config)
