"""The validation as JUnit XML: a test case an agent, failed by each error; warnings and unknowns are its output."""

from __future__ import annotations

import shutil
import tempfile
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from connector.notifications.plain import encodable
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.report import Validation
from connector.prerequisites.summary import Summary


def write(run: Validation, to: TextIO) -> Summary:
    """Writes the file. Its head holds the counts, so the cases wait in a temporary file."""
    summary = Summary(run.organisation, run.unasked)
    failures = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as cases:
        if run.organisation:
            failures += _case(cases, "(organisation)", "organisation", run.organisation)
        for report in summary.watch(run.agents):
            failures += _case(
                cases, f"{report.name} ({report.agent_id})", report.country or "no country", report.findings
            )
        total = summary.agents + bool(run.organisation)
        counts = f'tests="{total}" failures="{failures}" errors="0"'
        to.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {counts}>\n')
        to.write(f'<testsuite name="emergency calling" {counts}>\n')
        cases.seek(0)
        shutil.copyfileobj(cases, to)
    to.write("</testsuite>\n</testsuites>\n")
    return summary


def _case(to: TextIO, name: str, group: str, findings: tuple[Finding, ...]) -> bool:
    """Writes a case; whether it failed."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    others = [finding for finding in findings if finding.severity is not Severity.ERROR]
    to.write(f"<testcase classname={_attribute(f'emergency calling.{group}')} name={_attribute(name)}>")
    if errors:
        # Readers of JUnit files take one failure a case.
        codes = ", ".join(finding.code for finding in errors)
        to.write(f"<failure type={_attribute(errors[0].code)} message={_attribute(codes)}>{_text(errors)}</failure>")
    if others:
        to.write(f"<system-out>{_text(others)}</system-out>")
    to.write("</testcase>\n")
    return bool(errors)


def _text(findings: list[Finding]) -> str:
    lines = (f"{f.severity} {f.code}: {f.message} [{f.evidence}] -> {f.remedy}" for f in findings)
    return escape(encodable("\n".join(lines)))


def _attribute(text: str) -> str:
    return quoteattr(encodable(text))
