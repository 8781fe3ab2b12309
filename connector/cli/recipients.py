"""`emergency-connector recipients set`: whom an agent's emergency calls are told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connector import settings
from connector.assembly import Connector
from connector.cli.signals import ended_by_signals
from connector.directory.recipients import Change, Recipients, State, Wish, read_csv

app = typer.Typer(help="Set the Emergency Call Notifications of agents.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Set the Emergency Call Notifications of agents."""


@app.command("set")
def set_recipients(
    agent: Annotated[
        str | None, typer.Option(help="The agent's e-mail address, full name or Dataverse user id")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Addresses, separated by semicolons; empty to tell nobody")] = None,
    csv: Annotated[Path | None, typer.Option(help="A file with the columns agent and recipients instead")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the changes; without it they are only shown")] = False,
) -> None:
    """Shows what would change; with --apply writes it, unless somebody edits the user meanwhile.

    Exit codes: 0 done, 1 some were refused, 2 could not be done.
    """
    if any((option is None) == (csv is None) for option in (agent, to)):
        raise typer.BadParameter("give either --agent and --to, or --csv")
    wishes = read_csv(csv) if csv else [Wish((agent or "").strip(), to or "")]
    with Connector(settings.load()) as connector, ended_by_signals():
        connector.settings.require("dataverse_url")
        recipients = Recipients(connector.dataverse, connector.directory_store, connector.mappings)
        changes = carry_out(recipients, wishes, apply=apply)
    if any(change.state == "refused" for change in changes):
        raise typer.Exit(1)


def carry_out(recipients: Recipients, wishes: Sequence[Wish], *, apply: bool) -> list[Change]:
    """Previews or applies one wish after the other. What was done is told whatever ends it."""
    changes: list[Change] = []
    try:
        with _bar(len(wishes)) as advance:
            for change in recipients.preview(wishes):
                changes.append(recipients.apply(change) if apply else change)
                advance()
    finally:
        _print(changes)
        _conclude(changes, len(wishes) - len(changes), apply=apply)
    return changes


@contextmanager
def _bar(wishes: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal: agents done, and the time it will take."""
    errors = Console(stderr=True)
    columns = (TextColumn("recipients"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("recipients", total=wishes)
        yield lambda: bar.advance(task)


def _print(changes: list[Change]) -> None:
    """Tells each change in lines of its own; a table of many thousands would take minutes."""
    for change in changes:
        if change.state == "unchanged" and not change.problem:
            continue
        typer.echo(f"{_plain(change.agent)}: {change.state}")
        # Of a user who was not read, nobody knows whom they tell.
        known = {"before": change.before or "nobody", "after": change.after or "nobody"} if change.agent_id else {}
        for name, text in (known | ({"problem": change.problem} if change.problem else {})).items():
            typer.echo(f"    {name + ':':8} {_plain(text)}")


def _plain(text: str) -> str:
    """A text of others on one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def _conclude(changes: list[Change], left: int, *, apply: bool) -> None:
    done: State = "changed" if apply else "to change"
    counts = Counter(change.state for change in changes)
    typer.echo(f"{counts[done]} {done}, {counts['unchanged']} unchanged, {counts['refused']} refused")
    if left and apply:
        typer.echo(
            f"Stopped with {left} left, of whom the next may be written already. It is safe to repeat everything."
        )
    elif left:
        typer.echo(f"Stopped with {left} left. Nothing is written.")
    elif counts["to change"]:
        typer.echo("Nothing is written yet. Repeat with --apply to write it.")
