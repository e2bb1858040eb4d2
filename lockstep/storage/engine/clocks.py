"""The database's clock, which all share, and how far others are from it.

The database decides what is due. A process whose own clock differs by more than `SKEW_MOST` begins
nothing: which of the two is wrong nobody can tell from here, and what it writes down would not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import SKEW_MOST, SKEW_TOLD, skew_of
from lockstep.storage.tables.running import clock_looks

Now = Callable[[], datetime]
"""A process's own clock (UTC)."""
TEMPORAL = "temporal"
FRESH = timedelta(seconds=90)
"""A look counts for so long; Temporal's clock is seen once a minute where nothing happens."""
_KEPT = timedelta(hours=1)
_MILLISECOND = timedelta(milliseconds=1)


class ClockError(RuntimeError):
    """Our own clock and the database's differ too much for anything to begin."""


def own_now() -> datetime:
    """This process's own clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """The database's time. ``skew``: by how much ours is ahead of it at the least."""

    now: datetime
    skew: timedelta

    @property
    def is_agreed(self) -> bool:
        return abs(self.skew) <= SKEW_MOST

    def require_agreed(self) -> None:
        """Raise ClockError where the two clocks differ too much."""
        if not self.is_agreed:
            ahead = "ahead of" if self.skew > timedelta(0) else "behind"
            seconds = f"{abs(self.skew).total_seconds():,.0f} s"
            raise ClockError(f"this machine's clock is {seconds} {ahead} the database's")


async def read_clock(connection: AsyncConnection, own: Now = own_now) -> Reading:
    """Ask the database for its time."""
    before = own()
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return Reading(now, skew_of(now, before=before, after=own()))


@dataclass(frozen=True, slots=True)
class ClockLook:
    """What was last seen of a clock. ``who``: `TEMPORAL`, or the worker's machine and process.

    ``skew``: by how much it is ahead of the database's.
    """

    who: str
    skew: timedelta
    looked_at: datetime

    @property
    def differs(self) -> bool:
        """So much that people are told."""
        return abs(self.skew) > SKEW_TOLD

    @property
    def is_wrong(self) -> bool:
        """So much that nothing begins there."""
        return abs(self.skew) > SKEW_MOST

    @property
    def words(self) -> str:
        """For people."""
        whose = "Temporal's clock" if self.who == TEMPORAL else f"the clock of worker {self.who}"
        return f"{whose} is {skew_words(self.skew)} the database's"


def skew_words(skew: timedelta) -> str:
    """For people: by how much, and which way."""
    way = "behind" if skew < timedelta(0) else "ahead of"
    return f"{abs(skew).total_seconds():,.1f} s {way}"


class Clocks:
    """Keeps what workers see of the clocks."""

    def __init__(self, engine: AsyncEngine, own: Now = own_now) -> None:
        self._engine = engine
        self._own = own

    async def measure(self) -> Reading:
        """The database's clock beside our own."""
        async with self._engine.connect() as connection:
            return await read_clock(connection, self._own)

    async def keep(self, who: str, skew: timedelta) -> None:
        """Note what was seen just now; workers that are gone are forgotten."""
        values = {"looked_at": func.clock_timestamp(), "skew_ms": skew // _MILLISECOND}
        row = insert(clock_looks).values(who=who, **values)
        row = row.on_conflict_do_update(index_elements=["who"], set_=values)
        old = delete(clock_looks).where(
            clock_looks.c.looked_at < func.clock_timestamp() - _KEPT, clock_looks.c.who != who
        )
        async with self._engine.begin() as connection:
            await connection.execute(row)
            await connection.execute(old)

    async def read(self) -> list[ClockLook]:
        """What was seen a moment ago, the worst first."""
        query = (
            select(clock_looks)
            .where(clock_looks.c.looked_at > func.clock_timestamp() - FRESH)
            .order_by(func.abs(clock_looks.c.skew_ms).desc(), clock_looks.c.who)
            .limit(100)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [ClockLook(row.who, row.skew_ms * _MILLISECOND, row.looked_at) for row in rows]
