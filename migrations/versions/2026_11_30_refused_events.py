"""Refused events are found without a look at all the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_refused_events"
down_revision = "2026_11_30_whose_case"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_inbox_refused",
        "inbox",
        ["received_at"],
        postgresql_where=sa.text("state = 'refused' and brake_id is null"),
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_refused", table_name="inbox")
