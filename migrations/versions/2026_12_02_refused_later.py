"""Events that a brake let go, and that were refused later, are found like all refused ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_02_refused_later"
down_revision = "2026_12_01_lost_workflows"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_inbox_refused_later",
        "inbox",
        ["received_at"],
        postgresql_where=sa.text("state = 'refused' and brake_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_refused_later", table_name="inbox")
