"""The directory's tables, made by its migrations, are those that the code knows; on both engines."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from connector.store import directory_schema
from connector.store.database import Database


def test_migrations_make_the_tables_of_the_schema(store_url: str) -> None:
    database = Database(store_url, directory_schema.metadata, "directory")
    database.migrate()
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": database.version_table})
        assert compare_metadata(context, directory_schema.metadata) == []
    database.close()
