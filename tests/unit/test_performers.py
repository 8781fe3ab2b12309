"""Every kind of effect has one performer, and a process without one does not start."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from connector.calls.effects import KINDS, Notify
from connector.effects import performers, timers
from connector.effects.performers import AllPerformers
from connector.effects.services import Performer

SERVICES: Any = None
"""Nothing is performed here."""


def test_every_kind_has_a_performer() -> None:
    assert set(performers._found(SERVICES)) == set(KINDS.values())


def test_a_kind_that_nobody_performs_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(timers, "performers")
    with pytest.raises(TypeError, match=r"performs (CloseWindow, GuardCall|GuardCall, CloseWindow)"):
        AllPerformers(SERVICES)


def test_a_kind_that_two_perform_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy: ModuleType = timers
    monkeypatch.setattr(greedy, "performers", lambda _services: {Notify: Performer(lambda _claim: None)})
    with pytest.raises(TypeError, match="Notify has two performers"):
        AllPerformers(SERVICES)
