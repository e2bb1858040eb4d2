"""Systems whose own fault holds up many leavers: one alarm for all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.rights import Scope
from lockstep.domain.systems.faults import OF_SYSTEM, FaultCategory, rule_for
from lockstep.domain.systems.waking import ALARMING_BY_ITSELF, MANY
from lockstep.storage.people.visibility import visible
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.systems import outages

_OVER = MANY // 2
"""An alarm ends at so few, so that one who comes and goes is not a new alarm each time."""

_EVERYBODY = Scope(partners=None)
"""Every partner; a coming dismissal stays uncounted until its cutoff."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A system that holds up many.

    Args:
        leavers: how many wait, of those that may be known of.
        since: since when the first of those has waited who were many together.
        faults: what is wrong, by how many wait because of it, the most frequent first.
    """

    system: str
    leavers: int
    since: datetime
    faults: tuple[tuple[FaultCategory, int], ...]

    @property
    def ends_by_itself(self) -> bool:
        """Whether all who wait are tried again without a person once the trouble is over."""
        return all(rule_for(category).mended_by for category, _ in self.faults)


class Outages:
    """Any number of workers keep them; whoever asks is told of what they may know of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def standing(self, scope: Scope) -> list[Outage]:
        """Those that workers have noted and that hold up more than `MANY` in ``scope``.

        Counted now, the most first. Where nothing is amiss it costs next to nothing.
        """
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(outages))).all()
            known = {row.system: row.since for row in rows}
            found = await _counted(connection, scope, known) if known else []
        return [
            # Since when others wait is not told to whoever may not know of them.
            one if scope.partners is not None else replace(one, since=known[one.system])
            for one in found
            if one.leavers > MANY
        ]

    async def keep(self) -> list[str]:
        """Note which outages have begun or ended; return the systems of those that began."""
        async with self._engine.begin() as connection:
            counted = await _counted(connection, _EVERYBODY)
            lasting = sorted(one.system for one in counted if one.leavers > _OVER)
            await connection.execute(delete(outages).where(outages.c.system.not_in(lasting)))
            new = [
                {"system": one.system, "since": one.since} for one in counted if one.leavers > MANY
            ]
            if not new:
                return []
            statement = insert(outages).on_conflict_do_nothing().returning(outages.c.system)
            return sorted((await connection.scalars(statement, new)).all())

    async def held_up(self, system: str, scope: Scope, *, limit: int) -> list[tuple[str, str]]:
        """Who waits for a system because of its own fault, as (case id, system); first due first.

        Also those of whom nobody was asked yet, whatever the fault of the system.
        """
        query = (
            select(revocations.c.case_id, revocations.c.system)
            .join(cases, cases.c.case_id == revocations.c.case_id)
            .where(revocations.c.system == system, is_held_up(), visible(scope))
            .order_by(revocations.c.due_at, revocations.c.case_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [(row.case_id, row.system) for row in await connection.execute(query)]

    async def count(self, system: str, scope: Scope) -> int:
        """How many those are."""
        query = (
            select(func.count())
            .select_from(revocations.join(cases, cases.c.case_id == revocations.c.case_id))
            .where(revocations.c.system == system, is_held_up(), visible(scope))
        )
        async with self._engine.connect() as connection:
            return await connection.scalar(query) or 0


def is_held_up() -> ColumnElement[bool]:
    """Revocations that wait because of a fault of their system, whoever the leaver is."""
    door = revocations.c
    return and_(
        door.state.in_([RevocationState.RETRYING.value, RevocationState.NEEDS_PERSON.value]),
        door.fault.in_(sorted(OF_SYSTEM)),
    )


def is_alarming() -> ColumnElement[bool]:
    """Those of them that count for an alarm."""
    door = revocations.c
    asked = door.state == RevocationState.NEEDS_PERSON.value
    return and_(is_held_up(), or_(asked, door.fault.in_(sorted(ALARMING_BY_ITSELF))))


async def _counted(
    connection: AsyncConnection, scope: Scope, systems: Collection[str] | None = None
) -> list[Outage]:
    query = _counts(scope)
    if systems is not None:
        query = query.where(revocations.c.system.in_(sorted(systems)))
    found: dict[str, list[Any]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.system, []).append(row)
    counted = [
        Outage(
            system,
            sum(row.leavers for row in rows),
            min(row.since for row in rows),
            tuple(
                (FaultCategory(row.fault), row.leavers)
                for row in sorted(rows, key=lambda row: (-row.leavers, row.fault))
            ),
        )
        for system, rows in found.items()
    ]
    return sorted(counted, key=lambda one: (-one.leavers, one.system))


def _counts(scope: Scope) -> Select[Any]:
    door = revocations.c
    since = func.least(func.coalesce(door.needs_person_since, door.fault_at), door.fault_at)
    return (
        select(
            door.system,
            door.fault,
            func.count().label("leavers"),
            func.min(func.coalesce(since, door.updated_at)).label("since"),
        )
        .join(cases, cases.c.case_id == door.case_id)
        .where(is_alarming(), visible(scope))
        .group_by(door.system, door.fault)
    )
