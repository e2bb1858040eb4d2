"""The schema as SQLAlchemy tables; migrations make it, a test proves both equal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

Instant = DateTime(timezone=True)

inbox = Table(
    "inbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_until", Instant),
    Column("case_id", Text),
    Column("verdict", Text),
    Column("error", Text),
    Column("finished_at", Instant),
    Column("brake_id", Text),
    UniqueConstraint("source", "dedupe_key"),
    Index("ix_inbox_pending", "priority", "id", postgresql_where=text("state = 'pending'")),
    Index("ix_inbox_brake_id", "brake_id", postgresql_where=text("brake_id is not null")),
)
"""``state``: pending, held (by the brake ``brake_id``), done or refused. A released event is
pending again and keeps its ``brake_id``: it is not held a second time.
"""

subjects = Table(
    "subjects",
    metadata,
    Column("subject_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("private", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("erased_at", Instant),
)

policies = Table(
    "policies",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("adopted_at", Instant, nullable=False),
)

cases = Table(
    "cases",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("subject_id", Uuid, ForeignKey("subjects.subject_id"), nullable=False),
    Column("worker_index", LargeBinary, nullable=False),
    Column("spell_index", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("policy", Text, ForeignKey("policies.digest"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("last_event_id", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("cutoff_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("begun_at", Instant),
    Column("closed_at", Instant),
    Column("closings", Integer, nullable=False, server_default="0"),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Index(
        "uq_cases_spell_index_live",
        "spell_index",
        unique=True,
        postgresql_where=text("status <> 'rescinded'"),
    ),
    Index("ix_cases_spell_index", "spell_index", "opened_at"),
    Index("ix_cases_worker_index", "worker_index"),
    Index("ix_cases_status_cutoff_at", "status", "cutoff_at"),
    Index("ix_cases_partner_opened_at", "partner", "opened_at"),
    Index("ix_cases_opened_at", "opened_at"),
    Index("ix_cases_closed_at", "closed_at", postgresql_where=text("closed_at is not null")),
)

revocations = Table(
    "revocations",
    metadata,
    Column("case_id", Text, ForeignKey("cases.case_id"), primary_key=True),
    Column("system", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("accept_single_key", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("warn_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("opening", Integer, nullable=False, server_default="1"),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("accounts", Integer, nullable=False, server_default="0"),
    Column("actions", Integer, nullable=False, server_default="0"),
    Column("outcome", Text),
    Column("grade", Text),
    Column("residual_s", Integer, nullable=False, server_default="0"),
    Column("needs_person_since", Instant),
    Column("fault", Text),
    Column("fault_text", Text),
    Column("fault_at", Instant),
    Column("retry_at", Instant),
    Column("first_attempt_at", Instant),
    Column("accepted_at", Instant),
    Column("revoked_at", Instant),
    Column("confirmed_at", Instant),
    Column("rehearsed_at", Instant),
    Column("rehearsal_problems", JSONB),
    Column("private", LargeBinary),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Index("ix_revocations_state", "state", "due_at", postgresql_where=text("state <> 'settled'")),
    Index("ix_revocations_settled", "confirmed_at", postgresql_where=text("state = 'settled'")),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("system", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("until", Instant),
    Column("artefact_digest", Text, nullable=False),
    Column("private", LargeBinary, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("system", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("resolved_at", Instant),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("case_id", Text),
    Column("system", Text),
    Column("recorded_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Index("ix_ledger_entries_case_id", "case_id", "id"),
    Index(
        "ix_ledger_entries_trouble",
        "system",
        "recorded_at",
        postgresql_where=text("kind in ('revocation:fault', 'watch:look')"),
    ),
)
"""Append only: no foreign keys, so that nothing can cascade into it."""

ledger_leaves = Table(
    "ledger_leaves",
    metadata,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", BigInteger, nullable=False, unique=True),
)
"""The sequencer's order: gap-free from 0. Append only, like the entries."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("key_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("signed_at", Instant, nullable=False),
)
"""Signed heads: one per tree size, append only. ``frontier``: hashes of its perfect subtrees."""

anchorings = Table(
    "anchorings",
    metadata,
    Column("anchor", Text, primary_key=True),
    Column("size", BigInteger, ForeignKey("checkpoints.size"), primary_key=True),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("receipt", LargeBinary),
    Column("error", Text),
    Index("ix_anchorings_due", "next_at", postgresql_where=text("state = 'pending'")),
)

case_facts = Table(
    "case_facts",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("partner", Text, nullable=False),
    Column("cutoff_at", Instant, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("through", BigInteger, nullable=False),
    Column("document", JSONB, nullable=False),
    Index("ix_case_facts_cutoff_at", "cutoff_at"),
    Index("ix_case_facts_open", "cutoff_at", postgresql_where=text("is_open")),
)
"""What the metric needs of a case, folded from its entries in the ledger's order."""

score_snapshots = Table(
    "score_snapshots",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("taken_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Index("ix_score_snapshots_taken_at", "taken_at"),
)

metric_reports = Table(
    "metric_reports",
    metadata,
    Column("report_id", Text, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_metric_reports_metric", "metric", "as_of"),
)
"""The other metrics of the dimension, as reported by their owners; append only."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("error", Text),
    Index("ix_deliveries_due", "next_at", postgresql_where=text("state = 'pending'")),
)
"""Outbox: what must reach another system, in the transaction that made it true."""

exports = Table(
    "exports",
    metadata,
    Column("export_id", Text, primary_key=True),
    Column("parameters", JSONB, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("claimed_until", Instant),
    Column("done_entries", BigInteger, nullable=False, server_default="0"),
    Column("all_entries", BigInteger, nullable=False, server_default="0"),
    Column("file_name", Text),
    Column("sha256", Text),
    Column("size_bytes", BigInteger),
    Column("finished_at", Instant),
    Column("error", Text),
    Index("ix_exports_requested_at", "requested_at"),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("placed_at", Instant, nullable=False),
    Column("released_at", Instant),
    Column("private", LargeBinary, nullable=False),
)
"""Legal holds: while one stands, the leaver's personal data are not erased."""

case_keys = Table(
    "case_keys",
    metadata,
    Column("case_id", Text, ForeignKey("cases.case_id"), primary_key=True),
    Column("key_index", LargeBinary, primary_key=True),
    Index("ix_case_keys_key_index", "key_index"),
)
"""Every key of a case's leaver as a blind index: finds cases by key, and one's own case."""

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("identity_index", LargeBinary, nullable=False, unique=True),
    Column("private", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
"""Whoever has signed in. ``identity_index``: blind index of issuer and subject."""

sessions = Table(
    "sessions",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("idle_until", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    Column("provider_index", LargeBinary),
    Column("key_indexes", ARRAY(LargeBinary), nullable=False),
    Column("private", LargeBinary, nullable=False),
    Index("ix_sessions_provider_index", "provider_index"),
)
"""``session_hash``: SHA-256 of the cookie. ``provider_index``: blind index of the provider's
session id.
"""

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("private", LargeBinary, nullable=False),
    Index("ix_sign_ins_expires_at", "expires_at"),
)
"""Sign-ins under way: ``oidc`` (nonce, verifier) and one-time ``link`` of a local evaluation."""

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("roles", JSONB, nullable=False),
    Column("permissions", JSONB, nullable=False),
    Column("partners", JSONB(none_as_null=True)),
    Column("key_indexes", ARRAY(LargeBinary), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("ended_at", Instant),
    Column("end_reason", Text),
)
"""``digest``: SHA-256 of the token, which is shown once. ``partners`` null: every partner."""

barred_keys = Table(
    "barred_keys",
    metadata,
    Column("key_index", LargeBinary, primary_key=True),
    Column("case_id", Text, nullable=False),
    Column("barred_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    Column("private", LargeBinary),
    Index("ix_barred_keys_case_id", "case_id"),
)
"""Leavers past their cutoff: whoever holds such a key cannot sign in until it is lifted.

``private``: why it was lifted.
"""

requests = Table(
    "requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("system", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("until", Instant),
    Column("artefact_id", Text),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("private", LargeBinary, nullable=False),
    Index(
        "uq_requests_pending",
        "case_id",
        "system",
        unique=True,
        postgresql_where=text("state = 'pending'"),
    ),
)
"""Acts that wait for a second person. ``state``: pending, approved, refused, withdrawn, expired."""

artefacts = Table(
    "artefacts",
    metadata,
    Column("artefact_id", Text, primary_key=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("system", Text, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("private", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""Proofs of work by hand, encrypted under the leaver's key; deleted with it."""

acts = Table(
    "acts",
    metadata,
    Column("act_id", Text, primary_key=True),
    Column("slot", Text, unique=True),
    Column("case_id", Text, ForeignKey("cases.case_id"), nullable=False, index=True),
    Column("system", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("acted_at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default="done"),
    Column("private", LargeBinary, nullable=False),
)
"""What people did to a case, comments too. ``slot``: of two people at once, one takes it.
``state``: done; sent, where no answer has come yet; or refused, which gives the slot back.
"""

assignments = Table(
    "assignments",
    metadata,
    Column("case_id", Text, ForeignKey("cases.case_id"), primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("assigned_at", Instant, nullable=False),
)

saved_views = Table(
    "saved_views",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("private", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

brakes = Table(
    "brakes",
    metadata,
    Column("brake_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("observed", Integer, nullable=False),
    Column("allowed", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="on"),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("private", LargeBinary),
    Index("uq_brakes_on", "source", unique=True, postgresql_where=text("state = 'on'")),
)
"""``state``: on, released or refused; at most one is on for a source. ``cause``: what was too many,
terminations or dismissals.
"""

held_events = Table(
    "held_events",
    metadata,
    Column("inbox_id", BigInteger, ForeignKey("inbox.id"), primary_key=True, autoincrement=False),
    Column("brake_id", Text, ForeignKey("brakes.brake_id"), nullable=False),
    Column("partner", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cutoff_at", Instant, nullable=False),
    Column("key_indexes", ARRAY(LargeBinary), nullable=False),
    Column("actor_index", LargeBinary),
    Index("ix_held_events_brake_id", "brake_id", "cutoff_at", "inbox_id"),
)
"""What a brake holds, as far as it must be known without opening it; gone once it is decided.

``actor_index``: blind index of who of our own people reported it.
"""

pauses = Table(
    "pauses",
    metadata,
    Column("pause_id", Text, primary_key=True),
    Column("system", Text, nullable=False),
    Column("begins_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("private", LargeBinary, nullable=False),
    Index("uq_pauses_open", "system", unique=True, postgresql_where=text("ended_at is null")),
)

system_health = Table(
    "system_health",
    metadata,
    Column("system", Text, primary_key=True),
    Column("checked_at", Instant, nullable=False),
    Column("latency_ms", Integer),
    Column("problems", JSONB, nullable=False),
    Column("limited_until", Instant),
    Column("circuit_open_until", Instant),
)
"""What a worker last saw of a system. ``problems``: summary and fix of each, no personal data."""

notices = Table(
    "notices",
    metadata,
    Column("notice_id", Text, primary_key=True),
    Column("fact", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("case_id", Text),
    Column("system", Text, nullable=False, server_default=""),
    Column("partner", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("escalated_from", Text, nullable=False, server_default=""),
    Column("error", Text),
    UniqueConstraint("fact", "route"),
    Index("ix_notices_due", "next_at", postgresql_where=text("state = 'pending'")),
)
"""Outbox of what people are told: once per ``fact`` and route."""

APP_ROLE = "lockstep_app"
"""The database role of worker, web and command line: it may not change the ledger."""
