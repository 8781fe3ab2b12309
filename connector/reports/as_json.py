"""The validation as one JSON object: `organisation`, `reports` (one agent a line), then the counts.

`for_everybody` are the codes that concern all agents alike, so that the count of the ready ones is not taken alone.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from connector.prerequisites.findings import Finding
from connector.prerequisites.report import AgentReport, Validation
from connector.prerequisites.summary import Summary


def write(run: Validation, to: TextIO) -> Summary:
    """Writes the object while the agents pass by; the counts therefore stand at its end."""
    summary = Summary(run.organisation, run.unasked)
    organisation = [_finding(finding) for finding in run.organisation]
    to.write(f'{{\n"organisation": {json.dumps(organisation)},\n"reports": [')
    lines = (json.dumps(_report(report)) for report in summary.watch(run.agents))
    to.writelines(f"{',' if position else ''}\n{line}" for position, line in enumerate(lines))
    codes = {code: count for (code, _), count in sorted(summary.codes.items())}
    to.write(f'\n],\n"codes": {json.dumps(codes)},\n"agents": {summary.agents},\n"ready": {summary.ready},\n')
    everybody = [finding.code for finding in summary.for_everybody]
    to.write(f'"not_ready": {summary.agents - summary.ready},\n"for_everybody": {json.dumps(everybody)}\n}}\n')
    return summary


def _report(report: AgentReport) -> dict[str, Any]:
    return {
        "agent_id": report.agent_id,
        "name": report.name,
        "country": report.country,
        "ready": report.ready,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "message": finding.message,
        "remedy": finding.remedy,
        "evidence": finding.evidence,
    }
