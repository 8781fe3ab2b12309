"""`emergency-connector sync`: brings the directory up to date; `sync status`: how it is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connector import settings
from connector.assembly import Connector
from connector.cli.signals import ended_by_signals
from connector.directory.problems import Problem
from connector.directory.progress import TableStatus, status
from connector.directory.sync import UNTRACKED_EVERY, TableResult
from connector.errors import ConnectorError, SettingsError

app = typer.Typer(invoke_without_command=True)


@app.callback()
def sync(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again every EMERGENCY_SYNC_MINUTES, until Ctrl-C")] = False,
) -> None:
    """Reads users, profiles, numbers, mailboxes, presences and the template from Dataverse, and numbers from ACS.

    The first time in full, afterwards only what changed. Exit codes: 0 done, 1 something is missing in Dataverse,
    2 could not be done.
    """
    if context.invoked_subcommand:
        return
    with Connector(settings.load()) as connector:
        if watch:
            with suppress(KeyboardInterrupt), ended_by_signals():
                keep_syncing(connector, threading.Event().wait)
            return
        with _bar(len(connector.mappings.tables)) as show:
            results = connector.sync(show)
    _print(results, Console())
    if any(problem.hinders for result in results for problem in result.problems):
        raise typer.Exit(1)


@app.command("status")
def show_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Shows by table how old the copy is, how many rows it has, how the next read goes, and what is wrong.

    The age is also that of the change-tracking token, which Dataverse takes for 7 days unless it is set otherwise.
    Exit codes: 0 all is well, 1 something is missing or was never read, 2 could not be done.
    """
    with Connector(settings.load()) as connector:
        tables = status(connector.directory_store, connector.clock, connector.mappings.tables)
    if as_json:
        typer.echo(json.dumps({"tables": [asdict(table) for table in tables]}))
    else:
        _print_status(tables, Console())
    if any(table.age is None or any(problem.hinders for problem in table.problems) for table in tables):
        raise typer.Exit(1)


def keep_syncing(connector: Connector, wait: Callable[[float], object]) -> None:
    """Syncs again and again. `wait` gets the seconds to the next one and ends it by returning something true.

    What fails is told and tried again at the next turn; what is missing is told when it is new. Raises SettingsError,
    which no waiting mends.
    """
    console, known = Console(), set[tuple[str, Problem]]()
    while True:
        try:
            with _bar(len(connector.mappings.tables)) as show:
                results = connector.sync(show, UNTRACKED_EVERY)
        except SettingsError:
            raise
        except ConnectorError as error:
            typer.echo(f"error: {error}", err=True)
        else:
            read, removed = sum(result.read for result in results), sum(result.removed for result in results)
            console.print(f"{connector.clock.now():%Y-%m-%d %H:%M:%S} UTC: {read} rows read, {removed} removed")
            found = {(result.name, problem) for result in results for problem in result.problems}
            _print_problems([(name, (problem,)) for name, problem in sorted(found - known)], console)
            known = found
        if wait(connector.settings.sync_minutes * 60):
            return


@contextmanager
def _bar(tables: int) -> Iterator[Callable[[str, int], None]]:
    """A progress bar on a terminal: tables done, rows so far, rows a second."""
    errors = Console(stderr=True)
    text = TextColumn("{task.fields[rows]:,} rows, {task.fields[speed]:,.0f} a second")
    columns = (TextColumn("{task.description}"), BarColumn(), text, TimeElapsedColumn())
    began, rows = time.monotonic(), dict[str, int]()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        # As many steps as tables; the rows of a table are not known before its end.
        task = bar.add_task("sync", total=tables, rows=0, speed=0)

        def show(table: str, read: int) -> None:
            rows[table] = read
            speed = sum(rows.values()) / max(0.001, time.monotonic() - began)
            bar.update(task, description=table, rows=sum(rows.values()), speed=speed, completed=len(rows) - 1)

        yield show


def _print(results: list[TableResult], console: Console) -> None:
    table = Table("table", "read", "removed", "how", "next time")
    for result in results:
        how = "not read" if not result.done else "in full" if result.full else "changes"
        cells = (result.name, str(result.read), str(result.removed), how, "changes" if result.tracked else "in full")
        table.add_row(*cells)
    console.print(table)
    _print_problems([(result.name, result.problems) for result in results], console)


def _print_status(tables: list[TableStatus], console: Console) -> None:
    shown = Table("table", "rows", "age", "next read")
    for table in tables:
        shown.add_row(table.name, f"{table.rows:,}", _age(table.age), table.next_read)
    console.print(shown)
    _print_problems([(table.name, table.problems) for table in tables], console)


def _print_problems(tables: list[tuple[str, tuple[Problem, ...]]], console: Console) -> None:
    for name, found in tables:
        for problem in found:
            console.print(f"{name}: {escape(problem.text)} ({problem.code})", soft_wrap=True)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never read"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
