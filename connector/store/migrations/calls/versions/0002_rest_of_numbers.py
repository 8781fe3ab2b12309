"""The number that was leased longest ago is found by an index, however large the pool is."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from connector.store.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Gives numbers that were never leased a time long ago, and makes the index."""
    pool = sa.table("pool_numbers", sa.column("last_leased_at", UtcTime))
    never = datetime(1970, 1, 1, tzinfo=UTC)
    op.execute(pool.update().where(pool.c.last_leased_at.is_(None)).values(last_leased_at=never))
    with op.batch_alter_table("pool_numbers") as table:
        table.alter_column("last_leased_at", existing_type=UtcTime(), nullable=False)
    op.create_index("pool_numbers_rest", "pool_numbers", ["country", "last_leased_at", "number"])
