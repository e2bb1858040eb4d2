"""What workers last saw of the cases' workflows."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)

from lockstep.storage.tables.schema import Instant, metadata

stalled_cases = Table(
    "stalled_cases",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("fault", Text, nullable=False),
)
"""Cases whose workflow's task fails at every try. ``fault``: a value of `TaskFault`."""

task_looks = Table(
    "task_looks",
    metadata,
    Column("about", Text, primary_key=True),
    Column("looked_at", Instant, nullable=False),
    Column("total", Integer, nullable=False),
    Column("problem", Text, nullable=False),
)
"""When a worker last asked Temporal, how many it found, and why it could not know ("")."""

clock_looks = Table(
    "clock_looks",
    metadata,
    Column("who", Text, primary_key=True),
    Column("looked_at", Instant, nullable=False),
    Column("skew_ms", BigInteger, nullable=False),
)
"""By how much clocks were last seen to be ahead of the database's.

``who``: `temporal`, or a worker by machine and process.
"""

keyring_mark = Table(
    "keyring_mark",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("found_by", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""What the first process that wrote here left of its keyring: the only one that fits."""

lost_workflows = Table(
    "lost_workflows",
    metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("loss", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("claimed_until", Instant),
    Column("restarted_at", Instant),
    Index("ix_lost_workflows_since", "since"),
)
"""What the comparison of cases with workflows found, and until when a worker is at it.

``workflow_id`` is the case's id, but for a workflow of no case. ``loss``: a value of `Loss`.
``restarts``: how often the case was taken up again; ``restarted_at``: when last, null while the
newest loss is not mended.
"""
