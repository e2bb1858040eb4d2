"""What the sequencer has written of the cases' facts is marked, so that another's hand shows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_06_facts_mark"
down_revision = "2026_12_05_clocks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facts_mark",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("fold", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("proved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("differed_at", sa.DateTime(timezone=True)),
        sa.Column("differed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.execute("grant select, insert, update on facts_mark to lockstep_app")


def downgrade() -> None:
    op.drop_table("facts_mark")
