"""Alembic's entry: see `run.py`."""

from connector.store.migrations.run import run

run()
