"""What is known of a system: when it is paused, and how it was last seen."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from lockstep.storage.tables.schema import Instant, metadata

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
