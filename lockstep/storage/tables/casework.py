"""What people ask, prove, do and decide, and who has taken a case on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text, text

from lockstep.storage.tables.schema import Instant, metadata

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
