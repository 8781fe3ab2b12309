"""What changed between two validations of everybody: findings that are new, and findings that are resolved. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EVERYBODY = "*"
"""Stands among the agents for what concerns them all. No agent's id, and before each of them in every order."""

Standing = Mapping[str, frozenset[str]]
"""By agent, and for everybody: the codes of what is wrong."""


@dataclass(frozen=True)
class Run:
    """A validation of everybody. `first`: nobody was told of one before, so there is nothing to compare with.

    `told`: the administrators were told of it, or there was nothing to tell.
    """

    id: str
    at: datetime
    agents: int
    ready: int
    first: bool
    told: bool = False


@dataclass(frozen=True, order=True)
class Change:
    """One code that an agent newly has, or no longer has."""

    agent_id: str
    code: str
    what: Literal["new", "resolved"]


def compare(before: Standing, now: Standing) -> list[Change]:
    """Every change of the agents in `now`. Agents who were removed are not reported as resolved."""
    nothing: frozenset[str] = frozenset()
    changes = []
    for agent_id, today in now.items():
        then = before.get(agent_id, nothing)
        changes += [Change(agent_id, code, "new") for code in today - then]
        changes += [Change(agent_id, code, "resolved") for code in then - today]
    return sorted(changes)
