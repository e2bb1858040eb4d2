"""One pace for each vendor credential, leased by all processes in small blocks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_12_07_paces"
down_revision = "2026_12_06_facts_mark"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "paces",
        sa.Column("budget", sa.Text, primary_key=True),
        sa.Column("state", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("askers", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("told", postgresql.JSONB),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.Column("given", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refused", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("refused_at", sa.DateTime(timezone=True)),
    )
    op.execute("grant select, insert, update on paces to lockstep_app")


def downgrade() -> None:
    op.drop_table("paces")
