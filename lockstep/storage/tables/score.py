"""What the score is reckoned from, and what it came to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from lockstep.storage.tables.schema import Instant, metadata

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
    Index(
        "ix_case_facts_called_off",
        "case_id",
        postgresql_where=text("(document ->> 'called_off_at') is not null"),
    ),
)
"""What the metric needs of a case, folded from its entries in the ledger's order."""

facts_mark = Table(
    "facts_mark",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("fold", Integer, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("proved_at", Instant, nullable=False),
    Column("differed_at", Instant),
    Column("differed", Integer, nullable=False, server_default="0"),
    Column("seal", LargeBinary, nullable=False),
)
"""What the sequencer says of `case_facts`, sealed by a key that the database does not hold."""

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
