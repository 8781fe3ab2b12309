"""The validation as CSV: one line a finding, and one for each agent without any."""

from __future__ import annotations

import csv
from typing import TextIO

from connector.prerequisites.report import Validation
from connector.prerequisites.summary import Summary

COLUMNS = ("agent_id", "name", "country", "ready", "severity", "code", "message", "evidence", "remedy")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run, were it first in a cell."""


def write(run: Validation, to: TextIO) -> Summary:
    """Writes the lines; findings about the organisation come first and have no agent."""
    summary = Summary(run.organisation, run.unasked)
    lines = csv.writer(to, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for finding in run.organisation:
        told = (finding.severity.value, finding.code, finding.message, finding.evidence, finding.remedy)
        lines.writerow([_harmless(cell) for cell in ("", "(organisation)", "", "", *told)])
    for report in summary.watch(run.agents):
        who = (report.agent_id, report.name, report.country or "", "yes" if report.ready else "no")
        for found in report.findings:
            told = (found.severity.value, found.code, found.message, found.evidence, found.remedy)
            lines.writerow([_harmless(cell) for cell in (*who, *told)])
        if not report.findings:
            lines.writerow([_harmless(cell) for cell in (*who, "", "", "", "", "")])
    return summary


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
