"""Which full reads of a table may not have been shown every row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.add_column("sync_progress", sa.Column("restricted_since", sa.Integer(), nullable=True))
