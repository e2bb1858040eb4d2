"""Events that were carried out in part are found without a look at all the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_events_in_part"
down_revision = "2026_11_30_unknown_residual"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_inbox_in_part",
        "inbox",
        ["received_at"],
        postgresql_where=sa.text("state = 'done' and error is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_in_part", table_name="inbox")
