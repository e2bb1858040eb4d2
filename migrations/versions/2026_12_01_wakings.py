"""Revocations that are woken when a system's trouble is over, and systems that hold up many.

New tables only: code that does not know them leaves them empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_wakings"
down_revision = "2026_12_01_events_in_part"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "wakings",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("waking_id", sa.Text(), nullable=False),
        sa.Column("recovery", sa.Text(), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("not_before", instant, nullable=False),
        sa.Column("times", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rested_at", instant),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("taken_at", instant),
        sa.Column("leased_until", instant),
        sa.PrimaryKeyConstraint("case_id", "system", name=op.f("pk_wakings")),
    )
    op.create_index(
        "ix_wakings_waits",
        "wakings",
        ["system", "not_before"],
        postgresql_where=sa.text("state = 'waits'"),
    )
    op.create_index("ix_wakings_taken_at", "wakings", ["system", "taken_at"])
    op.create_table(
        "outages",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_outages")),
    )
    op.execute("grant select, insert, update, delete on wakings, outages to lockstep_app")


def downgrade() -> None:
    op.drop_table("outages")
    op.drop_table("wakings")
