"""A brake counts what one of our people reports by itself; dismissals are refused by two."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_04_brake_channels"
down_revision = "2026_12_04_called_off"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What older code stores has no reporter: it counts together, as before.
    op.add_column("inbox", sa.Column("reporter", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "brakes", sa.Column("counts_on", sa.Boolean(), server_default="false", nullable=False)
    )
    op.add_column("held_events", sa.Column("refusal", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("held_events", "refusal")
    op.drop_column("brakes", "counts_on")
    op.drop_column("inbox", "reporter")
