"""`emergency-connector sync`: brings the directory up to date, once."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connector import settings
from connector.assembly import Connector


def sync() -> None:
    """Reads users, profiles, numbers, mailboxes, presences and the template from Dataverse, and numbers from ACS.

    The first time in full, afterwards only what changed.
    """
    errors = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    with (
        Connector(settings.load()) as connector,
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar,
    ):
        task = bar.add_task("sync", total=len(connector.mappings.tables), rows=0)
        seen: set[str] = set()

        def show(table: str, rows: int) -> None:
            seen.add(table)
            bar.update(task, description=table, rows=rows, completed=len(seen) - 1)

        results = connector.sync(show)
    table = Table("table", "read", "removed", "how", "next time")
    for result in results:
        how = "in full" if result.full else "changes"
        table.add_row(
            result.name, str(result.read), str(result.removed), how, "changes" if result.tracked else "in full"
        )
    Console().print(table)
