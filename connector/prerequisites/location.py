"""P2: the browser's location is on, in a supported country.

Dataverse holds nothing about the browser, so what can be seen from here is the country of the agent's number and
address; whether the browser tells a location stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts
from connector.prerequisites.findings import Finding, error, unknown


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields one finding."""
    if agent.country is None:
        yield error(
            "location.country_unsupported",
            "is in no country where emergency calls are supported",
            "correct the country of the agent's number or address, or agree another way to call for help",
            agent.country_told or "no country given",
        )
    else:
        yield unknown(
            "location.not_attested",
            "browser location cannot be seen from here",
            "let the agent allow location for Dynamics in the browser",
            f"country {agent.country.code}",
        )
