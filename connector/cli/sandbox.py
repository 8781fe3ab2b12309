"""`emergency-connector sandbox`: the local stand-ins, for trying the connector or any other client of them."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from dataclasses import asdict
from typing import Annotated

import typer

from connector.errors import SettingsError


def sandbox(
    agents: Annotated[int, typer.Option(min=1, max=1_000_000, help="People in the seeded organisation")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Serves Entra ID, Dataverse, ACS and Event Grid on loopback and prints the settings that point a connector there.

    Ends with Ctrl-C, or when its standard input closes.
    """
    try:
        from connector.sandbox import Sandbox  # noqa: PLC0415 (an optional extra)
    except ImportError as error:
        raise SettingsError(f"install the extra [sandbox]: {error.name} is missing") from None
    with Sandbox.start(agents=agents) as running:
        if as_json:
            typer.echo(json.dumps(asdict(running.info)))
        else:
            typer.echo("# The sandbox is up. Settings of a connector that uses it:")
            for name, value in running.info.settings().items():
                typer.echo(f"export {name}='{value}'")
            typer.echo(
                f"# Control: {running.info.control_url} with the header x-sandbox-key: {running.info.control_key}"
            )
            typer.echo("# Ctrl-C ends it.")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            _until_input_closes()


def _until_input_closes() -> None:
    """Waits for the end of standard input; without one (a terminal, nothing) for Ctrl-C."""
    if sys.stdin is None or sys.stdin.isatty():
        threading.Event().wait()
    while sys.stdin.read(1024):
        pass
