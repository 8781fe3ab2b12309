"""The validation for a terminal: what concerns everybody, how often each thing was found, and the first agents."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.report import AgentReport, Validation
from connector.prerequisites.summary import Summary

MOST_AGENTS = 100
"""A terminal is for a glance; the other formats hold everybody."""
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.UNKNOWN: "cyan"}


def write(run: Validation, console: Console) -> Summary:
    """Prints; agents who are not ready first to last by name, each reason with its remedy."""
    summary = Summary(run.organisation, run.unasked)
    shown: list[AgentReport] = []
    left = 0
    for report in summary.watch(run.agents):
        if _errors(report) and len(shown) < MOST_AGENTS:
            shown.append(report)
        elif _errors(report):
            left += 1
    if shown:
        console.print(_agents(shown))
    if left:
        console.print(f"… and {left} further agents who are not ready: --format csv, json or html has all of them.")
    if run.organisation:
        console.print(_organisation(run.organisation))
    if summary.codes:
        console.print(_codes(summary))
    console.print(summary.headline, highlight=False)
    return summary


def _errors(report: AgentReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity is Severity.ERROR]


def _agents(reports: list[AgentReport]) -> Table:
    table = _table("agent", "country", "what is wrong", "what to do")
    for report in reports:
        for position, finding in enumerate(_errors(report)):
            who, where = (report.name, report.country or "-") if position == 0 else ("", "")
            evidence = f"\n[dim]{escape(finding.evidence)}[/dim]" if finding.evidence else ""
            wrong = f"{escape(finding.message)} [dim]({finding.code})[/dim]{evidence}"
            table.add_row(escape(who), where, wrong, escape(finding.remedy))
    return table


def _organisation(findings: tuple[Finding, ...]) -> Table:
    table = _table("", "concerns everybody", "what to do")
    for finding in findings:
        told = f"{escape(finding.message)} [dim]({finding.code})\n{escape(finding.evidence)}[/dim]"
        table.add_row(_severity(finding), told, escape(finding.remedy))
    return table


def _codes(summary: Summary) -> Table:
    table = Table("agents", "")
    table.columns[0].justify = "right"
    table.add_column("code", no_wrap=True, min_width=max(len(finding.code) for finding, _ in summary.by_code()))
    table.add_column("meaning")
    for finding, count in summary.by_code():
        table.add_row(str(count), _severity(finding), finding.code, escape(finding.message))
    return table


def _severity(finding: Finding) -> str:
    return f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"


def _table(*names: str) -> Table:
    """Long words are folded: a code that is cut could not be looked up."""
    table = Table(show_lines=True)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
