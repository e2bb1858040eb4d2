"""Facts of cases as the sequencer leaves them, made by hand: quick, slow, open, of any partner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.evidence.ledger.history import facts_document
from lockstep.scorecard.facts import CaseFacts, ItemFacts
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.score.projection import is_open

HOUR = 3_600_000
DAY = 24 * HOUR
POLICY = "a" * 64


def ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def now_ms() -> int:
    return ms(datetime.now(UTC))


def facts(
    name: str,
    *,
    ago: int = 10 * DAY,
    took: int | None = HOUR // 10,
    partner: str = "northwind",
    tier: str = "1",
    **changes: object,
) -> CaseFacts:
    """One leaver with one system whose SLA is 4 hours; ``took`` None leaves it open."""
    cutoff = now_ms() - ago
    item = ItemFacts(
        system="okta-prod",
        category="identity",
        tier=tier,
        required=True,
        sla_ms=4 * HOUR,
        accounts=1,
        first_attempt_at=cutoff,
    )
    if took is not None:
        gone = cutoff + took
        item = replace(item, outcome="revoked", grade="A", off_at=gone, read_back_at=gone)
    case = CaseFacts(
        case_id=f"case-{name}",
        subject="00000000-0000-4000-8000-000000000000",
        kind="voluntary",
        source="hr",
        partner=partner,
        site="cebu",
        zone="Asia/Manila",
        recorded_at=cutoff - HOUR,
        cutoff_at=cutoff,
        shown_cutoff_at=cutoff,
        received_at=cutoff - HOUR,
        opened_at=cutoff - HOUR,
        begun_at=cutoff,
        policy=POLICY,
        first_leaf=0,
        items=(item,),
        closed_at=None if took is None else cutoff + took,
    )
    return replace(case, **changes)


async def store(engine: AsyncEngine, cases: Sequence[CaseFacts]) -> None:
    """Put facts where the sequencer puts them."""
    statement = text(
        "insert into case_facts (case_id, partner, cutoff_at, is_open, through, document) values"
        " (:case_id, :partner, :cutoff_at, :is_open, 0, cast(:document as jsonb))"
    )
    rows = [
        {
            "case_id": case.case_id,
            "partner": case.partner,
            "cutoff_at": datetime.fromtimestamp(0, UTC)
            + timedelta(milliseconds=case.shown_cutoff_at),
            "is_open": is_open(case),
            "document": json.dumps(facts_document(case)),
        }
        for case in cases
    ]
    async with engine.begin() as connection:
        await connection.execute(statement, rows)


async def listen(
    engine: AsyncEngine,
    *sources: str,
    expected: timedelta = timedelta(days=30),
    heard: timedelta | None = None,
) -> None:
    """Sources of HR that are expected for so long and were heard so long ago, on sealed record."""
    feeds, now = Feeds(engine, "acme"), datetime.now(UTC)
    await feeds.expect(sources, at=now - expected)
    for source in sources if heard is not None else ():
        await feeds.hear(source, sent_at=now - heard, received_at=now - heard)
    # Placed: what waits too long for a head would be another reason for no score.
    statement = text(
        "insert into ledger_leaves (leaf_index, entry_id) select row_number() over (order by id)"
        " - 1, id from ledger_entries on conflict do nothing"
    )
    async with engine.begin() as connection:
        await connection.execute(statement)


async def sign_head(
    engine: AsyncEngine, size: int, *, reason: str = "case:closed", ago: timedelta = timedelta(0)
) -> None:
    """A head as the sequencer stores it; nobody here looks into its note."""
    statement = text(
        "insert into checkpoints (size, root, frontier, note, key_name, reason, signed_at)"
        " values (:size, :root, '', 'note', 'acme', :reason, now() - :ago)"
    )
    row = {"size": size, "root": bytes([size % 256]) * 32, "reason": reason, "ago": ago}
    async with engine.begin() as connection:
        await connection.execute(statement, row)
