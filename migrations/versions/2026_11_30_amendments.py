"""When an amendment made a case a dismissal, for the brake's count of dismissals.

A new column that is empty everywhere: code that does not know it leaves it so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_amendments"
down_revision = "2026_11_23_console"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_cases_dismissed_at",
        "cases",
        ["dismissed_at"],
        unique=False,
        postgresql_where=sa.text("dismissed_at is not null"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_cases_dismissed_at",
        table_name="cases",
        postgresql_where=sa.text("dismissed_at is not null"),
    )
    op.drop_column("cases", "dismissed_at")
