"""The ledger: its entries, their one order, and the signed heads."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, Table, Text, text

from lockstep.storage.tables.schema import Instant, metadata

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
