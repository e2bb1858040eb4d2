"""What HR reported, and what the brake holds of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from lockstep.storage.tables.schema import Instant, metadata

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
    Column("identity_index", LargeBinary),
    Column("reporter", Text, nullable=False, server_default=""),
    UniqueConstraint("source", "dedupe_key"),
    Index("ix_inbox_pending", "priority", "id", postgresql_where=text("state = 'pending'")),
    Index("ix_inbox_brake_id", "brake_id", postgresql_where=text("brake_id is not null")),
    Index(
        "ix_inbox_refused",
        "received_at",
        postgresql_where=text("state = 'refused' and brake_id is null"),
    ),
    Index(
        "ix_inbox_refused_later",
        "received_at",
        postgresql_where=text("state = 'refused' and brake_id is not null"),
    ),
    Index("ix_inbox_case_id", "case_id", postgresql_where=text("case_id is not null")),
    Index(
        "ix_inbox_in_part",
        "received_at",
        postgresql_where=text("state = 'done' and error is not null"),
    ),
    Index("ix_inbox_identity_index", "identity_index", postgresql_where=text("state = 'pending'")),
)
"""``state``: pending, held (by the brake ``brake_id``), done or refused. A released event is
pending again and keeps its ``brake_id``: it is not held a second time. ``error``: why it was
refused; while it is pending, why it cannot be read; once it is done, what of it was not done.
``identity_index``: which spell it is about, as in ``cases``; null where nobody has read it yet,
empty where nobody can, and null again once it is finished. ``reporter``: who of our own people
sent it, by the id of a user or a token.
"""

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
    Column("counts_on", Boolean, nullable=False, server_default="false"),
    Index("uq_brakes_on", "source", unique=True, postgresql_where=text("state = 'on'")),
)
"""``state``: on, released or refused; at most one is on for a source. ``cause``: what was too many,
terminations or dismissals. ``source``: a `lockstep.domain.intake.brakes.Channel` in one text.
``counts_on``: it was decided by somebody bound to partners, and so the count did not begin anew.
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
    Column("refusal", LargeBinary),
    Index("ix_held_events_brake_id", "brake_id", "cutoff_at", "inbox_id"),
)
"""What a brake holds, as far as it must be known without opening it; gone once it is decided.

``actor_index``: blind index of who of our own people reported it. ``refusal``: who would refuse a
dismissal, and waits for somebody else to agree.
"""
