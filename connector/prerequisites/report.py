"""Runs every check on every agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connector.mappings import Mappings
from connector.prerequisites import capacity_profile, load, location, mailbox, number, recipients
from connector.prerequisites.facts import AcsFacts, AgentFacts
from connector.prerequisites.findings import Finding, Severity
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


def check(agent: AgentFacts, acs: AcsFacts) -> AgentReport:
    """Every prerequisite of one agent."""
    findings: Iterable[Finding] = (
        *capacity_profile.check(agent),
        *location.check(agent),
        *mailbox.check(agent),
        *number.check(agent, acs),
        *recipients.check(agent),
    )
    return AgentReport(agent.id, agent.name, agent.country.code if agent.country else None, tuple(findings))


def check_all(directory: Database, mappings: Mappings) -> Iterator[AgentReport]:
    """Every prerequisite of every agent that the directory knows, by name."""
    with directory.read() as connection:
        acs = load.acs_facts(connection)
        for agent in load.agents(connection, mappings):
            yield check(agent, acs)
