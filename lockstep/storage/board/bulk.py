"""Very many systems of cases at once, for acting on all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, column, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.rights import Scope
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.people.requests import undecided
from lockstep.storage.people.visibility import visible
from lockstep.storage.records import RevocationRow
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.casework import assignments, decisions, requests
from lockstep.storage.tables.leavers import subjects

_WANTED = (
    func.unnest(bindparam("cases", type_=ARRAY(Text)), bindparam("systems", type_=ARRAY(Text)))
    .table_valued(column("w_case", Text), column("w_system", Text), name="wanted")
    .render_derived()
)
_DECIDED = (
    select(func.count())
    .where(
        decisions.c.case_id == revocations.c.case_id,
        decisions.c.system == revocations.c.system,
    )
    .scalar_subquery()
)
_ASKED = (
    select(func.count())
    .where(
        requests.c.case_id == revocations.c.case_id,
        requests.c.system == revocations.c.system,
        undecided(),
    )
    .scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class Picked:
    """One system that was picked, as it stands. ``leaver`` is "" for whoever sees no names."""

    row: RevocationRow
    status: str
    partner: str
    leaver: str = field(repr=False)
    decided: int
    waits: bool
    assigned_to: str
    assigned_at: datetime | None


class BulkReads:
    """Reads only, and only what a scope may know of."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def picked(
        self, picks: Collection[tuple[str, str]], scope: Scope, *, named: bool
    ) -> dict[tuple[str, str], Picked]:
        """Those of ``picks``, as (case id, system), that are there and in ``scope``."""
        query = (
            select(
                *(revocations.c[item.name] for item in fields(RevocationRow)),
                cases.c.status.label("case_status"),
                cases.c.partner.label("case_partner"),
                _DECIDED.label("decided"),
                _ASKED.label("asked"),
                assignments.c.user_id.label("assigned_to"),
                assignments.c.assigned_at,
                subjects.c.subject_id,
                subjects.c.wrapped_key,
                subjects.c.private.label("who"),
            )
            .select_from(_WANTED)
            .join(
                revocations,
                (revocations.c.case_id == _WANTED.c.w_case)
                & (revocations.c.system == _WANTED.c.w_system),
            )
            .join(cases, cases.c.case_id == revocations.c.case_id)
            .join(subjects, subjects.c.subject_id == cases.c.subject_id)
            .outerjoin(assignments, assignments.c.case_id == cases.c.case_id)
            .where(visible(scope))
        )
        values = {
            "cases": [case_id for case_id, _ in picks],
            "systems": [system for _, system in picks],
        }
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query, values)).mappings().all()
        return {(row["case_id"], row["system"]): self._picked(row, named=named) for row in rows}

    def _picked(self, row: Any, *, named: bool) -> Picked:
        leaver = ""
        if named and row["wrapped_key"] is not None:
            subject = Subject.open(self._ring, row["subject_id"], row["wrapped_key"], row["who"])
            worker = next(iter(subject.keys.of_kind(KeyKind.WORKER_ID)), "")
            leaver = subject.display_name or worker
        return Picked(
            row=RevocationRow(**{name: row[name] for name in RevocationRow.__slots__}),
            status=row["case_status"],
            partner=row["case_partner"],
            leaver=leaver,
            decided=row["decided"],
            waits=bool(row["asked"]),
            assigned_to=row["assigned_to"] or "",
            assigned_at=row["assigned_at"],
        )
