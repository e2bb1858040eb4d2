"""Leavers' personal data, the keys by which they are found, and the legal holds on them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid

from lockstep.storage.tables.schema import Instant, metadata

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

case_keys = Table(
    "case_keys",
    metadata,
    Column("case_id", Text, ForeignKey("cases.case_id"), primary_key=True),
    Column("key_index", LargeBinary, primary_key=True),
    Index("ix_case_keys_key_index", "key_index"),
)
"""Every key of a case's leaver as a blind index: finds cases by key, and one's own case."""

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
