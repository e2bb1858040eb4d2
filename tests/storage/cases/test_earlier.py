"""An opening names the person's earlier cases, so that a clock can run on from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from lockstep.storage.records import CaseRow
from tests.support.casework import Casework, leaver_keys, revised, termination


async def called_off(
    work: Casework, worker: str = "W-1", email: str = "one@example.com"
) -> CaseRow:
    said = termination(worker, keys=leaver_keys(worker, email))
    case = await work.open(said, due=timedelta(days=3))
    await work.cases.rescind(case, revised(said, 2))
    return case


async def opened(work: Casework, worker: str, email: str, **changes: object) -> list[str]:
    """What the entry that opens a new case names."""
    said = termination(worker, keys=leaver_keys(worker, email), **changes)
    case = await work.open(said)
    [body] = [body for key, body in await entries(work) if key == f"{case.case_id}:case:opened"]
    return json.loads(body)["data"].get("earlier", [])


async def entries(work: Casework) -> list[tuple[str, bytes]]:
    async with work.engine.connect() as connection:
        rows = await connection.execute(text("select key, body from ledger_entries"))
        return [(row.key, bytes(row.body)) for row in rows]


async def test_who_is_reported_anew_is_known(work):
    """By the same number of the same source, whatever the spell and the address."""
    before = await called_off(work)

    assert await opened(work, "W-1", "new@example.com", spell="2") == [before.case_id]


async def test_who_is_reported_under_another_number_is_known_by_the_address(work):
    """HR may number the person anew; the mail box stays."""
    before = await called_off(work)

    assert await opened(work, "W-999", "ONE@example.com") == [before.case_id]


async def test_somebody_else_is_nobody_before(work):
    """Another number and another address are another person."""
    await called_off(work)

    assert await opened(work, "W-2", "two@example.com") == []


async def test_what_had_begun_is_not_named(work):
    """It cannot be called off any more: its own clock runs."""
    said = termination("W-1", keys=leaver_keys("W-1", "one@example.com"))
    case = await work.open(said, due=timedelta(hours=-1))

    assert case.begun_at is not None
    assert await opened(work, "W-1", "one@example.com", spell="2") == []


async def test_a_rescission_happened_when_it_was_received(work):
    """However long it waited: what was called off in time counts so."""
    said = termination("W-1")
    case = await work.open(said, due=timedelta(days=3))
    heard = datetime.now(UTC) - timedelta(minutes=5)
    await work.cases.rescind(case, revised(said, 2), heard_at=heard)
    [entry] = [json.loads(body) for key, body in await entries(work) if ":case:rescinded" in key]

    assert entry["occurred_at"] < entry["recorded_at"]
    assert entry["occurred_at"][:19] == heard.isoformat()[:19]
