"""What workers last saw of the cases' workflows."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, LargeBinary, SmallInteger, Table, Text

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

keyring_mark = Table(
    "keyring_mark",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("found_by", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""What the first process that wrote here left of its keyring: the only one that fits."""
