"""Ordered packs as far as somebody may know of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.storage.packs.orders import MOST_ROWS, ExportRow
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.outgoing import exports

_COLUMNS = [exports.c[item.name] for item in fields(ExportRow)]


class ExportViews:
    """Reads orders; what is outside of a scope is absent.

    A pack of everybody is for whoever sees every partner; one of a partner, for whoever sees that
    partner; one of a case, for whoever sees that case.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self, scope: Scope, *, limit: int = 25, before: str = "") -> list[ExportRow]:
        """The newest orders first; with ``before``, those older than that one."""
        conditions = [seen(scope)]
        mark = await self.get(scope, before) if before else None
        if mark is not None:
            place = tuple_(exports.c.requested_at, exports.c.export_id)
            conditions.append(place < tuple_(mark.requested_at, mark.export_id))
        query = (
            select(*_COLUMNS)
            .where(*conditions)
            .order_by(exports.c.requested_at.desc(), exports.c.export_id.desc())
            .limit(min(limit, MOST_ROWS))
        )
        return await self._rows(query)

    async def get(self, scope: Scope, export_id: str) -> ExportRow | None:
        """One order; None if there is none in scope."""
        query = select(*_COLUMNS).where(exports.c.export_id == export_id, seen(scope))
        return next(iter(await self._rows(query)), None)

    async def _rows(self, query: Select[Any]) -> list[ExportRow]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [ExportRow(**row._mapping) for row in rows]  # noqa: SLF001 - public by documentation


def seen(scope: Scope) -> ColumnElement[bool]:
    """Rows of ``exports`` that ``scope`` may know of."""
    case_id = exports.c.parameters["case_id"].astext
    partner = exports.c.parameters["partner"].astext
    of_case = exists().where(cases.c.case_id == case_id, visible(scope))
    of_partner = true() if scope.partners is None else partner.in_(sorted(scope.partners))
    return or_(and_(case_id == "", of_partner), and_(case_id != "", of_case))
