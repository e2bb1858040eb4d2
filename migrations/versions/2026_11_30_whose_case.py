"""Whose case: the source whose number the worker's id is, and which employment of a spell.

``spell_index`` alone no longer names a spell: two sources may use one number for two people. It
stays for the release before, which finds and inserts by it; a trigger keeps it unique among live
cases, and completes the rows of that release. Both go with the next release. A step down forgets
which of two sources' cases is whose: the later one is then found by nobody's next word.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_whose_case"
down_revision = "2026_11_30_amendments"
branch_labels = None
depends_on = None

_COMPLETE = """
create function complete_case_identity() returns trigger language plpgsql as $$
begin
  if new.numbered_by = '' then
    new.numbered_by := new.source;
  end if;
  if new.identity_index = ''::bytea then
    new.identity_index := new.spell_index;
  end if;
  if exists (
    select from cases c
     where c.spell_index = new.spell_index and c.status <> 'rescinded'
       and (c.numbered_by, c.employment) <> (new.numbered_by, new.employment)
  ) then
    new.spell_index := sha256(convert_to(new.case_id, 'UTF8') || new.spell_index);
  end if;
  return new;
end
$$
"""


def upgrade() -> None:
    op.add_column("cases", sa.Column("numbered_by", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "cases",
        sa.Column("identity_index", sa.LargeBinary(), server_default=sa.text("''"), nullable=False),
    )
    op.add_column(
        "cases", sa.Column("employment", sa.Integer(), server_default="1", nullable=False)
    )
    op.add_column("cases", sa.Column("unwatched_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("update cases set numbered_by = source, identity_index = spell_index")
    op.create_index(
        "uq_cases_identity_live",
        "cases",
        ["identity_index", "numbered_by", "employment"],
        unique=True,
        postgresql_where=sa.text("status <> 'rescinded'"),
    )
    op.create_index("ix_cases_identity_index", "cases", ["identity_index", "opened_at"])
    op.create_index(
        "ix_inbox_case_id",
        "inbox",
        ["case_id"],
        postgresql_where=sa.text("case_id is not null"),
    )
    op.execute(_COMPLETE)
    op.execute(
        """
        create trigger cases_identity before insert on cases
          for each row execute function complete_case_identity()
        """
    )


def downgrade() -> None:
    op.execute("drop trigger cases_identity on cases")
    op.execute("drop function complete_case_identity()")
    op.drop_index("ix_inbox_case_id", table_name="inbox")
    op.drop_index("ix_cases_identity_index", table_name="cases")
    op.drop_index("uq_cases_identity_live", table_name="cases")
    for column in ("unwatched_at", "employment", "identity_index", "numbered_by"):
        op.drop_column("cases", column)
