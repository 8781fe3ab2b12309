"""The command `emergency-connector`: one module a command.

Exit codes: 0 done; 1 findings, or something was refused; 2 could not be done.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from connector import logs
from connector.cli import demo, recipients, sandbox, serve, sync, validate
from connector.errors import ConnectorError

app = typer.Typer(
    name="emergency-connector",
    help="Emergency calling for Dynamics 365 contact centres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their view of local variables would show personal data
)
app.add_typer(sync.app, name="sync")
app.command("validate")(validate.validate)
app.command("serve")(serve.serve)
app.add_typer(recipients.app, name="recipients")
app.command("sandbox")(sandbox.sandbox)
app.command("demo")(demo.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("emergency-connector"))
        raise typer.Exit


@app.callback()
def _settings(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version")
    ] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error")] = None,
) -> None:
    """Settings are read from environment variables; docs/settings.md lists them."""
    level = (log_level or ("info" if context.invoked_subcommand == "serve" else "warning")).lower()
    if level not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter("must be debug, info, warning or error", param_hint="--log-level")
    logs.configure(level=level)


def main() -> None:
    """Runs the command line; mistakes of people and services end with one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show costs no report
    try:
        app()
    except ConnectorError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        typer.echo(f"error: {error.strerror or type(error).__name__}: the output cannot be written", err=True)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 (nobody at a terminal is helped by a traceback, and its values may be personal)
        typer.echo(
            f"error: a fault of the connector ({type(error).__name__} at {logs.where(error)}): report it", err=True
        )
        sys.exit(2)
