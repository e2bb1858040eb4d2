"""Cases, their systems and findings, and the policies that they are pinned to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from lockstep.storage.tables.schema import Instant, metadata

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
    # When an amendment made it a dismissal: it counts as one that came then.
    Column("dismissed_at", Instant),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Column("numbered_by", Text, nullable=False, server_default=""),
    Column("identity_index", LargeBinary, nullable=False, server_default=text("''")),
    Column("employment", Integer, nullable=False, server_default="1"),
    Column("unwatched_at", Instant),
    # How often the leaver's keys have grown since the case was opened.
    Column("key_edition", Integer, nullable=False, server_default="0"),
    Index(
        "uq_cases_identity_live",
        "identity_index",
        "numbered_by",
        "employment",
        unique=True,
        postgresql_where=text("status <> 'rescinded'"),
    ),
    Index("ix_cases_identity_index", "identity_index", "opened_at"),
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
    Index(
        "ix_cases_dismissed_at", "dismissed_at", postgresql_where=text("dismissed_at is not null")
    ),
    Index("ix_cases_closed_at", "closed_at", postgresql_where=text("closed_at is not null")),
)
"""A case is of one employment: of the worker and spell of ``identity_index`` as ``numbered_by``
numbers them, the ``employment``-th. ``spell_index`` is read by the release before only.
``unwatched_at``: HR has said that they work here again; nothing is taken from them any more.
"""

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
    Column("residual_unknown", Boolean, nullable=False, server_default="false"),
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
    Column("contained_at", Instant),
    Column("candidates", LargeBinary),
    Column("picks", LargeBinary),
    # The edition of the leaver's keys by which it was last searched.
    Column("key_edition", Integer, nullable=False, server_default="0"),
    # So many of what was removed cost money month by month.
    Column("seats", Integer, nullable=False, server_default="0"),
    Column("updated_at", Instant, nullable=False, server_default=func.now()),
    Index("ix_revocations_state", "state", "due_at", postgresql_where=text("state <> 'settled'")),
    Index("ix_revocations_settled", "confirmed_at", postgresql_where=text("state = 'settled'")),
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
