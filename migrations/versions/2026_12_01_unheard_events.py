"""What an event that waits in the inbox is about, so that a case that begins can find it.

A new column that is empty in old rows, and in those of code that does not know it: they are read
when the first case asks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_unheard_events"
down_revision = "2026_12_01_wakings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("identity_index", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_inbox_identity_index",
        "inbox",
        ["identity_index"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_inbox_identity_index",
        table_name="inbox",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_column("inbox", "identity_index")
