"""Validations of everybody, and what changed between two: who newly lacks something, and who is mended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Standing = Mapping[str, frozenset[str]]
"""By agent: the codes of what is wrong. Agents who are ready are not in it."""


@dataclass(frozen=True)
class Run:
    """A validation of everybody. `first`: there was none before it to compare with."""

    id: str
    at: datetime
    agents: int
    ready: int
    first: bool


@dataclass(frozen=True, order=True)
class Change:
    """One code that an agent newly has ("broke"), or no longer has ("mended")."""

    agent_id: str
    code: str
    what: Literal["broke", "mended"]


def compare(before: Standing, now: Standing) -> list[Change]:
    """Every change, agent by agent."""
    nothing: frozenset[str] = frozenset()
    changes = []
    for agent_id in before.keys() | now.keys():
        then, today = before.get(agent_id, nothing), now.get(agent_id, nothing)
        changes += [Change(agent_id, code, "broke") for code in today - then]
        changes += [Change(agent_id, code, "mended") for code in then - today]
    return sorted(changes)
