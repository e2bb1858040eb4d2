"""Seats that were read back as freed, by month, partner and system; of what somebody may know."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.outcomes import Outcome, RevocationState
from lockstep.domain.rights import Scope
from lockstep.domain.systems.seats import Freed
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases, revocations

_READ_BACK = (Outcome.REVOKED.value, Outcome.ALREADY_ABSENT.value)


class FreedSeats:
    """Reads them; `Revocations.outcome` has written them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def between(
        self, start: datetime, end: datetime, scope: Scope, *, partner: str | None = None
    ) -> list[Freed]:
        """Freed from ``start`` on and before ``end``, and not seen to be back since.

        A system that was opened again counts once it is settled anew, in the month of the newest
        read-back; seats of both openings that may be the same ones count once. One that a person
        attested or waived does not count: nobody read it back.
        """
        month = func.to_char(func.timezone("UTC", revocations.c.confirmed_at), "YYYY-MM")
        query = (
            select(month, cases.c.partner, revocations.c.system, func.sum(revocations.c.seats))
            .join(cases, cases.c.case_id == revocations.c.case_id)
            .where(
                revocations.c.state == RevocationState.SETTLED.value,
                revocations.c.outcome.in_(_READ_BACK),
                revocations.c.seats > 0,
                revocations.c.confirmed_at >= start,
                revocations.c.confirmed_at < end,
                visible(scope),
            )
            .group_by(month, cases.c.partner, revocations.c.system)
        )
        if partner is not None:
            query = query.where(cases.c.partner == partner)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [Freed(*row) for row in rows]
