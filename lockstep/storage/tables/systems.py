"""What is known of a system: when it is paused, how it was last seen, whom its trouble holds up."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
    Column("partners", ARRAY(Text), nullable=False, server_default="{}"),
    Column("spares", ARRAY(Text), nullable=False, server_default="{}"),
    Column("agreed_by", Text),
    Column("agreed_at", Instant),
    Index(
        "uq_pauses_open_partners",
        "system",
        "partners",
        unique=True,
        postgresql_where=text("ended_at is null"),
    ),
)
"""``partners``: whose cases are held, none named is everybody's. ``spares``: the kinds of leaver
that it does not hold, as long as no second person has agreed.
"""

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

wakings = Table(
    "wakings",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("system", Text, primary_key=True),
    Column("opening", Integer, nullable=False),
    Column("waking_id", Text, nullable=False),
    Column("recovery", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("times", Integer, nullable=False, server_default="0"),
    Column("rested_at", Instant),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("taken_at", Instant),
    Column("leased_until", Instant),
    Index("ix_wakings_waits", "system", "not_before", postgresql_where=text("state = 'waits'")),
    Index("ix_wakings_taken_at", "system", "taken_at"),
)
"""Revocations that are tried again because a system's trouble is over: each by its newest waking.

``since``: when the trouble was seen to be over. ``times``: how often it was woken in this opening;
until ``rested_at`` it is not woken again. ``tries``: how often this waking was sent to its case.
"""

outages = Table(
    "outages",
    metadata,
    Column("system", Text, primary_key=True),
    Column("since", Instant, nullable=False),
)
"""Systems whose fault holds up many leavers, since when. A row is one alarm."""

paces = Table(
    "paces",
    metadata,
    Column("budget", Text, primary_key=True),
    Column("state", JSONB, nullable=False, server_default="{}"),
    Column("askers", JSONB, nullable=False, server_default="{}"),
    Column("told", JSONB),
    Column("told_at", Instant),
    Column("given", BigInteger, nullable=False, server_default="0"),
    Column("refused", BigInteger, nullable=False, server_default="0"),
    Column("refused_at", Instant),
)
"""How fast a vendor credential is used. ``state``: a budget of `lockstep.domain.systems.pace`, in
seconds of this database's clock. ``askers``: what each process still waits for. ``told``: what the
vendor last said of its limit. ``given`` turns, and how many calls were ``refused``.
"""
