"""The schema as SQLAlchemy tables; migrations make it, a test proves both equal.

Whichever of these modules is imported first, this one comes before it and loads all the others: a
foreign key finds its table, and `metadata` is never only a part of the schema.
"""

from __future__ import annotations

from lockstep.storage.tables import (
    case,
    casework,
    intake,
    leavers,
    ledger,
    outgoing,
    running,
    score,
    sign_in,
    systems,
)
from lockstep.storage.tables.schema import metadata

__all__ = [
    "case",
    "casework",
    "intake",
    "leavers",
    "ledger",
    "metadata",
    "outgoing",
    "running",
    "score",
    "sign_in",
    "systems",
]
