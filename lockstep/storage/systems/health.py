"""What workers last saw of each system: health, rate limit, circuit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.systems.faults import Recovery
from lockstep.storage.systems.waking import let_wait, wake
from lockstep.storage.tables.systems import system_health


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a health check found. ``blocks``: nothing can be revoked while it lasts."""

    code: str
    summary: str
    fix: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Health:
    """One system as a worker last saw it (UTC)."""

    system: str
    checked_at: datetime
    latency_ms: int | None
    troubles: tuple[Trouble, ...]
    limited_until: datetime | None
    circuit_open_until: datetime | None

    @property
    def is_blocked(self) -> bool:
        return any(trouble.blocks for trouble in self.troubles)


class SystemHealth:
    """Any number of workers write; the newest look counts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(
        self,
        system: str,
        troubles: Sequence[Trouble],
        *,
        checked_at: datetime,
        latency_ms: int | None,
    ) -> None:
        """Keep what a health check found; whom the system's trouble held up is woken at its end.

        In one transaction: a look that is kept has woken them, whatever dies afterwards.
        """
        values = {
            "checked_at": checked_at,
            "latency_ms": latency_ms,
            "problems": [
                {
                    "code": trouble.code,
                    "summary": trouble.summary,
                    "fix": trouble.fix,
                    "blocks": trouble.blocks,
                }
                for trouble in troubles
            ],
        }
        statement = (
            insert(system_health)
            .values(system=system, **values)
            .on_conflict_do_update(
                index_elements=["system"],
                set_=values,
                where=system_health.c.checked_at < checked_at,
            )
        )
        blocks = any(trouble.blocks for trouble in troubles)
        before = select(system_health.c.problems).where(system_health.c.system == system)
        async with self._engine.begin() as connection:
            kept = (await connection.execute(before.with_for_update())).one_or_none()
            if await connection.scalar(statement.returning(system_health.c.system)) is None:
                return  # another worker has looked since
            if blocks:
                await let_wait(connection, system)
            elif kept is not None and any(found["blocks"] for found in kept.problems):
                await wake(connection, system, Recovery.HEALTHY, checked_at)

    async def strained(
        self, system: str, *, limited_until: datetime | None, circuit_open_until: datetime | None
    ) -> bool:
        """Keep until when a system is limited, and left to its queue; False before any look."""
        table = system_health
        statement = (
            update(table)
            .where(table.c.system == system)
            .values(
                # Of several workers the one that waits longest; ``greatest`` passes over nulls.
                limited_until=func.greatest(table.c.limited_until, limited_until),
                circuit_open_until=func.greatest(table.c.circuit_open_until, circuit_open_until),
            )
        )
        async with self._engine.begin() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def all(self, systems: Collection[str]) -> Mapping[str, Health]:
        """What is known of these systems, by name."""
        query = select(system_health).where(system_health.c.system.in_(sorted(systems)))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {
            row.system: Health(
                row.system,
                row.checked_at,
                row.latency_ms,
                tuple(Trouble(**found) for found in row.problems),
                row.limited_until,
                row.circuit_open_until,
            )
            for row in rows
        }
