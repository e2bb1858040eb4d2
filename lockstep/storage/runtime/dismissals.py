"""Dismissals whose cutoff is about to come."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.storage.tables.case import cases

_MOST = 1000
_URGENT = [kind.value for kind in TerminationKind if kind.priority == 1]


class Dismissals:
    """Read by any number of workers."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def due(self, *, within: timedelta) -> list[str]:
        """Cases that have not begun, the earliest cutoff first, by the database's clock."""
        query = (
            select(cases.c.case_id)
            .where(
                cases.c.status == CaseStatus.SCHEDULED.value,
                cases.c.cutoff_at <= func.clock_timestamp() + within,
                cases.c.kind.in_(_URGENT),
            )
            .order_by(cases.c.cutoff_at, cases.c.case_id)
            .limit(_MOST)
        )
        async with self._engine.connect() as connection:
            return list((await connection.scalars(query)).all())
