"""Rows of Dataverse are stored alike by both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from connector import mappings
from connector.dataverse import pages
from connector.directory import rows
from connector.errors import BadData
from connector.store import directory_schema
from connector.store.database import Database
from connector.store.directory_schema import agents, presences

TABLES = mappings.load().tables
AGENTS, PRESENCES = TABLES["agents"], TABLES["presences"]


def an_id(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012x}"


@pytest.fixture
def directory(store_url: str) -> Iterator[Database]:
    database = Database(store_url, directory_schema.metadata, "directory")
    database.migrate()
    yield database
    database.close()


def store(directory: Database, plain: list[dict[str, Any]], *, generation: int = 1, mapping: Any = PRESENCES) -> None:
    batch = rows.batch(mapping, pages.rows(plain, mapping.selected), generation)
    with directory.write() as connection:
        rows.store(connection, batch)


def stored(directory: Database) -> list[tuple[Any, ...]]:
    wanted = select(presences.c.id, presences.c.name, presences.c.base_status, presences.c.generation)
    with directory.read() as connection:
        return [tuple(row) for row in connection.execute(wanted.order_by(presences.c.id))]


def presence(number: int, name: str | None = None, status: Any = 192360000) -> dict[str, Any]:
    columns = (an_id(number), name, status)
    return dict(zip((PRESENCES.id, *PRESENCES.columns.values()), columns, strict=True))


@pytest.mark.parametrize("many", [0, 1, rows.AT_ONCE - 1, rows.AT_ONCE, 2 * rows.AT_ONCE + 1])
def test_every_row_of_a_page_is_stored_whatever_its_size(directory: Database, many: int) -> None:
    store(directory, [presence(number, "Away") for number in range(many)])
    store(directory, [presence(number, "Back") for number in range(many)])
    assert stored(directory) == [(an_id(number), "Back", 192360000, 1) for number in range(many)]


def test_the_last_of_two_alike_counts(directory: Database) -> None:
    store(directory, [presence(1, "first"), presence(2, "other"), presence(1, "last")])
    assert [name for _, name, _, _ in stored(directory)] == ["last", "other"]


def test_ids_are_kept_in_lower_case_whichever_way_they_come(directory: Database) -> None:
    row = presence(0xABCDEF, "Away")
    store(directory, [row])
    store(directory, [{**row, PRESENCES.id: an_id(0xABCDEF).upper()}], generation=2)
    assert stored(directory) == [(an_id(0xABCDEF), "Away", 192360000, 2)]


def test_an_older_read_makes_no_row_look_unseen(directory: Database) -> None:
    store(directory, [presence(1, "seen")], generation=2)
    store(directory, [presence(1, "looked up")], generation=0)
    assert stored(directory) == [(an_id(1), "looked up", 192360000, 2)]


def test_a_row_without_an_id_is_bad_data(directory: Database) -> None:
    with pytest.raises(BadData, match="without its id"):
        store(directory, [presence(1), {}])
    assert stored(directory) == []


def test_a_value_that_does_not_fit_is_bad_data(directory: Database) -> None:
    with pytest.raises(BadData, match="presences") as raised:
        store(directory, [presence(1), presence(2, status=2**70)])
    assert str(2**70) not in str(raised.value)
    assert stored(directory) == []


def test_attributes_are_kept_as_they_are_named(directory: Database) -> None:
    plain = {AGENTS.id: an_id(1), **dict.fromkeys(AGENTS.attributes), "fullname": 'Robin "R" Ø', "title": "\n"}
    store(directory, [plain], mapping=AGENTS)
    with directory.read() as connection:
        assert connection.execute(select(agents.c.attributes)).scalar_one() == {
            name: plain[name] for name in AGENTS.attributes
        }
    store(directory, [plain], mapping=replace(AGENTS, attributes=("title",)))
    with directory.read() as connection:
        assert connection.execute(select(agents.c.attributes)).scalar_one() == {"title": "\n"}


def test_a_column_that_went_missing_is_emptied(directory: Database) -> None:
    store(directory, [presence(1, "Away")])
    store(directory, [presence(1, "Away")], mapping=replace(PRESENCES, columns={}))
    assert stored(directory) == [(an_id(1), None, None, 1)]


@pytest.mark.parametrize("mapping", TABLES.values(), ids=TABLES)
def test_a_statement_stays_below_the_parameters_that_sqlite_takes(mapping: Any) -> None:
    assert rows.AT_ONCE * (len(mapping.columns) + 3) <= 32_766
