"""What the comparison of cases with workflows found.

A new table only: code that does not know it leaves it empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_lost_workflows"
down_revision = "2026_12_01_keyring_mark"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "lost_workflows",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("loss", sa.Text(), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.Column("restarts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_until", instant),
        sa.Column("restarted_at", instant),
        sa.PrimaryKeyConstraint("workflow_id", name=op.f("pk_lost_workflows")),
    )
    op.create_index("ix_lost_workflows_since", "lost_workflows", ["since"])
    op.execute("grant select, insert, update, delete on lost_workflows to lockstep_app")


def downgrade() -> None:
    op.drop_table("lost_workflows")
