"""Events that were refused after they had come in: what people must see, and mend at the sender."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.storage.tables.intake import inbox

RECENT = timedelta(days=7)
"""So long a refused event is news."""
MOST = 200


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One event; nothing of what it says of anybody. ``verdict``: what it contradicts, if known."""

    id: int
    source: str
    event_id: str
    received_at: datetime
    verdict: str
    why: str


class RefusedEvents:
    """Reads them. What a brake's approver refused was seen by a person, and is not among them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self, *, limit: int = 50, within: timedelta = RECENT) -> list[RefusedEvent]:
        """The newest first; at most `MOST`."""
        async with self._engine.connect() as connection:
            return await refused_events(connection, limit=limit, within=within)

    async def count(self, scope: Scope, *, within: timedelta = RECENT) -> int:
        """How many; nobody knows which partner they are of, so a partner's people see none."""
        if scope.partners is not None:
            return 0
        query = select(func.count()).select_from(inbox).where(*_refused(within))
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)


async def refused_events(
    connection: AsyncConnection, *, limit: int, within: timedelta = RECENT
) -> list[RefusedEvent]:
    """See `RefusedEvents.newest`."""
    columns = [inbox.c[name] for name in ("id", "source", "dedupe_key", "received_at")]
    query = (
        select(*columns, inbox.c.verdict, inbox.c.error)
        .where(*_refused(within))
        .order_by(inbox.c.received_at.desc(), inbox.c.id.desc())
        .limit(min(limit, MOST))
    )
    return [
        RefusedEvent(
            row.id,
            row.source,
            row.dedupe_key,
            row.received_at,
            row.verdict or "",
            row.error or "",
        )
        for row in await connection.execute(query)
    ]


def _refused(within: timedelta) -> tuple[ColumnElement[bool], ...]:
    since = datetime.now(UTC) - within
    # Literal, like the index's own predicate: PostgreSQL cannot match a parameter with it.
    state = inbox.c.state == text("'refused'")
    return state, inbox.c.brake_id.is_(None), inbox.c.received_at > since
