"""Whom to tell: the agent's Emergency Call Notifications field."""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts
from connector.prerequisites.findings import Finding, error, warning

_WHERE = "admin center > User management > Users > Omnichannel > Emergency Call Notifications: "


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields at most two findings."""
    if not agent.recipients.valid:
        yield error(
            "recipients.none",
            "nobody is told of the agent's emergency call but the organisation's fallback recipients",
            _WHERE + "enter addresses, separated by semicolons",
            f"{len(agent.recipients.invalid)} entries, 0 valid addresses",
        )
    if agent.recipients.invalid:
        yield warning(
            "recipients.invalid",
            "entries that are no e-mail address get no message",
            _WHERE + "correct them",
            f"{len(agent.recipients.invalid)} of {len(agent.recipients.invalid) + len(agent.recipients.valid)} entries",
        )
