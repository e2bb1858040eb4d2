"""The keyring that fits a database leaves a mark there.

A new table only: code that does not know it leaves it empty, and the next that does fills it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_keyring_mark"
down_revision = "2026_12_01_unheard_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keyring_mark",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("found_by", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_keyring_mark_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyring_mark")),
    )
    op.execute("grant select, insert on keyring_mark to lockstep_app")


def downgrade() -> None:
    op.drop_table("keyring_mark")
