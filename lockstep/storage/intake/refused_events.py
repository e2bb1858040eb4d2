"""Events of HR that were not carried out, or not in full: what people must see, and mend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, case, func, literal, not_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.rights import Scope
from lockstep.storage.tables.intake import inbox

RECENT = timedelta(days=7)
"""So long a refused event is news. One that cannot be read is, until it can."""
MOST = 200
WAITS = timedelta(minutes=5)
"""So long an event waits for a worker that is busy; longer, and people are told."""


AT_THE_BRAKE = "refused at the brake: "
"""How the error of what an approver refused begins: nothing else of the row tells it from what
was let go, and refused afterwards."""


def erased_error() -> ColumnElement[str | None]:
    """What is left of an error once its leaver is erased: it may quote an approver, or HR."""
    return case(
        (inbox.c.error.startswith(AT_THE_BRAKE), literal(f"{AT_THE_BRAKE}erased")),
        (and_(inbox.c.state == "refused", inbox.c.error.is_not(None)), literal("erased")),
        else_=None,
    )


class Trouble(StrEnum):
    """What is wrong with an event. Public: stands in answers of ``--json``."""

    REFUSED = "refused"
    UNREADABLE = "unreadable"
    """The keyring does not open it: it waits, and nothing is done about what it says."""
    IN_PART = "in_part"
    """It was carried out, but people have to look: accounts of a system that nobody has configured,
    keys by which nobody searches any more, a number of somebody else."""


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One event; nothing of what it says of anybody. ``verdict``: what it contradicts, if known."""

    id: int
    source: str
    event_id: str
    received_at: datetime
    verdict: str
    why: str
    trouble: Trouble = Trouble.REFUSED


@dataclass(frozen=True, slots=True)
class TroubledEvents:
    """What is known of events that were not carried out, or not in full.

    Args:
        newest: some of them, the newest first.
        total: of how many.
        waiting: how many more wait for longer than they should, although they can be read.
        waiting_since: when the first of those came in.
    """

    newest: tuple[RefusedEvent, ...] = ()
    total: int = 0
    waiting: int = 0
    waiting_since: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.total or self.waiting)


class RefusedEvents:
    """Reads them. What a brake's approver refused was seen by a person, and is not among them.

    Nobody knows which partner they are of, so a partner's people see none.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self, *, limit: int = 50, within: timedelta = RECENT) -> list[RefusedEvent]:
        """The newest first; at most `MOST`."""
        async with self._engine.connect() as connection:
            return await _newest(connection, limit=limit, within=within)

    async def read(self, scope: Scope, *, limit: int) -> TroubledEvents:
        """The newest ``limit``, and how many there are."""
        if scope.partners is not None:
            return TroubledEvents()
        async with self._engine.connect() as connection:
            return await troubled_events(connection, limit=limit)


async def troubled_events(
    connection: AsyncConnection, *, limit: int, within: timedelta = RECENT
) -> TroubledEvents:
    """The newest ``limit``, and how many there are; for whoever may know of every partner."""
    count = select(func.count()).select_from(inbox).where(troubled(within))
    total = int(await connection.scalar(count) or 0)
    waits = select(func.count(), func.min(inbox.c.received_at)).where(waits_too_long())
    waiting, since = (await connection.execute(waits)).one()
    newest = await _newest(connection, limit=limit, within=within) if total else []
    return TroubledEvents(tuple(newest), total, waiting, since)


async def _newest(
    connection: AsyncConnection, *, limit: int, within: timedelta
) -> list[RefusedEvent]:
    columns = [inbox.c[name] for name in ("id", "source", "dedupe_key", "received_at", "state")]
    query = (
        select(*columns, inbox.c.verdict, inbox.c.error)
        .where(troubled(within))
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
            _TROUBLES[row.state],
        )
        for row in await connection.execute(query)
    ]


_TROUBLES = {
    "refused": Trouble.REFUSED,
    "pending": Trouble.UNREADABLE,
    "done": Trouble.IN_PART,
}
"""By the state of a row that has an error."""


def troubled(within: timedelta) -> ColumnElement[bool]:
    """The condition on a row of the inbox.

    Literal, like the predicates of its indexes: PostgreSQL cannot match a parameter with them.
    """
    is_recent = inbox.c.received_at > func.now() - within
    return or_(
        and_(inbox.c.state == text("'refused'"), inbox.c.brake_id.is_(None), is_recent),
        and_(
            inbox.c.state == text("'refused'"),
            inbox.c.brake_id.is_not(None),
            not_(func.coalesce(inbox.c.error, "").startswith(AT_THE_BRAKE)),
            is_recent,
        ),
        and_(inbox.c.state == text("'done'"), inbox.c.error.is_not(None), is_recent),
        and_(inbox.c.state == text("'pending'"), inbox.c.error.is_not(None)),
    )


def waits_too_long() -> ColumnElement[bool]:
    """The condition on an event that can be read, for all that is known, and is not carried out."""
    return and_(
        inbox.c.state == text("'pending'"),
        inbox.c.error.is_(None),
        inbox.c.received_at < func.now() - WAITS,
    )
