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
from sqlalchemy.dialects.postgresql import JSONB

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
    UniqueConstraint("source", "dedupe_key"),
    Index("ix_inbox_pending", "priority", "id", postgresql_where=text("state = 'pending'")),
)

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

APP_ROLE = "lockstep_app"
"""The database role of worker, web and command line: it may not change the ledger."""
