"""`emergency-connector serve`: the service."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from connector import settings
from connector.assembly import NEEDED_TO_SERVE, Connector
from connector.cli.signals import ended_by_signals
from connector.logs import log


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on", min=0, max=65535)] = 8080,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, to serve https without a proxy")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's private key")] = None,
) -> None:
    """Takes webhooks and performs what they ask for, until it is stopped; syncs every few minutes."""
    # What serves takes a while to load, which the other commands need not wait for.
    from connector.service.schedule import Schedule  # noqa: PLC0415
    from connector.service.server import check_certificate, listen, make_server, only_process  # noqa: PLC0415

    chosen = settings.load()
    chosen.require("webhook_secrets", *NEEDED_TO_SERVE)
    check_certificate(certificate, key)
    # uvicorn raises the signal that stopped it once more when it is done: what comes after it must not be cut off.
    with (
        suppress(KeyboardInterrupt),
        ended_by_signals(),
        listen(host, port) as listener,
        only_process(chosen),
        Connector(chosen) as connector,
    ):
        connector.start_worker()
        schedule = Schedule(connector)
        schedule.start()
        log().info("serving", address=f"{host}:{listener.getsockname()[1]}")
        try:
            make_server(connector, certificate, key).run([listener])
        finally:
            schedule.stop()
