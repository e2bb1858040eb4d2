"""Whose account it is: candidates, what people picked, and since when nobody signs in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_whose_account"
down_revision = "2026_11_30_stalled_cases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revocations", sa.Column("contained_at", sa.DateTime(timezone=True)))
    op.add_column("revocations", sa.Column("candidates", sa.LargeBinary()))
    op.add_column("revocations", sa.Column("picks", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("revocations", "picks")
    op.drop_column("revocations", "candidates")
    op.drop_column("revocations", "contained_at")
