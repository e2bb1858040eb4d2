"""What workers last saw of the clocks.

A new table only: code that does not know it leaves it empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_05_clocks"
down_revision = "2026_12_05_token_sites"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clock_looks",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("skew_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_clock_looks")),
    )
    op.execute("grant select, insert, update, delete on clock_looks to lockstep_app")


def downgrade() -> None:
    op.drop_table("clock_looks")
