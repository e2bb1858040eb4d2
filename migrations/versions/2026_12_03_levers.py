"""Pauses hold the cases of their partners, and dismissals when a second person has agreed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_12_03_levers"
down_revision = "2026_12_03_key_editions"
branch_labels = None
depends_on = None

_OPEN = "ended_at is null"


def upgrade() -> None:
    # Code that knows nothing of these writes pauses of every partner, as before.
    for name in ("partners", "spares"):
        op.add_column(
            "pauses",
            sa.Column(name, postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        )
    op.add_column("pauses", sa.Column("agreed_by", sa.Text(), nullable=True))
    op.add_column("pauses", sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("uq_pauses_open", table_name="pauses", postgresql_where=sa.text(_OPEN))
    op.create_index(
        "uq_pauses_open_partners",
        "pauses",
        ["system", "partners"],
        unique=True,
        postgresql_where=sa.text(_OPEN),
    )


def downgrade() -> None:
    # The code before this would hold everybody by them: access ends rather sooner than later.
    op.execute(
        "update pauses set ended_at = now() where ended_at is null"
        " and (partners <> '{}' or spares <> '{}')"
    )
    op.drop_index("uq_pauses_open_partners", table_name="pauses", postgresql_where=sa.text(_OPEN))
    op.create_index(
        "uq_pauses_open", "pauses", ["system"], unique=True, postgresql_where=sa.text(_OPEN)
    )
    for name in ("agreed_at", "agreed_by", "spares", "partners"):
        op.drop_column("pauses", name)
