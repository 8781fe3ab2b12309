"""What agents' browsers say of their location."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "location_checks",
        sa.Column("agent_id", sa.String(length=36), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("permission", sa.String(length=10), nullable=False),
        sa.Column("accuracy", sa.String(length=12), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.PrimaryKeyConstraint("agent_id"),
    )
    op.create_index(op.f("ix_location_checks_at"), "location_checks", ["at"], unique=False)
