"""`emergency-connector recipients set`: whom an agent's emergency calls are told to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connector import settings
from connector.assembly import Connector
from connector.directory.recipients import Change, Recipients, Wish, read_csv

app = typer.Typer(help="Set the Emergency Call Notifications of agents.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Set the Emergency Call Notifications of agents."""


@app.command("set")
def set_recipients(
    agent: Annotated[str | None, typer.Option(help="The agent's e-mail address or Dataverse user id")] = None,
    to: Annotated[str | None, typer.Option(help="Addresses, separated by semicolons; empty to tell nobody")] = None,
    csv: Annotated[Path | None, typer.Option(help="A file with the columns agent and recipients instead")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the changes; without it they are only shown")] = False,
) -> None:
    """Shows what would change; with --apply writes it, unless somebody edited the user meanwhile.

    Exit codes: 0 done, 1 some were refused, 2 could not be done.
    """
    if (csv is None and (agent is None or to is None)) or (csv and (agent or to)):
        raise typer.BadParameter("give either --agent and --to, or --csv")
    wishes = read_csv(csv) if csv else [Wish(agent or "", to or "")]
    with Connector(settings.load()) as connector:
        connector.settings.require("dataverse_url")
        recipients = Recipients(connector.dataverse, connector.directory_store, connector.mappings)
        changes = list(recipients.preview(wishes))
        if apply:
            changes = [recipients.apply(change) for change in changes]
    _print(changes, Console())
    if not apply and any(change.state == "to change" for change in changes):
        typer.echo("Nothing is written yet. Repeat with --apply to write it.")
    if any(change.state == "refused" for change in changes):
        raise typer.Exit(1)


def _print(changes: list[Change], console: Console) -> None:
    problems = any(change.problem for change in changes)
    table = Table(show_lines=True)
    for name in ("agent", "what", "before", "after", *(("problem",) if problems else ())):
        table.add_column(name, overflow="fold")
    for change in changes:
        cells = (change.agent, change.state, change.before, change.after, *((change.problem,) if problems else ()))
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
