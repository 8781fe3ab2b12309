"""`emergency-connector validate`: tells for which agents an emergency call would not work, why, and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connector import settings
from connector.assembly import Connector
from connector.errors import BadData
from connector.prerequisites.findings import Severity
from connector.prerequisites.report import AgentReport, check_all


class Format(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    JSON = "json"


def validate(
    format: Annotated[Format, typer.Option(help="table for people, json for programs")] = Format.TABLE,  # noqa: A002 (the option's name)
    fresh: Annotated[bool, typer.Option("--fresh", help="Sync first")] = False,
) -> None:
    """Checks the prerequisites of every agent, as last synced.

    Exit codes: 0 all agents are ready, 1 some are not, 2 could not check.
    """
    with Connector(settings.load()) as connector:
        if fresh:
            connector.sync()
        reports = list(check_all(connector.directory_store, connector.mappings))
    if not reports:
        raise BadData("the directory knows no agents: run `emergency-connector sync` first")
    if format is Format.JSON:
        typer.echo(json.dumps(as_json(reports), indent=2))
    else:
        print_table(reports, Console())
    if not all(report.ready for report in reports):
        raise typer.Exit(1)


def as_json(reports: list[AgentReport]) -> dict[str, object]:
    """The result for programs: counts, and each agent with its findings."""
    return {
        "agents": len(reports),
        "ready": sum(report.ready for report in reports),
        "not_ready": sum(not report.ready for report in reports),
        "reports": [{**asdict(report), "ready": report.ready} for report in reports],
    }


def print_table(reports: list[AgentReport], console: Console) -> None:
    """Those who are not ready, each reason with its remedy; then the counts."""
    table = Table("agent", "country", "what is wrong", "what to do", show_lines=True)
    for report in reports:
        errors = [finding for finding in report.findings if finding.severity is Severity.ERROR]
        for position, finding in enumerate(errors):
            who, where = (report.name, report.country or "-") if position == 0 else ("", "")
            evidence = f"\n[dim]{finding.evidence}[/dim]" if finding.evidence else ""
            table.add_row(who, where, f"{finding.message} [dim]({finding.code})[/dim]{evidence}", finding.remedy)
    if table.row_count:
        console.print(table)
    ready = sum(report.ready for report in reports)
    console.print(f"{ready} of {len(reports)} agents are ready, {len(reports) - ready} are not.")
    for severity in (Severity.WARNING, Severity.UNKNOWN):
        number = sum(finding.severity is severity for report in reports for finding in report.findings)
        if number:
            console.print(f"Besides, {severity}: {number} findings; --format json shows them.")
