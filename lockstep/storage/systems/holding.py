"""Whom a pause holds up, as one condition: the worker, lists and the waking ask the same."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, any_, func, not_, or_, true

from lockstep.domain.rights import Scope
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.systems import pauses


def stands() -> ColumnElement[bool]:
    """Pauses that neither were ended nor are over."""
    return and_(pauses.c.ended_at.is_(None), pauses.c.until > func.now())


def holds_case() -> ColumnElement[bool]:
    """Pauses that stand and are about the case of the row: by its partner and its kind."""
    return and_(
        stands(),
        or_(func.cardinality(pauses.c.partners) == 0, cases.c.partner == any_(pauses.c.partners)),
        not_(cases.c.kind == any_(pauses.c.spares)),
    )


def touches(scope: Scope) -> ColumnElement[bool]:
    """Pauses that may hold up somebody whom ``scope`` may know of."""
    if scope.partners is None:
        return true()
    return or_(
        func.cardinality(pauses.c.partners) == 0,
        pauses.c.partners.overlap(sorted(scope.partners)),
    )
