"""What is outside of somebody's scope is absent: one condition, for every query about cases."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, true

from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Scope
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import case_keys
from lockstep.storage.tables.score import case_facts


def is_sealed() -> ColumnElement[bool]:
    """A coming dismissal is a secret until its cutoff; one that was called off stays one."""
    return and_(
        cases.c.kind == TerminationKind.INVOLUNTARY.value,
        cases.c.begun_at.is_(None),
        or_(cases.c.cutoff_at > func.now(), cases.c.status == CaseStatus.RESCINDED.value),
    )


def is_sealed_fact() -> ColumnElement[bool]:
    """Rows of ``case_facts`` of which the same is true, now."""
    return exists().where(cases.c.case_id == case_facts.c.case_id, is_sealed())


def visible(scope: Scope) -> ColumnElement[bool]:
    """Rows of ``cases`` that ``scope`` may know of."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.partners is not None:
        conditions.append(cases.c.partner.in_(sorted(scope.partners)))
    if not scope.sealed:
        conditions.append(not_(is_sealed()))
    if scope.own_keys:
        about_oneself = exists().where(
            case_keys.c.case_id == cases.c.case_id,
            case_keys.c.key_index.in_(sorted(scope.own_keys)),
        )
        conditions.append(not_(about_oneself))
    return and_(*conditions)
