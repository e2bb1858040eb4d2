"""The console: who signs in, what they ask and do, brakes, pauses, notices, keys of cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_23_console"
down_revision = "2026_11_23_evidence"
branch_labels = None
depends_on = None

_GRANTS = (
    """
    grant select, insert, update on users, sessions, sign_ins, api_tokens, barred_keys, requests,
      brakes, pauses, system_health, notices, assignments, held_events to lockstep_app
    """,
    "grant select, insert on artefacts, case_keys, saved_views to lockstep_app",
    # What was done stays; whether it could be carried out is learnt afterwards.
    "grant select, insert, update (state, slot) on acts to lockstep_app",
    # What has ended is thinned out with time; what is personal goes with the leaver.
    """
    grant delete on sessions, sign_ins, case_keys, barred_keys, artefacts, assignments,
      saved_views, notices, held_events to lockstep_app
    """,
)


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("permissions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("partners", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("key_indexes", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_table(
        "barred_keys",
        sa.Column("key_index", sa.LargeBinary(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("barred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key_index", name=op.f("pk_barred_keys")),
    )
    op.create_index("ix_barred_keys_case_id", "barred_keys", ["case_id"], unique=False)
    op.create_table(
        "brakes",
        sa.Column("brake_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("observed", sa.Integer(), nullable=False),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="on", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("brake_id", name=op.f("pk_brakes")),
    )
    op.create_index(
        "uq_brakes_on", "brakes", ["source"], unique=True, postgresql_where=sa.text("state = 'on'")
    )
    op.create_table(
        "held_events",
        sa.Column("inbox_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brake_id", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cutoff_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_indexes", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("actor_index", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["brake_id"], ["brakes.brake_id"], name=op.f("fk_held_events_brake_id")
        ),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_held_events_inbox_id")),
        sa.PrimaryKeyConstraint("inbox_id", name=op.f("pk_held_events")),
    )
    op.create_index(
        "ix_held_events_brake_id",
        "held_events",
        ["brake_id", "cutoff_at", "inbox_id"],
        unique=False,
    )
    op.create_index(
        "ix_revocations_settled",
        "revocations",
        ["confirmed_at"],
        unique=False,
        postgresql_where=sa.text("state = 'settled'"),
    )
    op.create_index(
        "ix_ledger_entries_trouble",
        "ledger_entries",
        ["system", "recorded_at"],
        unique=False,
        postgresql_where=sa.text("kind in ('revocation:fault', 'watch:look')"),
    )
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=True),
        sa.Column("system", sa.Text(), server_default="", nullable=False),
        sa.Column("partner", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("escalated_from", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notices")),
        sa.UniqueConstraint("fact", "route", name=op.f("uq_notices_fact_route")),
    )
    op.create_index(
        "ix_notices_due",
        "notices",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "pauses",
        sa.Column("pause_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pause_id", name=op.f("pk_pauses")),
    )
    op.create_index(
        "uq_pauses_open",
        "pauses",
        ["system"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_sign_ins")),
    )
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"], unique=False)
    op.create_table(
        "system_health",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("problems", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("limited_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("circuit_open_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_system_health")),
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("identity_index", sa.LargeBinary(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_users")),
        sa.UniqueConstraint("identity_index", name=op.f("uq_users_identity_index")),
    )
    op.create_table(
        "saved_views",
        sa.Column("view_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.user_id"], name=op.f("fk_saved_views_user_id")
        ),
        sa.PrimaryKeyConstraint("view_id", name=op.f("pk_saved_views")),
    )
    op.create_index(op.f("ix_saved_views_user_id"), "saved_views", ["user_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("provider_index", sa.LargeBinary(), nullable=True),
        sa.Column("key_indexes", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_provider_index", "sessions", ["provider_index"], unique=False)
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "acts",
        sa.Column("act_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("acted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="done", nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_acts_case_id")),
        sa.PrimaryKeyConstraint("act_id", name=op.f("pk_acts")),
        sa.UniqueConstraint("slot", name=op.f("uq_acts_slot")),
    )
    op.create_index(op.f("ix_acts_case_id"), "acts", ["case_id"], unique=False)
    op.create_table(
        "artefacts",
        sa.Column("artefact_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_artefacts_case_id")),
        sa.PrimaryKeyConstraint("artefact_id", name=op.f("pk_artefacts")),
    )
    op.create_index(op.f("ix_artefacts_case_id"), "artefacts", ["case_id"], unique=False)
    op.create_table(
        "assignments",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.case_id"], name=op.f("fk_assignments_case_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.user_id"], name=op.f("fk_assignments_user_id")
        ),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_assignments")),
    )
    op.create_table(
        "case_keys",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("key_index", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_case_keys_case_id")),
        sa.PrimaryKeyConstraint("case_id", "key_index", name=op.f("pk_case_keys")),
    )
    op.create_index("ix_case_keys_key_index", "case_keys", ["key_index"], unique=False)
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("artefact_id", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"], name=op.f("fk_requests_case_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_case_id"), "requests", ["case_id"], unique=False)
    op.create_index(
        "uq_requests_pending",
        "requests",
        ["case_id", "system"],
        unique=True,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_cases_opened_at", "cases", ["opened_at"], unique=False)
    op.create_index(
        "ix_cases_closed_at",
        "cases",
        ["closed_at"],
        unique=False,
        postgresql_where=sa.text("closed_at is not null"),
    )
    op.create_index("ix_cases_partner_opened_at", "cases", ["partner", "opened_at"], unique=False)
    op.add_column("inbox", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("inbox", sa.Column("brake_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_inbox_brake_id",
        "inbox",
        ["brake_id"],
        unique=False,
        postgresql_where=sa.text("brake_id is not null"),
    )

    for statement in _GRANTS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(
        "ix_inbox_brake_id", table_name="inbox", postgresql_where=sa.text("brake_id is not null")
    )
    op.drop_column("inbox", "brake_id")
    op.drop_column("inbox", "finished_at")
    op.drop_index("ix_cases_partner_opened_at", table_name="cases")
    op.drop_index(
        "ix_cases_closed_at", table_name="cases", postgresql_where=sa.text("closed_at is not null")
    )
    op.drop_index("ix_cases_opened_at", table_name="cases")
    op.drop_index(
        "uq_requests_pending", table_name="requests", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_index(op.f("ix_requests_case_id"), table_name="requests")
    op.drop_table("requests")
    op.drop_index("ix_case_keys_key_index", table_name="case_keys")
    op.drop_table("case_keys")
    op.drop_table("assignments")
    op.drop_index(op.f("ix_artefacts_case_id"), table_name="artefacts")
    op.drop_table("artefacts")
    op.drop_index(op.f("ix_acts_case_id"), table_name="acts")
    op.drop_table("acts")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_index("ix_sessions_provider_index", table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_saved_views_user_id"), table_name="saved_views")
    op.drop_table("saved_views")
    op.drop_table("users")
    op.drop_table("system_health")
    op.drop_index("ix_sign_ins_expires_at", table_name="sign_ins")
    op.drop_table("sign_ins")
    op.drop_index(
        "uq_pauses_open", table_name="pauses", postgresql_where=sa.text("ended_at is null")
    )
    op.drop_table("pauses")
    op.drop_index(
        "ix_notices_due", table_name="notices", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("notices")
    op.drop_index(
        "ix_revocations_settled",
        table_name="revocations",
        postgresql_where=sa.text("state = 'settled'"),
    )
    op.drop_index(
        "ix_ledger_entries_trouble",
        table_name="ledger_entries",
        postgresql_where=sa.text("kind in ('revocation:fault', 'watch:look')"),
    )
    op.drop_index("ix_held_events_brake_id", table_name="held_events")
    op.drop_table("held_events")
    op.drop_index("uq_brakes_on", table_name="brakes", postgresql_where=sa.text("state = 'on'"))
    op.drop_table("brakes")
    op.drop_index("ix_barred_keys_case_id", table_name="barred_keys")
    op.drop_table("barred_keys")
    op.drop_table("api_tokens")
