"""Which checkpoint goes to which anchor, and what came of it: an outbox, one row for each.

An anchor is given one checkpoint at a time. When many were signed since, only the newest goes
there, and every heartbeat: a day without one would let a cut tail of that day go unseen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.evidence.ledger.entries import EntryKind

CLAIM = timedelta(seconds=60)
"""A process that died in the middle of a publication keeps it to itself for this long."""

SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=15)
"""Between two attempts; there is no last one."""

_DOUBLINGS = 10
_ERROR_LENGTH = 200
_HEARTBEAT = EntryKind.LEDGER_HEARTBEAT.value


class AnchorState(StrEnum):
    """How an anchor stands."""

    CURRENT = "current"
    """It holds the newest checkpoint."""
    BEHIND = "behind"
    """A newer one is on its way."""
    FAILING = "failing"
    """The last attempt failed; it is repeated."""
    UNFIT = "unfit"
    """It can never take one as it is set up; nothing is tried until a worker starts anew."""
    CONFLICT = "conflict"
    """It holds another checkpoint of some size than we do: somebody must find out why."""


@dataclass(frozen=True, slots=True)
class Due:
    """One checkpoint to publish now. ``attempts`` counts this one."""

    anchor: str
    size: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How one anchor stands.

    Args:
        size: leaves of the last checkpoint it holds; None before the first.
        done_at: when it took that one.
        behind: leaves that are signed and not yet there.
        attempts: those in a row without success, the one under way included.
        error: why the last attempt failed.
        next_at: when it is repeated.
        conflict: the smallest size of which it holds another checkpoint.
        unfit: why it can never take one as it is set up.
    """

    anchor: str
    size: int | None
    done_at: datetime | None
    behind: int
    attempts: int
    error: str | None
    next_at: datetime | None
    conflict: int | None
    unfit: str | None = None

    @property
    def state(self) -> AnchorState:
        if self.conflict is not None:
            return AnchorState.CONFLICT
        if self.unfit is not None:
            return AnchorState.UNFIT
        if self.error is not None:
            return AnchorState.FAILING
        return AnchorState.BEHIND if self.behind else AnchorState.CURRENT


class Anchorings:
    """Plans, claims and records publications. Any number of processes may use it at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def due(self, now: datetime, limit: int, *, anchors: Sequence[str]) -> list[Due]:
        """Plan for each of ``anchors`` and claim what is to be published now, for `CLAIM`.

        One process plans at a time; the others are given nothing meanwhile.
        """
        values: dict[str, object] = {"now": now, "anchors": list(anchors), "heartbeat": _HEARTBEAT}
        async with self._engine.begin() as connection:
            if not await connection.scalar(_ALONE):
                return []
            # Once for all: a heartbeat signed between two statements must not be stepped over.
            values["newest"] = await connection.scalar(_NEWEST)
            if values["newest"] is None:
                return []
            for statement in (_ADD_HEARTBEATS, _ADD_NEWEST, _SUPERSEDE):
                await connection.execute(statement, values)
            claim = {"now": now, "anchors": list(anchors), "until": now + CLAIM, "limit": limit}
            rows = (await connection.execute(_CLAIM, claim)).all()
        return [Due(row.anchor, row.size, row.attempts) for row in rows]

    async def done(self, anchor: str, size: int, *, receipt: bytes, now: datetime) -> bool:
        """Record that the anchor holds the checkpoint; True if it was failing before."""
        values = {"anchor": anchor, "size": size, "receipt": receipt, "now": now}
        async with self._engine.begin() as connection:
            was_failing = await _is_failing(connection, anchor)
            await connection.execute(_DONE, values)
            await connection.execute(_FORGIVE, {"anchor": anchor, "now": now})
        return was_failing

    async def failed(self, due: Due, *, error: str, now: datetime) -> bool:
        """Record why it was not published, and when to try again; True if that is news."""
        values = {
            "anchor": due.anchor,
            "size": due.size,
            "error": error[:_ERROR_LENGTH],
            "next_at": now + backoff(due.attempts),
        }
        async with self._engine.begin() as connection:
            was_failing = await _is_failing(connection, due.anchor)
            await connection.execute(_FAILED, values)
        return not was_failing

    async def unfit(self, anchor: str, size: int, *, error: str, now: datetime) -> bool:
        """Record that the anchor can take none as it is set up; True if that is news.

        Nothing is planned for it until `anew`, or until it has taken one all the same.
        """
        values = {"anchor": anchor, "size": size, "error": error[:_ERROR_LENGTH], "now": now}
        async with self._engine.begin() as connection:
            was_known = await connection.scalar(_IS_UNFIT, {"anchor": anchor})
            await connection.execute(_UNFIT, values)
        return not was_known

    async def anew(self, anchors: Sequence[str], *, now: datetime) -> None:
        """Try those again that could take none: what they are set up with may be another thing."""
        async with self._engine.begin() as connection:
            await connection.execute(_ANEW, {"anchors": list(anchors), "now": now})

    async def conflicted(self, anchor: str, size: int, *, error: str, now: datetime) -> None:
        """Record that the anchor holds another checkpoint of this size.

        It is not repeated, because it would not change; larger sizes are published all the same.
        """
        values = {"anchor": anchor, "size": size, "error": error[:_ERROR_LENGTH], "now": now}
        async with self._engine.begin() as connection:
            await connection.execute(_CONFLICTED, values)

    async def standings(self, anchors: Sequence[str]) -> list[Standing]:
        """How each of ``anchors`` stands, in the given order."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_STANDINGS, {"anchors": list(anchors)})).all()
        return [Standing(**row._mapping) for row in rows]  # noqa: SLF001 - public by documentation


def backoff(attempts: int) -> timedelta:
    """1 s, 2 s, 4 s … 15 min, less a random part of up to half: peers mend one by one."""
    longest = min(SHORTEST_WAIT * int(2 ** min(attempts - 1, _DOUBLINGS)), LONGEST_WAIT)
    return max(longest * random.uniform(0.5, 1), SHORTEST_WAIT)  # noqa: S311 - no secret


async def _is_failing(connection: AsyncConnection, anchor: str) -> bool:
    return bool(await connection.scalar(_FAILING, {"anchor": anchor}))


# The lock's name, not a module's: workers of an older release beside this one take the same.
_ALONE = text(
    "select pg_try_advisory_xact_lock(hashtextextended('lockstep.storage.anchorings', 0))"
)

_NEWEST = text("select max(size) from checkpoints")

_TOPS = """
    tops as (
        select name as anchor,
            (select max(a.size) from anchorings a where a.anchor = name) as size
        from unnest(cast(:anchors as text[])) as name
    )
"""
"""The largest size that was ever planned for an anchor; null before the first."""

_OPEN = """
    a.state = 'pending' and a.anchor = any(cast(:anchors as text[])) and c.reason <> :heartbeat
"""
"""An anchor has at most one pending row that is no heartbeat: its place for the newest."""

_ADD_HEARTBEATS = text(
    f"""
    with {_TOPS}
    insert into anchorings (anchor, size, next_at)
    select tops.anchor, c.size, :now
    from tops join checkpoints c on c.size > tops.size
    where c.reason = :heartbeat and c.size <= :newest
      and not exists (select from anchorings u where u.anchor = tops.anchor and u.state = 'unfit')
    on conflict do nothing
    """  # noqa: S608 - constants
)

_ADD_NEWEST = text(
    f"""
    insert into anchorings (anchor, size, next_at)
    select name, :newest, :now
    from unnest(cast(:anchors as text[])) as name
    where not exists (
        select from anchorings a join checkpoints c using (size)
        where {_OPEN} and a.anchor = name and a.next_at > :now
    )
    and not exists (select from anchorings u where u.anchor = name and u.state = 'unfit')
    on conflict do nothing
    """  # noqa: S608 - constants
)
"""Not while one is under way or waits for its time: the newest would change meanwhile."""

_SUPERSEDE = text(
    f"""
    with gone as (
        update anchorings a set state = 'superseded'
        from checkpoints c
        where c.size = a.size and {_OPEN} and a.next_at <= :now
          and a.size < :newest
        returning a.anchor, a.size, a.attempts, a.error
    )
    update anchorings a
    set attempts = greatest(a.attempts, gone.attempts), error = coalesce(a.error, gone.error)
    from gone
    where a.anchor = gone.anchor and a.size = (
        select min(p.size) from anchorings p
        where p.anchor = gone.anchor and p.state = 'pending' and p.size <> gone.size
    )
    """  # noqa: S608 - constants
)
"""Failures are the anchor's: whoever comes first after the superseded one goes on counting."""

_CLAIM = text(
    """
    with first as (
        select distinct on (anchor) anchor, size, next_at
        from anchorings
        where state = 'pending' and anchor = any(cast(:anchors as text[]))
          and not exists (
              select from anchorings u where u.anchor = anchorings.anchor and u.state = 'unfit'
          )
        order by anchor, size
    ), chosen as (
        select anchor, size from first where next_at <= :now order by next_at limit :limit
    )
    update anchorings a set attempts = a.attempts + 1, next_at = :until
    from chosen
    where a.anchor = chosen.anchor and a.size = chosen.size
    returning a.anchor, a.size, a.attempts
    """
)

_FAILING = text(
    """
    select exists (
        select from anchorings
        where anchor = :anchor and state = 'pending' and error is not null
    )
    """
)

_DONE = text(
    """
    insert into anchorings (anchor, size, state, next_at, done_at, receipt)
    values (:anchor, :size, 'done', :now, :now, :receipt)
    on conflict (anchor, size) do update
    set state = 'done', done_at = :now, receipt = :receipt, error = null
    """
)

_FORGIVE = text(
    """
    update anchorings set state = 'pending', attempts = 0, error = null, next_at = :now
    where anchor = :anchor and error is not null and state in ('pending', 'unfit')
    """
)

_IS_UNFIT = text(
    "select exists (select from anchorings where anchor = :anchor and state = 'unfit')"
)

_UNFIT = text(
    """
    insert into anchorings (anchor, size, state, next_at, error)
    values (:anchor, :size, 'unfit', :now, :error)
    on conflict (anchor, size) do update set state = 'unfit', error = :error
    where anchorings.state <> 'done'
    """
)

_ANEW = text(
    """
    update anchorings set state = 'pending', attempts = 0, error = null, next_at = :now
    where anchor = any(cast(:anchors as text[])) and state = 'unfit'
    """
)

_FAILED = text(
    """
    update anchorings set error = :error, next_at = :next_at
    where anchor = :anchor and size = :size and state = 'pending'
    """
)

_CONFLICTED = text(
    """
    insert into anchorings (anchor, size, state, next_at, error)
    values (:anchor, :size, 'conflict', :now, :error)
    on conflict (anchor, size) do update set state = 'conflict', error = :error
    """
)

_STANDINGS = text(
    """
    select name as anchor, held.size, held.done_at,
        greatest(coalesce(newest.size, 0) - coalesce(held.size, 0), 0) as behind,
        coalesce(waiting.attempts, 0) as attempts, waiting.error, waiting.next_at,
        (select min(size) from anchorings where anchor = name and state = 'conflict') as conflict,
        (select error from anchorings where anchor = name and state = 'unfit'
         order by size desc limit 1) as unfit
    from unnest(cast(:anchors as text[])) with ordinality as given (name, place)
    cross join (select max(size) as size from checkpoints) newest
    left join lateral (
        select size, done_at from anchorings
        where anchor = name and state = 'done' order by size desc limit 1
    ) held on true
    left join lateral (
        select attempts, error, next_at from anchorings
        where anchor = name and state = 'pending' order by size limit 1
    ) waiting on true
    order by given.place
    """
)
