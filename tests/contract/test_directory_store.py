"""The directory's tables, made by its migrations, are those that the code knows; on both engines."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from connector.errors import RetryLater, SettingsError
from connector.store import database, directory_schema
from connector.store.database import Database


def test_migrations_make_the_tables_of_the_schema(store_url: str) -> None:
    made = Database(store_url, directory_schema.metadata, "directory")
    assert made.version() is None
    made.migrate()
    assert made.version() == database.newest("directory")
    with made.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": made.version_table})
        assert compare_metadata(context, directory_schema.metadata) == []
    made.close()


def opened(file: Path) -> Database:
    return Database(f"sqlite:///{file}", directory_schema.metadata, "directory")


def test_a_file_is_its_owners_only(tmp_path: Path) -> None:
    file = tmp_path / "directory.db"
    opened(file).migrate()
    assert {stat.S_IMODE(made.stat().st_mode) for made in tmp_path.iterdir()} == {0o600}


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "directory.db"
    file.write_text("no database at all, but long enough to be read as a page of one" * 100)
    with pytest.raises(SettingsError, match=f"{file} is no database or is damaged.*move it away and sync"):
        opened(file).migrate()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetryLater, match=f"unable to open database file: {tmp_path}/nowhere/directory.db"):
        opened(tmp_path / "nowhere" / "directory.db").migrate()


@pytest.mark.parametrize("kind", ["calls", "directory"])
def test_the_newest_revision_is_the_one_that_alembic_finds(kind: str) -> None:
    folder = Path(database.__file__).parent / "migrations" / kind
    assert database.newest(kind) == ScriptDirectory(str(folder)).get_current_head()


def test_changes_that_an_earlier_version_kept_get_their_new_names(store_url: str) -> None:
    database = Database(store_url, directory_schema.metadata, "directory")
    database.migrate(to="0005")
    columns = "(run_id, agent_id, code, what)"
    with database.write() as connection:
        for agent_id, what in (("a", "broke"), ("b", "mended")):
            values = f"('run', '{agent_id}', 'number.none', '{what}')"
            connection.exec_driver_sql(f"insert into validation_changes {columns} values {values}")
    database.migrate()
    with database.read() as connection:
        kept = connection.exec_driver_sql("select agent_id, what from validation_changes order by agent_id").all()
    assert [tuple(row) for row in kept] == [("a", "new"), ("b", "resolved")]
    database.close()
