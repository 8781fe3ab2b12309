"""A callback number for the agent's country is in the pool, so that responders can call back past every queue."""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts, OrganisationFacts
from connector.prerequisites.findings import Finding, error, warning

_BUY = "Azure portal > Communication Service > Phone numbers: buy a number with inbound calling in the agent's country"


def check(agent: AgentFacts, facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields at most one finding; none where the callback number is left to Dynamics."""
    if facts.pool is None or agent.country is None or "callback_number" in facts.left_to_dynamics:
        return
    sizes = [facts.pool.get(country, (0, 0)) for country in agent.country.callback_from]
    total, free = sum(size for size, _ in sizes), sum(left for _, left in sizes)
    where = " or ".join(agent.country.callback_from)
    if total == 0:
        yield error(
            "pool.empty",
            "no callback number is kept for the agent's country",
            _BUY + " that Dynamics does not use",
            f"0 callback numbers for {where}",
        )
    elif free == 0:
        yield warning(
            "pool.all_taken",
            "all callback numbers of the agent's country are taken now",
            _BUY + " if this happens often",
            f"0 of {total} callback numbers free for {where}",
        )
