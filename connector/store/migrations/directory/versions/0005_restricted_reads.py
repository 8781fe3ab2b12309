"""Which full reads of a table may not have been shown every row, and when the one under way began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("sync_progress", sa.Column("restricted_since", sa.Integer(), nullable=True))
    op.add_column("sync_progress", sa.Column("began_at", UtcTime(), nullable=True))
