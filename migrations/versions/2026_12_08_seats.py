"""How many seats that cost money a settled system was read back as having freed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_08_seats"
down_revision = "2026_12_07_paces"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revocations", sa.Column("seats", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("revocations", "seats")
