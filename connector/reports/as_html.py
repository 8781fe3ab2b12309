"""The validation as one HTML file that needs nothing else: headline, charts, what to mend first, a table to filter.

Everything that comes from the organisation is escaped, and a content security policy keeps the page from loading or
sending anything.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import TextIO

from connector.notifications.plain import encodable
from connector.prerequisites.codes import PREREQUISITES, prerequisite
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.report import AgentReport, Selection, Validation
from connector.prerequisites.summary import WORST_FIRST, Summary
from connector.reports import charts

MOST_ROWS = {Severity.ERROR: 5_000, Severity.WARNING: 2_000, Severity.UNKNOWN: 1_000}
"""What a browser shows and filters at once without stutter; CSV holds all."""


def write(run: Validation, to: TextIO, *, at: datetime, countries: Mapping[str, str]) -> Summary:
    """Writes the page. Its head holds the counts, so the table's rows wait in a temporary file.

    `countries`: names by code.
    """
    summary, rows = Summary(run.organisation, run.unasked), Counter[Severity]()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as table:
        for finding in run.organisation:
            _row(table, None, finding, countries)
        for report in summary.watch(run.agents):
            for finding in report.findings:
                rows[finding.severity] += 1
                if rows[finding.severity] <= MOST_ROWS[finding.severity]:
                    _row(table, report, finding, countries)
        table.seek(0)
        to.write(_head(at))
        to.write(charts.headline(summary))
        to.write(_asked_for(run.wanted))
        to.write(charts.readiness(summary, countries, run.wanted))
        to.write(_mend_first(summary))
        to.write(_filters(summary, countries))
        shutil.copyfileobj(table, to)
        to.write(f"</tbody></table>{_left_out(rows)}</section></main>\n<script>{_asset('report.js')}</script>\n")
    to.write("</body></html>\n")
    return summary


def _head(at: datetime) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Emergency calling: readiness</title><style>{_asset('report.css')}</style></head>\n<body><main>"
        f'<div class="top"><h1>Emergency calling: readiness</h1><span>{at:%Y-%m-%d %H:%M} UTC</span></div>\n'
    )


def _asked_for(wanted: Selection) -> str:
    """What the lists leave out, where something was chosen."""
    if not wanted.codes:
        return ""
    told = _e(", ".join(wanted.codes))
    return f'<p class="note">Only {told} was asked for and is listed; who is ready is counted by everything.</p>\n'


def _asset(name: str) -> str:
    return (files("connector.reports") / name).read_text(encoding="utf-8")


def _mend_first(summary: Summary) -> str:
    if not summary.codes and not summary.organisation:
        return '<section><p class="good">Nothing was found.</p></section>\n'
    causes = [(finding, "all") for finding in summary.organisation]
    causes += [(finding, f"{count:,}") for finding, count in summary.by_code()]
    rows = [_cause(*cause) for cause in sorted(causes, key=lambda cause: WORST_FIRST.index(cause[0].severity))]
    head = "<tr><th>Agents</th><th></th><th>What</th><th>How to mend it</th></tr>"
    return (
        '<section class="long"><h2>What to mend first</h2>'
        f'<table id="causes"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></section>\n'
    )


def _cause(finding: Finding, count: str) -> str:
    return (
        f'<tr><td class="count">{count}</td><td>{_badge(finding)}</td>'
        f"<td>{_sentence(finding.message)}<br><code>{finding.code}</code></td><td>{_sentence(finding.remedy)}</td></tr>"
    )


def _filters(summary: Summary, countries: Mapping[str, str]) -> str:
    found = {prerequisite(finding.code) for finding, _ in summary.by_code()}
    found |= {prerequisite(finding.code) for finding in summary.organisation}
    severities = {severity.value: severity.value.capitalize() for severity in Severity}
    # Whoever opens or prints the page wants what is broken; the rest is one choice away.
    first = Severity.ERROR.value if summary.fails(Severity.ERROR) else ""
    homes = {code or "none": _country(code, countries) for code in sorted(summary.countries)}
    groups = {group: name for group, name in PREREQUISITES.items() if group in found}
    return (
        '<section class="long"><h2>Findings</h2><div class="filters">'
        '<input id="text" type="search" placeholder="Filter by name, code or words" aria-label="Filter by words">'
        f"{_select('severity', 'Every severity', severities, first)}{_select('country', 'Every country', homes)}"
        f"{_select('prerequisite', 'Every prerequisite', groups)}"
        '<span id="shown" role="status"></span></div><table id="findings"><thead><tr><th>Agent</th><th>Country</th>'
        "<th></th><th>What was found, and what decided</th><th>How to mend it</th></tr></thead><tbody>\n"
    )


def _select(name: str, everything: str, options: Mapping[str, str], chosen: str = "") -> str:
    items = "".join(
        f'<option value="{_e(value)}"{" selected" if chosen == value else ""}>{_e(label)}</option>'
        for value, label in options.items()
    )
    return f'<select id="{name}" aria-label="{everything}"><option value="">{everything}</option>{items}</select>'


def _row(to: TextIO, report: AgentReport | None, finding: Finding, countries: Mapping[str, str]) -> None:
    who, country = (report.name or report.agent_id, report.country or "") if report else ("Everybody", "")
    shown = _country(country, countries) if report else ""
    to.write(
        f'<tr data-severity="{finding.severity}" data-country="{_e(country or "none") if report else "all"}" '
        f'data-prerequisite="{prerequisite(finding.code)}"><td class="who">{_e(who)}</td><td>{_e(shown)}</td>'
        f"<td>{_badge(finding)}</td><td>{_sentence(finding.message)} <code>{finding.code}</code>"
        f'<span class="evidence">{_e(finding.evidence)}</span></td><td>{_sentence(finding.remedy)}</td></tr>\n'
    )


def _left_out(rows: Counter[Severity]) -> str:
    left = [
        f"{rows[severity] - most:,} further findings of severity {severity}"
        for severity, most in MOST_ROWS.items()
        if rows[severity] > most
    ]
    return f'<p class="note">Not listed here: {", ".join(left)}. The CSV form holds all.</p>' if left else ""


def _badge(finding: Finding) -> str:
    return f'<span class="badge {finding.severity}">{finding.severity}</span>'


def _country(code: str, countries: Mapping[str, str]) -> str:
    return countries.get(code, code) if code else "Not supported"


def _sentence(text: str) -> str:
    return _e(text[:1].upper() + text[1:])


def _e(text: str) -> str:
    return escape(encodable(text))
