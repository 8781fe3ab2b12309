"""Finds the one who performs an effect: each module of this room names the kinds that it performs."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from connector import effects
from connector.calls.effects import KINDS
from connector.effects.services import Performer, Services
from connector.engine.outbox import AnyClaim, Recorded


class AllPerformers:
    """Performs a claimed effect, whatever its kind."""

    def __init__(self, services: Services) -> None:
        """Raises TypeError where a kind has no performer, or two: that must not show when it is needed."""
        self._performers = _found(services)

    def __call__(self, claim: AnyClaim) -> Recorded | None:
        return self._performers[type(claim.effect)].perform(claim)

    def last_look(self, claim: AnyClaim) -> Recorded | None:
        """What may still be found of an effect whose time is over. Raises GivenUp."""
        return self._performers[type(claim.effect)].last_look(claim)


def _found(services: Services) -> dict[type, Performer]:
    found: dict[type, Performer] = {}
    for module in pkgutil.iter_modules(effects.__path__, f"{effects.__name__}."):
        performers = getattr(import_module(module.name), "performers", None)
        for kind, performer in (performers(services) if performers else {}).items():
            if kind in found:
                raise TypeError(f"{kind.__name__} has two performers")
            found[kind] = performer
    if missing := set(KINDS.values()) - found.keys():
        raise TypeError(f"no module of connector/effects/ performs {', '.join(kind.__name__ for kind in missing)}")
    return found
