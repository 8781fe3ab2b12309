"""`emergency-connector sandbox`: the local stand-ins, for trying the connector or any other client of them."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.signals import ended_by_signals, wait_for_the_end
from connector.errors import SettingsError

if TYPE_CHECKING:  # at run time only where the extra [sandbox] is installed
    from connector.sandbox import SandboxInfo


def sandbox(
    agents: Annotated[int, typer.Option(min=1, max=1_000_000, help="People in the seeded organisation")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Serves Entra ID, Dataverse, ACS and Event Grid on loopback and prints the settings that point a connector there.

    Ends with Ctrl-C; with --json also when its standard input closes, since whoever started it may be gone.
    """
    try:
        from connector.sandbox import Sandbox  # noqa: PLC0415 (an optional extra)
    except ImportError as error:
        raise SettingsError(f"install the extra [sandbox]: {error.name} is missing") from None
    with ended_by_signals(), Sandbox.start(agents=agents) as running:
        if as_json:
            typer.echo(json.dumps(asdict(running.info)))
        else:
            _tell(running.info)
        sys.stdout.flush()
        wait_for_the_end(_until_input_closes if as_json else None)


def _tell(info: SandboxInfo) -> None:
    typer.echo("# The sandbox is up. Settings of a connector that uses it:")
    example = {
        "EMERGENCY_WEBHOOK_SECRETS": "an-example-secret",
        "EMERGENCY_FALLBACK_RECIPIENTS": "duty-officer@example.com",
    }
    for name, value in (info.settings() | example).items():
        typer.echo(f"export {name}='{value}'")
    control = f"curl -s --cacert {info.ca_file} -H 'x-sandbox-key: {info.control_key}' {info.control_url}"
    typer.echo("# In another terminal, with these set: sync, validate, serve; docs/sandbox.md goes on from there.")
    typer.echo(f"# What can be looked at and disturbed: {control}/")
    typer.echo("# Ctrl-C ends it.")


def _until_input_closes() -> None:
    """Waits for the end of standard input; without one (a terminal, nothing) for Ctrl-C."""
    if sys.stdin is None or sys.stdin.isatty():
        threading.Event().wait()
    while sys.stdin.read(1024):
        pass
