"""Evidence and score: the ledger's order and signed heads, anchors, exports, facts, holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_23_evidence"
down_revision = "2026_11_23"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("ledger_leaves", "checkpoints")
_GRANTS = (
    """
    grant select, insert on ledger_leaves, checkpoints, metric_reports, score_snapshots
      to lockstep_app
    """,
    """
    grant select, insert, update on anchorings, case_facts, deliveries, exports, holds
      to lockstep_app
    """,
    # Readings and messages are thinned out with time; the ledger is not.
    "grant delete on score_snapshots, deliveries to lockstep_app",
    *(
        f"""
        create trigger {table}_append_only
          before update or delete or truncate on {table}
          for each statement execute function refuse_ledger_change()
        """
        for table in _APPEND_ONLY
    ),
)


def upgrade() -> None:
    op.create_table(
        "case_facts",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("cutoff_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_facts")),
    )
    op.create_index("ix_case_facts_cutoff_at", "case_facts", ["cutoff_at"], unique=False)
    op.create_index(
        "ix_case_facts_open",
        "case_facts",
        ["cutoff_at"],
        unique=False,
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_entries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("all_entries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_exports")),
    )
    op.create_index("ix_exports_requested_at", "exports", ["requested_at"], unique=False)
    op.create_table(
        "ledger_leaves",
        sa.Column("leaf_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name=op.f("pk_ledger_leaves")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_ledger_leaves_entry_id")),
    )
    op.create_table(
        "metric_reports",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_metric_reports")),
    )
    op.create_index("ix_metric_reports_metric", "metric_reports", ["metric", "as_of"], unique=False)
    op.create_table(
        "score_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_snapshots")),
    )
    op.create_index("ix_score_snapshots_taken_at", "score_snapshots", ["taken_at"], unique=False)
    op.create_table(
        "anchorings",
        sa.Column("anchor", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["size"], ["checkpoints.size"], name=op.f("fk_anchorings_size")),
        sa.PrimaryKeyConstraint("anchor", "size", name=op.f("pk_anchorings")),
    )
    op.create_index(
        "ix_anchorings_due",
        "anchorings",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_holds_case_id")),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_case_id"), "holds", ["case_id"], unique=False)

    for statement in _GRANTS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("ix_holds_case_id"), table_name="holds")
    op.drop_table("holds")
    op.drop_index(
        "ix_anchorings_due", table_name="anchorings", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("anchorings")
    op.drop_index("ix_score_snapshots_taken_at", table_name="score_snapshots")
    op.drop_table("score_snapshots")
    op.drop_index("ix_metric_reports_metric", table_name="metric_reports")
    op.drop_table("metric_reports")
    op.drop_table("ledger_leaves")
    op.drop_index("ix_exports_requested_at", table_name="exports")
    op.drop_table("exports")
    op.drop_index(
        "ix_deliveries_due", table_name="deliveries", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("deliveries")
    op.drop_table("checkpoints")
    op.drop_index(
        "ix_case_facts_open", table_name="case_facts", postgresql_where=sa.text("is_open")
    )
    op.drop_index("ix_case_facts_cutoff_at", table_name="case_facts")
    op.drop_table("case_facts")
