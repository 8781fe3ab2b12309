"""The charts of the HTML report: a ring and bars, drawn with inline SVG and CSS alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape

from connector.prerequisites.codes import PREREQUISITES, prerequisite
from connector.prerequisites.findings import Severity
from connector.prerequisites.report import Selection
from connector.prerequisites.summary import Summary

_OF_AGENTS = ("capacity", "location", "mailbox", "number", "routing", "carrier", "pool", "recipients", "template")
_RADIUS = 50


def headline(summary: Summary) -> str:
    """How many can call for help right now, as a sentence and a ring."""
    not_ready = summary.agents - summary.ready
    sub = (
        f"{not_ready:,} cannot rely on it: something that the call or its notice needs is broken."
        if not_ready
        else "Nothing that the call or the notice of a single agent needs is broken."
    )
    if summary.unsure:
        sub += f" For {summary.unsure:,} of those ready something is still unproven, such as the browser's location."
    return (
        f'<div class="headline">{_ring(summary)}<div><p class="big"><span id="ready">{summary.ready:,}</span> of '
        f'<span id="agents">{summary.agents:,}</span> agents can call for help right now</p>'
        f'<p class="sub">{sub}</p>{_for_everybody(summary)}</div></div>\n'
    )


def _for_everybody(summary: Summary) -> str:
    told = "; ".join(f"{finding.message} ({finding.code})" for finding in summary.for_everybody)
    return f'<p class="everybody">Concerns everybody: {escape(told)}.</p>' if told else ""


def _ring(summary: Summary) -> str:
    share = summary.ready / summary.agents if summary.agents else 0.0
    # All only when it is all: 99.97 % must not read 100 %.
    percent = 100 if share == 1 else min(99, round(share * 100))
    around = 2 * math.pi * _RADIUS
    circle = f'cx="65" cy="65" r="{_RADIUS}"'
    return (
        f'<svg width="130" height="130" viewBox="0 0 130 130" role="img" aria-label="{percent} percent are ready">'
        f'<circle class="ring all" {circle}/><circle class="ring part" {circle} transform="rotate(-90 65 65)" '
        f'stroke-dasharray="{around * share:.1f} {around:.1f}"/>'
        f'<text class="ring-text" x="65" y="66">{percent} %</text></svg>'
    )


def readiness(summary: Summary, countries: Mapping[str, str], wanted: Selection) -> str:
    """Bars by country and by prerequisite."""
    return f'<div class="charts">{_by_country(summary, countries)}{_by_prerequisite(summary, wanted)}</div>\n'


def _by_country(summary: Summary, countries: Mapping[str, str]) -> str:
    rows = []
    for code, count in sorted(summary.countries.items(), key=lambda item: -item[1]["agents"]):
        name = countries.get(code, code) if code else "Not supported"
        parts = (("ready", count["ready"]), ("error", count["agents"] - count["ready"]))
        rows.append(_bar(name, parts, count["agents"], f"{count['ready']:,} of {count['agents']:,}"))
    legend = _legend((("ready", "ready"), ("error", "not ready")))
    return f'<section id="by-country"><h2>Ready by country</h2>{"".join(rows)}{legend}</section>'


def _by_prerequisite(summary: Summary, wanted: Selection) -> str:
    rows = []
    asked = {prerequisite(code) for code in wanted.codes} or set(_OF_AGENTS)
    for group in (group for group in _OF_AGENTS if group in asked):
        found = summary.prerequisites.get(group, Counter[Severity]())
        counts = {severity: found[severity] for severity in Severity}
        fine = summary.agents - sum(counts.values())
        parts = [("ready", fine), *((s.value, counts[s]) for s in reversed(Severity))]
        label = f"{counts[Severity.ERROR]:,} broken" if counts[Severity.ERROR] else _milder(counts)
        rows.append(_bar(PREREQUISITES[group], parts, summary.agents, label))
    legend = _legend((("ready", "met"), ("unknown", "unknown"), ("warning", "to be looked at"), ("error", "broken")))
    return f'<section id="by-prerequisite"><h2>Agents by prerequisite</h2>{"".join(rows)}{legend}</section>'


def _milder(counts: Mapping[Severity, int]) -> str:
    """What most of the others are."""
    warnings, unknowns = counts[Severity.WARNING], counts[Severity.UNKNOWN]
    if not warnings and not unknowns:
        return "all met"
    return f"{warnings:,} to look at" if warnings >= unknowns else f"{unknowns:,} unknown"


def _bar(name: str, parts: Iterable[tuple[str, int]], whole: int, value: str) -> str:
    drawn = "".join(
        f'<i class="{kind}" style="flex:{count}" title="{count:,} {kind}"></i>' for kind, count in parts if count
    )
    return (
        f'<div class="bar"><span>{escape(name)}</span><span class="track" role="img" '
        f'aria-label="{escape(name)}: {value}, {whole:,} agents">{drawn}</span><span class="value">{value}</span></div>'
    )


def _legend(kinds: Iterable[tuple[str, str]]) -> str:
    return f'<p class="legend">{"".join(f"<span><i class={kind}></i>{label}</span>" for kind, label in kinds)}</p>'
