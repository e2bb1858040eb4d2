"""Whom a system's trouble held up, and when each of them is tried again once it is over.

A waking is made in the transaction that learns that the trouble is over, so that no crash loses
one. Each revocation has one at most; it is sent to its case under one id, which counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Text

from lockstep.domain.cases.outcomes import Outcome, RevocationState
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Scope
from lockstep.domain.systems.faults import Recovery, mended, rule_for
from lockstep.domain.systems.waking import LONG_WAIT, rest_after, turns
from lockstep.storage.people.visibility import visible
from lockstep.storage.systems.holding import holds_case
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.schema import Instant
from lockstep.storage.tables.systems import pauses, wakings

_LEASE = timedelta(seconds=30)
"""A process that died while it woke keeps its wakings for so long; longer than an answer takes."""
_LONGEST_LEASE = timedelta(minutes=10)
_DOUBLINGS = 5
_WAITING = (RevocationState.RETRYING.value, RevocationState.NEEDS_PERSON.value)
_OVERLAP = timedelta(minutes=1)
"""A transaction may commit so long after the instant that it tells."""


class WakingState(StrEnum):
    """What became of a waking."""

    WAITS = "waits"
    WOKEN = "woken"
    LEFT = "left"
    """It was not needed any more, or its case takes none now."""


@dataclass(frozen=True, slots=True)
class Waking:
    """One revocation that is due to be tried again, and why."""

    waking_id: str
    case_id: str
    system: str
    recovery: Recovery
    times: int


def held_up(recovery: Recovery, at: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Revocations that wait, since before ``at``, for a cause that ``recovery`` shows to be gone.

    What the machine tries again soon by itself does not wait.
    """
    door = revocations.c
    names = mended(recovery)
    final = sorted(name.value for name in names if not rule_for(name).transient)
    passing = sorted(name.value for name in names if rule_for(name).transient)
    moment = literal(at, Instant) if isinstance(at, datetime) else at
    return and_(
        door.state.in_(_WAITING),
        func.coalesce(door.fault_at, door.needs_person_since) <= moment,
        or_(
            door.fault.in_(final),
            and_(door.fault.in_(passing), door.retry_at > func.now() + LONG_WAIT),
        ),
    )


async def wake(connection: AsyncConnection, system: str, recovery: Recovery, at: datetime) -> int:
    """Wake whom the trouble of ``system`` held up, which was seen to be over at ``at``.

    Once for each instant. Who has been woken in vain lately rests first.

    Returns:
        How many.
    """
    table = wakings.c
    instant = literal(at, Instant)
    chosen = select(
        revocations.c.case_id,
        revocations.c.system,
        revocations.c.opening,
        ("w-" + cast(func.gen_random_uuid(), Text)).label("waking_id"),
        literal(recovery.value).label("recovery"),
        instant.label("since"),
        literal(WakingState.WAITS.value).label("state"),
        instant.label("not_before"),
    ).where(revocations.c.system == system, held_up(recovery, at))
    names = [column.name for column in chosen.selected_columns]
    new = insert(wakings).from_select(names, chosen)
    is_same = table.opening == new.excluded.opening
    statement = new.on_conflict_do_update(
        index_elements=["case_id", "system"],
        set_={
            **{name: new.excluded[name] for name in names if name not in {"case_id", "system"}},
            "not_before": func.greatest(
                new.excluded.not_before, case((is_same, table.rested_at), else_=None)
            ),
            "times": case((is_same, table.times), else_=0),
            "tries": 0,
            "leased_until": None,
        },
        where=and_(table.state != WakingState.WAITS.value, table.since < new.excluded.since),
    ).returning(table.case_id)
    return len((await connection.scalars(statement)).all())


async def let_wait(connection: AsyncConnection, system: str) -> None:
    """The system is in trouble again: whoever was not woken yet waits as before."""
    await connection.execute(
        update(wakings)
        .where(wakings.c.system == system, wakings.c.state == WakingState.WAITS.value)
        .values(state=WakingState.LEFT.value)
    )


class Wakings:
    """Any number of processes wake; together they keep the pace of each system."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def systems(self) -> list[str]:
        """Systems in which somebody is to be woken by now."""
        query = (
            select(wakings.c.system)
            .distinct()
            .where(wakings.c.state == WakingState.WAITS.value, wakings.c.not_before <= func.now())
        )
        async with self._engine.connect() as connection:
            return sorted((await connection.scalars(query)).all())

    async def take(
        self, system: str, now: datetime, *, per_minute: int, tick: timedelta
    ) -> list[Waking]:
        """Those whose turn it is, the urgent first; none whom a pause holds up.

        Whoever is not held up any more is struck off, and takes no turn.
        """
        async with self._engine.begin() as connection:
            if not await connection.scalar(_ALONE, {"key": f"wakings:{system}"}):
                return []
            last = await connection.scalar(
                select(func.max(wakings.c.taken_at)).where(wakings.c.system == system)
            )
            most = turns(last, now, per_minute=per_minute, tick=tick)
            taken: list[Any] = []
            while len(taken) < most:
                rows = (await connection.execute(_due(system, now, most - len(taken)))).all()
                if not rows:
                    break
                await _mark(connection, rows, now)
                taken += [row for row in rows if row.still]
        return [
            Waking(row.waking_id, row.case_id, row.system, Recovery(row.recovery), row.times)
            for row in taken
        ]

    async def done(self, waking: Waking, now: datetime, state: WakingState) -> None:
        """Its case has taken it, or has refused it; unless a newer one stands in its place."""
        values: dict[str, object] = {"state": state.value}
        if state is WakingState.WOKEN:
            times = waking.times + 1
            values |= {"times": times, "rested_at": now + rest_after(times)}
        statement = update(wakings).where(wakings.c.waking_id == waking.waking_id).values(**values)
        statement = statement.where(
            wakings.c.case_id == waking.case_id, wakings.c.system == waking.system
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def after_successes(self, since: datetime) -> int:
        """Wake where a revocation has succeeded after the faults of others, since ``since``.

        Returns:
            How many.
        """
        door = revocations.c
        began = func.min(func.coalesce(door.fault_at, door.needs_person_since))
        waiting = select(door.system, began).where(held_up(Recovery.WORKED, func.now()))
        woken = 0
        async with self._engine.begin() as connection:
            rows = (await connection.execute(waiting.group_by(door.system))).all()
            for system, first in rows:
                success = select(func.max(door.confirmed_at)).where(
                    door.system == system,
                    door.state == text("'settled'"),
                    door.outcome == Outcome.REVOKED.value,
                    door.confirmed_at > max(first, since - _OVERLAP),
                )
                last = await connection.scalar(success)
                if last is not None:
                    woken += await wake(connection, system, Recovery.WORKED, last)
        return woken

    async def left(self, system: str, scope: Scope) -> int:
        """How many in ``scope`` are still to be woken in a system."""
        query = (
            select(func.count())
            .select_from(wakings.join(cases, cases.c.case_id == wakings.c.case_id))
            .where(wakings.c.state == WakingState.WAITS.value, wakings.c.system == system)
            .where(visible(scope))
        )
        async with self._engine.connect() as connection:
            return await connection.scalar(query) or 0


_ALONE = text("select pg_try_advisory_xact_lock(hashtextextended(:key, 0))")


def _due(system: str, now: datetime, most: int) -> Any:
    """The next wakings of a system, the urgent first; ``still``: whether they are needed."""
    still = or_(
        *(
            and_(wakings.c.recovery == recovery.value, held_up(recovery, wakings.c.since))
            for recovery in Recovery
        )
    )
    dismissed = cases.c.kind == TerminationKind.INVOLUNTARY.value
    return (
        select(wakings, and_(still, revocations.c.opening == wakings.c.opening).label("still"))
        .join(
            revocations,
            (revocations.c.case_id == wakings.c.case_id)
            & (revocations.c.system == wakings.c.system),
        )
        .join(cases, cases.c.case_id == wakings.c.case_id)
        .where(wakings.c.system == system, wakings.c.state == WakingState.WAITS.value)
        .where(wakings.c.not_before <= now)
        .where(~exists().where(pauses.c.system == system, holds_case()))
        .where(func.coalesce(wakings.c.leased_until, now) <= now)
        .order_by(dismissed.desc(), revocations.c.due_at, wakings.c.case_id)
        .limit(most)
    )


async def _mark(connection: AsyncConnection, rows: Sequence[Any], now: datetime) -> None:
    """Note who is taken, until when nobody else takes them, and who needs no waking."""
    for row in rows:
        values: dict[str, object] = {"state": WakingState.LEFT.value}
        if row.still:
            lease = min(_LEASE * 2 ** min(row.tries, _DOUBLINGS), _LONGEST_LEASE)
            values = {"taken_at": now, "tries": row.tries + 1, "leased_until": now + lease}
        await connection.execute(
            update(wakings)
            .where(wakings.c.case_id == row.case_id, wakings.c.system == row.system)
            .values(**values)
        )
