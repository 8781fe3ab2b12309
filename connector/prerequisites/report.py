"""Runs every check on every agent, and on the organisation once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from connector.clock import SystemClock
from connector.mappings import Mappings
from connector.prerequisites import (
    callback,
    capacity_profile,
    local_copy,
    location,
    mailbox,
    number,
    own_settings,
    recipients,
    template,
    webhook,
)
from connector.prerequisites.facts import AgentFacts, Circumstances, OrganisationFacts
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.load.agents import agents as load_agents
from connector.prerequisites.load.organisation import organisation as load_organisation
from connector.store.database import Database


@dataclass(frozen=True)
class AgentReport:
    """One agent and what was found. Ready: nothing is wrong, though something may be unknown or worth a look."""

    agent_id: str
    name: str
    country: str | None
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True)
class Selection:
    """Which agents and findings are wanted; what is empty limits nothing.

    `agents`: ids, e-mail addresses or names. `countries`: codes. `codes`: of findings, or the part before the dot.
    """

    agents: Collection[str] = ()
    countries: Collection[str] = ()
    codes: Collection[str] = ()

    def takes(self, finding: Finding) -> bool:
        return not self.codes or finding.code in self.codes or finding.code.partition(".")[0] in self.codes


EVERYTHING = Selection()


@dataclass(frozen=True)
class Validation:
    """A run: what concerns everybody, and the agents one after the other (read once, while the directory is open)."""

    organisation: tuple[Finding, ...]
    agents: Iterator[AgentReport]
    wanted: Selection = EVERYTHING


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
    return AgentReport(agent.id, agent.name, agent.country.code if agent.country else None, tuple(findings))


def check_organisation(organisation: OrganisationFacts) -> tuple[Finding, ...]:
    """What concerns every agent alike, each thing once."""
    checks = (local_copy, webhook, own_settings, template)
    return tuple(finding for module in checks for finding in module.check_organisation(organisation))


@contextmanager
def validate(
    directory: Database, mappings: Mappings, around: Circumstances, wanted: Selection = EVERYTHING
) -> Iterator[Validation]:
    """A validation of what the directory knows, on one snapshot of it.

    Raises RetryLater where the directory cannot be read.
    """
    with directory.read() as connection:
        organisation = load_organisation(connection, mappings, around)
        found = tuple(finding for finding in check_organisation(organisation) if wanted.takes(finding))
        facts = load_agents(connection, mappings, around, wanted.agents)
        yield Validation(found, _reports(facts, organisation, wanted), wanted)


def _reports(agents: Iterator[AgentFacts], organisation: OrganisationFacts, wanted: Selection) -> Iterator[AgentReport]:
    for agent in agents:
        if wanted.countries and (agent.country is None or agent.country.code not in wanted.countries):
            continue
        report = check(agent, organisation)
        if wanted.codes:
            taken = tuple(finding for finding in report.findings if wanted.takes(finding))
            report = AgentReport(report.agent_id, report.name, report.country, taken)
        yield report


def check_all(directory: Database, mappings: Mappings, around: Circumstances | None = None) -> Iterator[AgentReport]:
    """Every prerequisite of every agent that the directory knows, by name."""
    with validate(directory, mappings, around or Circumstances(SystemClock().now())) as run:
        yield from run.agents
