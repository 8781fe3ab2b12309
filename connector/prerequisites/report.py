"""Runs every check on every agent, and on the organisation once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from connector.clock import SystemClock
from connector.mappings import Mappings
from connector.prerequisites import (
    callback,
    capacity_profile,
    directory_state,
    location,
    mailbox,
    not_judged,
    number,
    own_settings,
    recipients,
    template,
    webhook,
)
from connector.prerequisites.codes import prerequisite
from connector.prerequisites.facts import AgentFacts, OrganisationFacts, ValidationContext
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.load.agents import agents as load_agents
from connector.prerequisites.load.agents import identified
from connector.prerequisites.load.organisation import organisation as load_organisation
from connector.store.database import Database


@dataclass(frozen=True)
class AgentReport:
    """One agent and what was found. `unasked` was found, too, and not asked for; for who is ready it counts.

    Ready: nothing is wrong, though something may be unknown or worth a look.
    """

    agent_id: str
    name: str
    country: str | None
    findings: tuple[Finding, ...]
    unasked: tuple[Finding, ...] = ()

    @property
    def ready(self) -> bool:
        return not self._has(Severity.ERROR)

    @property
    def unsure(self) -> bool:
        """Whether something is unknown."""
        return self._has(Severity.UNKNOWN)

    def _has(self, severity: Severity) -> bool:
        return any(finding.severity is severity for finding in chain(self.findings, self.unasked))


@dataclass(frozen=True)
class Selection:
    """Which agents and findings are wanted; what is empty limits nothing.

    `agents`: ids, e-mail addresses or names. `countries`: codes. `codes`: of findings, or the part before the dot.
    """

    agents: Collection[str] = ()
    countries: Collection[str] = ()
    codes: Collection[str] = ()

    def split(self, findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """The findings that were asked for, and the others."""
        found = tuple(findings)
        asked = tuple(finding for finding in found if self._takes(finding))
        return asked, tuple(finding for finding in found if finding not in asked)

    def _takes(self, finding: Finding) -> bool:
        return not self.codes or finding.code in self.codes or prerequisite(finding.code) in self.codes


EVERYTHING = Selection()


@dataclass(frozen=True)
class Validation:
    """A run: what concerns everybody, and the agents one after the other (read once, while the directory is open).

    `unasked` concerns everybody, too, and was not asked for. `unknown_agents`: who of the agents asked for is none.
    """

    organisation: tuple[Finding, ...]
    agents: Iterator[AgentReport]
    wanted: Selection = EVERYTHING
    unasked: tuple[Finding, ...] = ()
    unknown_agents: tuple[str, ...] = ()


def check(agent: AgentFacts, organisation: OrganisationFacts) -> AgentReport:
    """Every prerequisite of one agent."""
    findings = chain(
        capacity_profile.check(agent),
        location.check(agent),
        mailbox.check(agent),
        number.check(agent, organisation.acs),
        callback.check(agent, organisation),
        recipients.check(agent),
        template.check(agent, organisation),
    )
    told = tuple(not_judged.judged(findings, organisation.unread))
    return AgentReport(agent.id, agent.name, agent.country.code if agent.country else None, told)


def check_organisation(organisation: OrganisationFacts) -> tuple[Finding, ...]:
    """What concerns every agent alike, each thing once."""
    checks = (directory_state, webhook, own_settings, template)
    findings = (finding for module in checks for finding in module.check_organisation(organisation))
    return tuple(not_judged.judged(findings, organisation.unread))


@contextmanager
def validate(
    directory: Database, mappings: Mappings, context: ValidationContext, wanted: Selection = EVERYTHING
) -> Iterator[Validation]:
    """A validation of what the directory knows, on one snapshot of it.

    Raises RetryLater where the directory cannot be read.
    """
    with directory.read() as connection:
        organisation = load_organisation(connection, mappings, context)
        asked, unasked = wanted.split(check_organisation(organisation))
        ids = identified(connection, mappings, wanted.agents) if wanted.agents else None
        facts = load_agents(connection, mappings, context, ids and {key for found in ids.values() for key in found})
        unknown_agents = tuple(text for text, found in (ids or {}).items() if not found)
        yield Validation(asked, _reports(facts, organisation, wanted), wanted, unasked, unknown_agents)


def _reports(agents: Iterator[AgentFacts], organisation: OrganisationFacts, wanted: Selection) -> Iterator[AgentReport]:
    for agent in agents:
        if wanted.countries and (agent.country is None or agent.country.code not in wanted.countries):
            continue
        report = check(agent, organisation)
        if wanted.codes:
            asked, unasked = wanted.split(report.findings)
            report = replace(report, findings=asked, unasked=unasked)
        yield report


def check_all(
    directory: Database, mappings: Mappings, context: ValidationContext | None = None
) -> Iterator[AgentReport]:
    """Every prerequisite of every agent that the directory knows, by name."""
    with validate(directory, mappings, context or ValidationContext(SystemClock().now())) as run:
        yield from run.agents
