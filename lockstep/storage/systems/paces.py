"""The pace of each vendor credential: one row that all processes lease turns from.

The database's clock decides. A lease is a few turns within the next moments; it costs one short
transaction, however many calls it serves, and what is not used lapses by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.systems.pace import (
    Ask,
    Budget,
    Lease,
    LeaseError,
    Limit,
    Others,
    Told,
    Urgency,
    lease,
)
from lockstep.storage.engine.database import single_reads
from lockstep.storage.tables.systems import paces

_ASKS_FOR_S = 1.5
"""So long counts what a process waits for; it asks again within a second, or is gone."""
_HOLDS_FOR_S = 30.0
"""So long count the calls that a process has under way: longer than a call may take."""
_MOST_KEPT = 32


@dataclass(frozen=True, slots=True)
class Pace:
    """How one credential is used, for people.

    Args:
        share: of its limit that is used now.
        told: what the vendor last said of its limit, and when.
        given: turns ever given out.
        refused: calls that the vendor refused for its limit; the last one when.
        blocked_until: the vendor takes nothing before.
    """

    budget: str
    share: float
    told: Told | None
    told_at: datetime | None
    given: int
    refused: int
    refused_at: datetime | None
    blocked_until: datetime | None


class PaceLeases:
    """Leases of one budget to one process.

    Args:
        budget: the name under which all processes know the credential.
        asker: this process.
    """

    def __init__(self, engine: AsyncEngine, budget: str, asker: str) -> None:
        self._engine = engine
        self._budget = budget
        self._asker = asker
        self._is_there = False

    async def lease(self, limit: Limit, ask: Ask) -> Lease:
        """Serve this process.

        Raises:
            LeaseError: the database does not answer.
        """
        try:
            async with self._engine.begin() as connection:
                if not self._is_there:
                    await connection.execute(
                        insert(paces).values(budget=self._budget).on_conflict_do_nothing()
                    )
                given = await self._leased(connection, limit, ask)
        except SQLAlchemyError as error:
            raise LeaseError(type(error).__name__) from None
        self._is_there = True
        return given

    async def _leased(self, connection: AsyncConnection, limit: Limit, ask: Ask) -> Lease:
        row = (
            await connection.execute(
                select(
                    paces.c.state,
                    paces.c.askers,
                    func.extract("epoch", func.clock_timestamp()).label("now"),
                )
                .where(paces.c.budget == self._budget)
                .with_for_update()
            )
        ).one()
        now = float(row.now)
        live = {name: its for name, its in row.askers.items() if its["until"] > now}
        live.pop(self._asker, None)
        others = {name: _others(its, now) for name, its in live.items()}
        budget, given = lease(Budget(**row.state), limit, ask, others, now)
        still = sorted((*ask.waiting[len(given.turns) :], *ask.soon))
        mine = _row(still, given.seats or 0, now)
        values: dict[str, object] = {
            "state": asdict(budget),
            "askers": {**live, self._asker: mine} if mine else live,
            "given": paces.c.given + len(given.turns),
            **_learnt(ask, now),
        }
        await connection.execute(update(paces).where(paces.c.budget == self._budget).values(values))
        return given


class Paces:
    """How every credential is used, for people."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._reads = single_reads(engine)

    async def all(self) -> Mapping[str, Pace]:
        async with self._reads.connect() as connection:
            rows = (await connection.execute(select(paces))).all()
        return {row.budget: _pace(row) for row in rows}


def _others(its: Mapping[str, Any], now: float) -> Others:
    waits = its["waiting"] if its["asks_until"] > now else ()
    waiting = tuple(Urgency(int(band), int(rank), due, since) for band, rank, due, since in waits)
    return Others(waiting, int(its["seats"]))


def _row(waiting: Sequence[Urgency], seats: int, now: float) -> dict[str, object] | None:
    if not waiting and not seats:
        return None
    return {
        "waiting": [[one.band, one.priority, one.due, one.since] for one in waiting[:_MOST_KEPT]],
        "seats": seats,
        "asks_until": now + _ASKS_FOR_S,
        "until": now + (_HOLDS_FOR_S if seats else _ASKS_FOR_S),
    }


def _learnt(ask: Ask, now: float) -> dict[str, object]:
    values: dict[str, object] = {}
    if stated := [told for _, told in ask.told if told.limit is not None]:
        values |= {"told": asdict(stated[-1]), "told_at": _instant(now)}
    if refused := sum(1 for _, told in ask.told if told.refused):
        values |= {"refused": paces.c.refused + refused, "refused_at": _instant(now)}
    return values


def _pace(row: Any) -> Pace:
    budget = Budget(**cast("dict[str, float]", row.state))
    return Pace(
        budget=row.budget,
        share=budget.share,
        told=Told(**row.told) if row.told else None,
        told_at=row.told_at,
        given=row.given,
        refused=row.refused,
        refused_at=row.refused_at,
        blocked_until=_instant(budget.blocked_until) if budget.blocked_until else None,
    )


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
