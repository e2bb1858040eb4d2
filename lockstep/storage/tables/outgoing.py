"""What must reach somebody: an anchor, another system, an auditor, our own people."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from lockstep.storage.tables.schema import Instant, metadata

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
