"""Facts of cases that were called off are found without reading all: a clock runs on from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_04_called_off"
down_revision = "2026_12_03_levers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_case_facts_called_off",
        "case_facts",
        ["case_id"],
        postgresql_where=sa.text("(document ->> 'called_off_at') is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_case_facts_called_off", table_name="case_facts")
