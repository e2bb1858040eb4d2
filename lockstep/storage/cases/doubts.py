"""Accounts that a later look found and of which nobody has said whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.evidence.ledger.fold import ACCOUNT_IN_DOUBT
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases, findings

MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Doubt:
    """A settled system in which a person has to pick accounts, since ``since``."""

    case_id: str
    system: str
    since: datetime


class Doubts:
    """Reads only. What is in doubt in a system that is open shows as such, and is not here."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def standing(self, scope: Scope) -> list[Doubt]:
        """The oldest first; not of people who work here again."""
        query = (
            select(findings.c.case_id, findings.c.system, func.min(findings.c.raised_at))
            .join(cases, cases.c.case_id == findings.c.case_id)
            .where(findings.c.kind == ACCOUNT_IN_DOUBT, findings.c.resolved_at.is_(None))
            .where(visible(scope), cases.c.unwatched_at.is_(None))
            .group_by(findings.c.case_id, findings.c.system)
            .order_by(func.min(findings.c.raised_at))
            .limit(MOST_ROWS)
        )
        async with self._engine.connect() as connection:
            return [Doubt(*row) for row in await connection.execute(query)]
