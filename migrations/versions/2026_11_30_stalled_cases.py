"""Cases whose workflow cannot go on, as workers last saw them.

New tables only: code that does not know them leaves them empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_stalled_cases"
down_revision = "2026_11_30_refused_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stalled_cases",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_stalled_cases")),
    )
    op.create_table(
        "task_looks",
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("about", name=op.f("pk_task_looks")),
    )
    op.execute("grant select, insert, update, delete on stalled_cases, task_looks to lockstep_app")


def downgrade() -> None:
    op.drop_table("task_looks")
    op.drop_table("stalled_cases")
