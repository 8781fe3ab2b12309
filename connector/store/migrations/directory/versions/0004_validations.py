"""What the last validation found, and what has changed since the one before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "validation_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("agents", sa.Integer(), nullable=False),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_validation_runs_at", "validation_runs", ["at"])
    op.create_table(
        "validation_standing",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "code"),
    )
    op.create_table(
        "validation_changes",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("what", sa.String(length=6), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "agent_id", "code"),
    )
