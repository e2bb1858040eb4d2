"""A residual that nobody has stated is unknown, not a bound."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_unknown_residual"
down_revision = "2026_11_30_whose_account"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "revocations",
        sa.Column("residual_unknown", sa.Boolean(), server_default="false", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("revocations", "residual_unknown")
