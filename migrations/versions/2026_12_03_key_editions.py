"""With which edition of the leaver's keys each system was searched.

New columns with a constant default: code that does not know them leaves a search as of edition 0,
and a case whose keys grew meanwhile is searched once more before it closes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_03_key_editions"
down_revision = "2026_12_02_refused_later"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("cases", "revocations"):
        op.add_column(
            table, sa.Column("key_edition", sa.Integer(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    for table in ("revocations", "cases"):
        op.drop_column(table, "key_edition")
