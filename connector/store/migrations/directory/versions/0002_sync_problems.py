"""What a sync remembers of each table: the columns it read, whether changes are tracked, and what is wrong.

Indexes that made storing slow and that no query uses are dropped.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MIRRORED = (
    "agents",
    "agent_statuses",
    "presences",
    "mailboxes",
    "resources",
    "resource_profiles",
    "capacity_profiles",
    "work_stream_profiles",
    "work_streams",
    "voice_channels",
    "phone_numbers",
    "templates",
)


def upgrade() -> None:
    """Adds the columns, drops the indexes."""
    op.add_column("sync_progress", sa.Column("selected", sa.Text(), nullable=True))
    op.add_column("sync_progress", sa.Column("tracked", sa.Boolean(), nullable=True))
    op.add_column("sync_progress", sa.Column("problems", sa.JSON(), nullable=True))
    for table in _MIRRORED:
        op.drop_index(op.f(f"ix_{table}_generation"), table_name=table)
    for column in ("mailbox_id", "phone_number_id"):
        op.drop_index(op.f(f"ix_agents_{column}"), table_name="agents")
