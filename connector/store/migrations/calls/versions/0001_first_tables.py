"""The first tables of the calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "effects",
        sa.Column("position", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("call_id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("lane", sa.String(length=100), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("run_at", UtcTime(), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=36), nullable=True),
        sa.Column("claimed_until", UtcTime(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("effects_due", "effects", ["status", "run_at"], unique=False)
    op.create_index("effects_lane", "effects", ["lane", "status", "position"], unique=False)
    op.create_index(op.f("ix_effects_agent_id"), "effects", ["agent_id"], unique=False)
    op.create_index(op.f("ix_effects_call_id"), "effects", ["call_id"], unique=False)
    op.create_table(
        "emergencies",
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.Column("window_ends_at", UtcTime(), nullable=True),
        sa.Column("prior_presence_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("agent_id"),
    )
    op.create_table(
        "pool_numbers",
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("last_leased_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "seen",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_seen_seen_at"), "seen", ["seen_at"], unique=False)
    op.create_table(
        "calls",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("dialled", sa.String(length=32), nullable=True),
        sa.Column("country", sa.String(length=80), nullable=True),
        sa.Column("location", sa.String(length=2000), nullable=True),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("agent_identity", sa.String(length=300), nullable=True),
        sa.Column("platform_number", sa.String(length=32), nullable=True),
        sa.Column("dialled_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("end_cause", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["emergencies.agent_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_calls_agent_id"), "calls", ["agent_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("agent_id", sa.String(length=80), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("taken_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["emergencies.agent_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index(op.f("ix_leases_agent_id"), "leases", ["agent_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("call_id", sa.String(length=36), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("accepted_at", UtcTime(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("undelivered", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("operation_id"),
    )
    op.create_index(op.f("ix_messages_call_id"), "messages", ["call_id"], unique=False)
