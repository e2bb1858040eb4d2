"""Leavers past their cutoff, who cannot sign in until their bar is lifted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.sign_in import barred_keys

MOST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Bar:
    """The keys of one case's leaver that are barred."""

    case_id: str
    barred_at: datetime
    keys: int


class BarRows:
    """The table of barred keys, as far as a scope may know of their cases."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def standing(
        self, scope: Scope, *, indexes: Collection[bytes] | None = None
    ) -> list[Bar]:
        """The newest bars; with ``indexes``, those of whoever holds one of these keys."""
        query = (
            select(
                barred_keys.c.case_id,
                func.max(barred_keys.c.barred_at).label("barred_at"),
                func.count().label("keys"),
            )
            .join(cases, cases.c.case_id == barred_keys.c.case_id)
            .where(barred_keys.c.lifted_at.is_(None), visible(scope))
            .group_by(barred_keys.c.case_id)
            .order_by(func.max(barred_keys.c.barred_at).desc(), barred_keys.c.case_id)
            .limit(MOST_ROWS)
        )
        if indexes is not None:
            whose = select(barred_keys.c.case_id).where(
                barred_keys.c.key_index.in_(sorted(indexes)), barred_keys.c.lifted_at.is_(None)
            )
            query = query.where(barred_keys.c.case_id.in_(whose))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [Bar(row.case_id, row.barred_at, int(row.keys)) for row in rows]

    async def lift(self, case_id: str, scope: Scope, *, by: str, reason: str) -> int:
        """Lift the bar of a case's leaver; return how many keys it had, 0 where there is none."""
        known = select(cases.c.case_id).where(cases.c.case_id == case_id, visible(scope))
        private = self._ring.encrypt(reason.encode(), context=_context(case_id))
        statement = (
            update(barred_keys)
            .where(barred_keys.c.case_id.in_(known), barred_keys.c.lifted_at.is_(None))
            .values(lifted_at=datetime.now(UTC), lifted_by=by, private=private)
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount


def _context(case_id: str) -> bytes:
    return f"bar\x00{case_id}".encode()
