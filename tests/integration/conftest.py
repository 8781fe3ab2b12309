"""A sandbox for each file of tests, a fresh connector for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.sandbox import Sandbox
from tests.integration.stage import Stage, staged


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(agents=80) as running:
        yield running


@pytest.fixture
def stage(sandbox: Sandbox, tmp_path: Path) -> Iterator[Stage]:
    with staged(sandbox, tmp_path) as made:
        yield made
