"""API tokens may be bound to the sites of which they report leavers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_12_05_token_sites"
down_revision = "2026_12_04_brake_channels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("sites", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("api_tokens", "sites")
