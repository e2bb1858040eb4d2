"""What a pack takes from the database beside the ledger's leaves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.ledger.amendments import AMENDED
from lockstep.storage.ledger.checkpoints import BrokenOrderError
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.intake import inbox
from lockstep.storage.tables.ledger import checkpoints, ledger_entries, ledger_leaves
from lockstep.storage.tables.outgoing import anchorings

_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Head:
    """An earlier signed head."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class HrEvents:
    """How many events of one source met the same end for one case; ``case_id`` "" for none."""

    case_id: str
    source: str
    state: str
    verdict: str
    count: int


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view of the database, read only."""
    async with engine.connect() as connection:
        steady = await connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        yield steady


async def earlier_heads(
    connection: AsyncConnection, size: int, bounds: Sequence[datetime]
) -> list[Head]:
    """Heads of smaller trees: the last of each day (UTC), and the last at each of ``bounds``."""
    day = func.date_trunc(literal_column("'day'"), checkpoints.c.signed_at, literal_column("'UTC'"))
    daily = select(func.max(checkpoints.c.size)).where(checkpoints.c.size < size).group_by(day)
    at_bounds = [
        checkpoints.c.size
        == select(func.max(checkpoints.c.size))
        .where(checkpoints.c.size < size, checkpoints.c.signed_at <= bound)
        .scalar_subquery()
        for bound in bounds
    ]
    query = (
        select(checkpoints.c.size, checkpoints.c.root, checkpoints.c.note)
        .where(or_(checkpoints.c.size.in_(daily), *at_bounds))
        .order_by(checkpoints.c.size)
    )
    rows = (await connection.execute(query)).all()
    return [Head(row.size, bytes(row.root), bytes(row.note).decode()) for row in rows]


async def coming_cases(connection: AsyncConnection) -> frozenset[str]:
    """Cases whose cutoff is still to come, whatever their kind; called off or not."""
    query = select(cases.c.case_id).where(
        cases.c.begun_at.is_(None), cases.c.cutoff_at > func.now()
    )
    return frozenset((await connection.scalars(query)).all())


async def receipts(connection: AsyncConnection, size: int) -> dict[str, bytes]:
    """What the anchors answered for the head of ``size`` leaves, by anchor."""
    query = select(anchorings.c.anchor, anchorings.c.receipt).where(
        anchorings.c.size == size,
        anchorings.c.state == "done",
        anchorings.c.receipt.is_not(None),
    )
    return {row.anchor: bytes(row.receipt) for row in await connection.execute(query)}


async def hand_overs(connection: AsyncConnection) -> list[bytes]:
    """The entries by which the ledger's key was handed over, oldest first.

    All of them: who signs the pack today may have got the key after the pack's checkpoint.
    """
    query = (
        select(ledger_entries.c.body)
        .where(ledger_entries.c.kind == "ledger:key_handed_over")
        .order_by(ledger_entries.c.id)
    )
    return [bytes(body) for body in await connection.scalars(query)]


async def hr_events(
    connection: AsyncConnection, *, start: datetime, end: datetime, as_of: datetime
) -> AsyncIterator[HrEvents]:
    """Counts of received events: all that belong to a case, and those without one of a period.

    Only what was received by ``as_of``, and as it was then: what was read later was waiting, so
    that the same pack has the same counts whenever it is made. Counts alone, never what an event
    says.
    """
    was_read = inbox.c.finished_at <= as_of
    then = (
        select(
            inbox.c.received_at,
            inbox.c.source,
            case((was_read, inbox.c.case_id)).label("case_id"),
            case((was_read, inbox.c.state), else_="pending").label("state"),
            case((was_read, inbox.c.verdict)).label("verdict"),
        )
        .where(inbox.c.received_at <= as_of)
        .subquery()
    )
    homeless = and_(then.c.case_id.is_(None), then.c.received_at >= start, then.c.received_at < end)
    columns = (then.c.case_id, then.c.source, then.c.state, then.c.verdict)
    query = (
        select(*columns, func.count().label("events"))
        .where(or_(then.c.case_id.is_not(None), homeless))
        .group_by(*columns)
    )
    rows = await connection.stream(query.execution_options(yield_per=_PAGE))
    async for row in rows:
        yield HrEvents(row.case_id or "", row.source, row.state, row.verdict or "", row.events)


async def moved_partners(connection: AsyncConnection, size: int) -> dict[str, str]:
    """The partner that the last amendment in the tree of ``size`` leaves names, by case.

    Raises:
        BrokenOrderError: if an entry is not what was hashed.
    """
    query = (
        select(
            ledger_entries.c.case_id,
            ledger_leaves.c.leaf_index,
            ledger_entries.c.body,
            ledger_entries.c.leaf_hash,
        )
        .join(ledger_leaves, ledger_leaves.c.entry_id == ledger_entries.c.id)
        .where(ledger_entries.c.kind == AMENDED, ledger_leaves.c.leaf_index < size)
        .order_by(ledger_leaves.c.leaf_index)
    )
    found: dict[str, str] = {}
    rows = await connection.stream(query.execution_options(yield_per=_PAGE))
    async for case_id, leaf, body, digest in rows:
        if leaf_hash(body) != digest:
            raise BrokenOrderError(f"entry {leaf} of the ledger is not what was hashed")
        named = json.loads(body).get("data", {}).get("partner")
        if isinstance(named, str):
            found[case_id] = named
    return found


async def entries_of(
    engine: AsyncEngine, case_ids: Sequence[str], size: int
) -> Mapping[str, list[tuple[int, bytes]]]:
    """The entries of some cases that lie in the tree of ``size`` leaves, in leaf order.

    Raises:
        BrokenOrderError: if an entry is not what was hashed.
    """
    query = (
        select(
            ledger_entries.c.case_id,
            ledger_leaves.c.leaf_index,
            ledger_entries.c.body,
            ledger_entries.c.leaf_hash,
        )
        .join(ledger_leaves, ledger_leaves.c.entry_id == ledger_entries.c.id)
        .where(ledger_entries.c.case_id.in_(case_ids), ledger_leaves.c.leaf_index < size)
        .order_by(ledger_leaves.c.leaf_index)
    )
    found: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    async with engine.connect() as connection:
        for case_id, leaf, body, digest in await connection.execute(query):
            if leaf_hash(body) != digest:
                raise BrokenOrderError(f"entry {leaf} of the ledger is not what was hashed")
            found[case_id].append((leaf, bytes(body)))
    return found
