"""Numbered migrations of the calls and of the directory, run by Alembic."""
