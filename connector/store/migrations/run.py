"""What both folders of migrations run in their `env.py`: everything in one transaction."""

from __future__ import annotations

from alembic import context

from connector.store.database import Database


def run() -> None:
    """Runs the migrations of the database that called for them."""
    database: Database = context.config.attributes["database"]
    with database.engine.connect() as connection, connection.begin():
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            version_table=database.version_table,
            transactional_ddl=True,
        )
        context.run_migrations()
