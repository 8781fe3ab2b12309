"""`emergency-connector serve`: the service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from connector import logs, settings
from connector.assembly import Connector
from connector.logs import log
from connector.service.schedule import Schedule
from connector.service.server import make_server, only_process


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on", min=0, max=65535)] = 8080,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, to serve https without a proxy")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's private key")] = None,
) -> None:
    """Takes webhooks and performs what they ask for, until it is stopped; syncs every few minutes."""
    logs.configure(level="info")
    # Many threads that each need the interpreter for a moment: shorter turns keep an answer from waiting behind work.
    sys.setswitchinterval(0.0005)
    chosen = settings.load()
    chosen.require("webhook_secrets")
    with Connector(chosen) as connector:
        lock = only_process(connector)
        connector.start_worker()
        schedule = Schedule(connector)
        schedule.start()
        log().info("serving", address=f"{host}:{port}")
        try:
            make_server(connector, host, port, certificate, key).run()
        finally:
            schedule.stop()
            if lock:
                lock.release()
