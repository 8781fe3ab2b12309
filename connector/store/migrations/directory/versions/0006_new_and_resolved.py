"""Changes between validations are called what people call them: new and resolved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Renames the values, for which the column was too short."""
    with op.batch_alter_table("validation_changes") as table:
        table.alter_column(
            "what", type_=sa.String(length=10), existing_type=sa.String(length=6), existing_nullable=False
        )
    op.execute("update validation_changes set what = case what when 'broke' then 'new' else 'resolved' end")
