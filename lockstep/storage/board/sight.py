"""Which of the cases that a document names somebody may know of, and whose they are."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases

MOST_PARTNERS = 500


class CaseSight:
    """Looks at cases by id only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def among(self, case_ids: Collection[str], scope: Scope) -> frozenset[str]:
        """Those of ``case_ids`` that are in scope."""
        if not case_ids:
            return frozenset()
        query = select(cases.c.case_id).where(cases.c.case_id.in_(sorted(case_ids)), visible(scope))
        async with self._engine.connect() as connection:
            return frozenset((await connection.scalars(query)).all())

    async def partners(self, scope: Scope) -> list[str]:
        """Names of the partners in scope, sorted; `MOST_PARTNERS` at most."""
        if scope.partners is not None:
            return sorted(scope.partners)[:MOST_PARTNERS]
        query = (
            select(cases.c.partner)
            .distinct()
            .where(visible(scope), cases.c.partner != "")
            .order_by(cases.c.partner)
            .limit(MOST_PARTNERS)
        )
        async with self._engine.connect() as connection:
            return list((await connection.scalars(query)).all())
