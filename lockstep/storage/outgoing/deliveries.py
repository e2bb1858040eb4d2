"""The outbox: what must reach another system, written in the transaction that made it true."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, case, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.storage.tables.outgoing import deliveries

PENDING = "pending"
DELIVERED = "delivered"
SUPERSEDED = "superseded"

KEEP = timedelta(days=35)
"""How long what is over stays for people to look at."""

_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message. ``delivery_id`` is the receiver's key against doubles: it never changes.

    Args:
        attempts: how often it was tried, this time included.
        body: exactly what is signed and sent.
    """

    delivery_id: str
    target: str
    created_at: datetime
    attempts: int
    body: bytes = field(repr=False)


async def enqueue(connection: AsyncConnection, *, target: str, body: bytes, at: datetime) -> str:
    """Put a message into the caller's transaction; returns its id."""
    delivery_id = f"msg_{uuid.uuid4().hex}"
    await connection.execute(
        insert(deliveries).values(
            delivery_id=delivery_id,
            target=target,
            body=body,
            created_at=at,
            next_at=func.now(),
        )
    )
    return delivery_id


class Deliveries:
    """Claims and finishes messages of one installation.

    The newest pending message of a target goes first: a scorecard that was away wants to know how
    things are, not how they were. When it has arrived, older pending ones of the same day (UTC)
    are ``superseded``, and so are those of earlier days but for the last of each: that one is
    still delivered, because the trend on the other side has a point a day.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, target: str, *, lease: timedelta) -> Delivery | None:
        """Take the newest pending message if it is due, for ``lease``; others skip it.

        Whoever claimed it and died leaves it pending: it is due again when the lease ends.
        """
        newest = (
            select(deliveries.c.delivery_id)
            .where(deliveries.c.target == target, deliveries.c.state == PENDING)
            .order_by(deliveries.c.created_at.desc(), deliveries.c.delivery_id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("newest")
        )
        statement = (
            update(deliveries)
            .where(deliveries.c.delivery_id == newest.c.delivery_id)
            .where(deliveries.c.next_at <= func.now())
            .values(attempts=deliveries.c.attempts + 1, next_at=func.now() + lease)
            .returning(
                deliveries.c.delivery_id,
                deliveries.c.target,
                deliveries.c.created_at,
                deliveries.c.attempts,
                deliveries.c.body,
            )
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return Delivery(**row._mapping) if row else None  # noqa: SLF001 - public by documentation

    async def delivered(self, sent: Delivery) -> None:
        """Record the arrival, supersede what it makes old, and thin out what is over."""
        later = deliveries.alias("later")
        same_day = func.date_trunc("day", later.c.created_at, "UTC") == func.date_trunc(
            "day", deliveries.c.created_at, "UTC"
        )
        has_later = exists().where(
            and_(
                later.c.target == deliveries.c.target,
                later.c.created_at > deliveries.c.created_at,
                later.c.created_at <= sent.created_at,
                same_day,
            )
        )
        is_sent = deliveries.c.delivery_id == sent.delivery_id
        older = and_(deliveries.c.state == PENDING, deliveries.c.created_at < sent.created_at)
        statement = (
            update(deliveries)
            .where(deliveries.c.target == sent.target, or_(is_sent, older))
            .values(
                state=case((is_sent, DELIVERED), (has_later, SUPERSEDED), else_=PENDING),
                delivered_at=case((is_sent, func.now()), else_=None),
                error=case((is_sent, None), else_=deliveries.c.error),
            )
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            await connection.execute(
                delete(deliveries).where(
                    deliveries.c.target == sent.target,
                    deliveries.c.state.in_([DELIVERED, SUPERSEDED]),
                    deliveries.c.created_at < func.now() - KEEP,
                )
            )

    async def failed(self, tried: Delivery, *, error: str, wait: timedelta) -> None:
        """Record why it did not arrive, and when it is tried again; never given up."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(deliveries)
                .where(deliveries.c.delivery_id == tried.delivery_id)
                .where(deliveries.c.state == PENDING)
                .values(error=error[:_ERROR_LENGTH], next_at=func.now() + wait)
            )

    async def backlog(self) -> tuple[int, datetime | None]:
        """How many messages are pending, and since when the oldest is."""
        query = select(func.count(), func.min(deliveries.c.created_at)).where(
            deliveries.c.state == PENDING
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one()
        return int(row[0]), row[1]
