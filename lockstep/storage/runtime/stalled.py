"""Cases whose workflow cannot go on: what workers saw in Temporal, for every page and command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, ColumnElement, Text, all_, bindparam, delete, func, not_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.domain.stalled import TaskFault
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.running import stalled_cases, task_looks

FRESH = timedelta(seconds=60)
"""A look counts for so long; afterwards it is not known any more whether every case goes on."""
MOST_ROWS = 1000
_CASES = "cases"
_FOUND = bindparam("found", type_=ARRAY(Text))
_LOOK = select(
    task_looks.c.problem,
    task_looks.c.total,
    (func.clock_timestamp() - task_looks.c.looked_at).label("age"),
).where(task_looks.c.about == _CASES)


@dataclass(frozen=True, slots=True)
class StalledCase:
    """A case that cannot go on, since when it was seen so, and why."""

    case_id: str
    since: datetime
    fault: TaskFault


@dataclass(frozen=True, slots=True)
class Stalled:
    """What is known, within a scope.

    Args:
        age: how long ago a worker last asked Temporal, by the database's clock; None is never.
        problem: why Temporal could not say; "" where it could.
        cases: those that cannot go on, first the longest so.
    """

    age: timedelta | None = None
    problem: str = ""
    cases: tuple[StalledCase, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether a look is so fresh that what it did not find is not there."""
        return self.age is not None and not self.problem and self.age <= FRESH

    def of(self, case_id: str) -> StalledCase | None:
        """One case, if it cannot go on."""
        return next((row for row in self.cases if row.case_id == case_id), None)


async def stalled_of(connection: AsyncConnection, case_id: str) -> Stalled:
    """What is known of one case. The caller checked the scope."""
    return await _read(connection, cases.c.case_id == case_id)


async def _read(connection: AsyncConnection, condition: ColumnElement[bool]) -> Stalled:
    query = (
        select(stalled_cases)
        .join(cases, cases.c.case_id == stalled_cases.c.case_id)
        .where(condition)
        .order_by(stalled_cases.c.since, stalled_cases.c.case_id)
        .limit(MOST_ROWS)
    )
    seen = (await connection.execute(_LOOK)).one_or_none()
    rows = (await connection.execute(query)).all()
    found = tuple(StalledCase(row.case_id, row.since, TaskFault(row.fault)) for row in rows)
    return Stalled(seen.age, seen.problem, found) if seen else Stalled(cases=found)


class StalledCases:
    """Any number of workers write; the newest look counts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def looked(
        self,
        found: Mapping[str, TaskFault],
        *,
        at: datetime,
        total: int,
        problem: str = "",
    ) -> None:
        """Keep what a look found that began at ``at`` (see `clock`), unless a newer one is kept.

        Where ``total`` is more than were listed, or there was a ``problem``, none of those that
        stood is struck off: it may be among those that were not seen.
        """
        values = {"looked_at": at, "total": total, "problem": problem}
        row = (
            insert(task_looks)
            .values(about=_CASES, **values)
            .on_conflict_do_update(
                index_elements=["about"], set_=values, where=task_looks.c.looked_at < at
            )
            .returning(task_looks.c.about)
        )
        async with self._engine.begin() as connection:
            if await connection.scalar(row) is None:
                return
            if not problem and total <= len(found):
                gone = delete(stalled_cases).where(stalled_cases.c.case_id != all_(_FOUND))
                await connection.execute(gone, {"found": sorted(found)})
            if found:
                new = insert(stalled_cases)
                new = new.on_conflict_do_update(
                    index_elements=["case_id"], set_={"fault": new.excluded.fault}
                )
                rows = [
                    {"case_id": case_id, "since": at, "fault": fault.value}
                    for case_id, fault in sorted(found.items())
                ]
                await connection.execute(new, rows)

    async def read(self, scope: Scope = EVERYTHING) -> Stalled:
        """What is known of the cases that ``scope`` may know of."""
        async with self._engine.connect() as connection:
            return await _read(connection, visible(scope))

    async def total(self, scope: Scope = EVERYTHING) -> tuple[timedelta, int] | None:
        """How long ago the newest look was, and how many it found; None where it could not know.

        Those that were listed and are not in ``scope`` do not count.
        """
        hidden = (
            select(func.count())
            .select_from(stalled_cases.join(cases, cases.c.case_id == stalled_cases.c.case_id))
            .where(not_(visible(scope)))
        )
        async with self._engine.connect() as connection:
            seen = (await connection.execute(_LOOK)).one_or_none()
            unseen = await connection.scalar(hidden) or 0
        return (seen.age, max(0, seen.total - unseen)) if seen and not seen.problem else None

    async def clock(self) -> tuple[datetime, timedelta | None]:
        """The database's time, which all workers share, and how long ago one of them looked."""
        async with self._engine.connect() as connection:
            now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            seen = (await connection.execute(_LOOK)).one_or_none()
        return now, seen.age if seen else None
