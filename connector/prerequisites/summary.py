"""Counts of a validation, gathered while its agents pass by: what stays in memory when they are many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from connector.prerequisites.codes import prerequisite
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.report import AgentReport

NEVER_READ = "directory.never_read"
WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.UNKNOWN)


@dataclass
class Summary:
    """How many agents there are and are ready, by country and by prerequisite, and how often each code was found."""

    organisation: tuple[Finding, ...] = ()
    unasked: tuple[Finding, ...] = ()
    """What concerns everybody, too, and was not asked for."""
    agents: int = 0
    ready: int = 0
    unsure: int = 0
    """How many of the ready ones have something unknown."""
    countries: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By country: "agents" and "ready"."""
    prerequisites: dict[str, Counter[Severity]] = field(default_factory=lambda: defaultdict(Counter))
    """By prerequisite: how many agents it is an error, a warning or unknown for, each counted at its worst."""
    codes: Counter[tuple[str, Severity]] = field(default_factory=Counter)
    """How many agents have a code."""
    messages: dict[str, Finding] = field(default_factory=dict)
    """One finding of each code, for its message and remedy."""

    def watch(self, reports: Iterable[AgentReport]) -> Iterator[AgentReport]:
        """Passes reports on and counts them."""
        for report in reports:
            self.add(report)
            yield report

    def add(self, report: AgentReport) -> None:
        ready = report.ready
        self.agents += 1
        self.ready += ready
        self.unsure += ready and report.unsure
        country = self.countries[report.country or ""]
        country["agents"] += 1
        country["ready"] += ready
        worst: dict[str, Severity] = {}
        for finding in report.findings:
            self.codes[finding.code, finding.severity] += 1
            if finding.code not in self.messages:
                self.messages[finding.code] = finding
            group = prerequisite(finding.code)
            if group not in worst or _rank(finding.severity) < _rank(worst[group]):
                worst[group] = finding.severity
        for group, severity in worst.items():
            self.prerequisites[group][severity] += 1

    @property
    def for_everybody(self) -> list[Finding]:
        """What the number of ready agents does not show: errors that concern everybody, and tables never read."""
        found = (*self.organisation, *self.unasked)
        return [finding for finding in found if finding.severity is Severity.ERROR or finding.code == NEVER_READ]

    @property
    def headline(self) -> str:
        """How many are ready, and what concerns everybody besides."""
        told = f"{self.ready} of {self.agents} agents are ready, {self.agents - self.ready} are not."
        codes = ", ".join(finding.code for finding in self.for_everybody)
        return f"{told} Concerns everybody: {codes}." if codes else told

    def worst(self) -> Severity | None:
        """The worst severity of any finding, None if there is none."""
        found = {severity for _, severity in self.codes} | {finding.severity for finding in self.organisation}
        return next((severity for severity in WORST_FIRST if severity in found), None)

    def fails(self, limit: Severity) -> bool:
        """Whether anything as bad as `limit`, or worse, was found."""
        worst = self.worst()
        return worst is not None and _rank(worst) <= _rank(limit)

    def by_code(self) -> list[tuple[Finding, int]]:
        """Each code that agents have, with how many, the worst and most frequent first."""
        order = sorted(self.codes.items(), key=lambda item: (_rank(item[0][1]), -item[1], item[0][0]))
        return [(self.messages[code], count) for (code, _), count in order]


def _rank(severity: Severity) -> int:
    return WORST_FIRST.index(severity)
