"""A seat from the first look to the sum: only what was read back as freed is told as freed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from lockstep.control.score.questions import QuestionError
from lockstep.control.systems.seats import SeatDesk, SeatReport
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.domain.systems.access import Access, AccessKind
from lockstep.domain.systems.seats import Prices
from tests.activities.conftest import Bench
from tests.support.casework import OTHER, SYSTEM, WORKER

SEAT = Access(AccessKind.SEAT, "licence-1")
PRICES = Prices("EUR", {SYSTEM: 1250})
MONTH = f"{datetime.now(UTC):%Y-%m}"


async def report(bench: Bench, scope: Scope = EVERYTHING, month: str = "") -> SeatReport:
    desk = SeatDesk(bench.work.stores.freed_seats, PRICES, {SYSTEM: True, OTHER: False})
    return await desk.report(scope, month=month)


async def test_a_freed_seat_is_summed_by_month_and_partner(bench: Bench) -> None:
    """It stood, was closed and read back: it is in the ledger, and in the sum with its price."""
    bench.connector.standing[WORKER].add(SEAT)
    await bench.revoke()
    [outcome] = await bench.outcomes()
    told = await report(bench)
    [row] = told.rows

    assert "seat" in [item["kind"] for item in outcome["removed"]]
    assert (row.month, row.partner, row.seats, row.monthly) == (MONTH, "northwind", 1, 1250)
    assert (told.counting, told.silent) == ((SYSTEM,), (OTHER,))
    assert (await report(bench, month=MONTH)).rows == told.rows
    assert (await report(bench, month="2020-01")).rows == ()


async def test_an_accepted_call_frees_nothing(bench: Bench) -> None:
    """While the vendor still counts it, nothing is told as freed."""
    bench.connector.standing[WORKER].add(SEAT)
    bench.connector.ineffective = 1
    with pytest.raises(ApplicationError):
        await bench.revoke()

    assert (await report(bench)).rows == ()


async def test_other_partners_seats_are_not_told(bench: Bench) -> None:
    """Whoever may know of another partner only sees none."""
    bench.connector.standing[WORKER].add(SEAT)
    await bench.revoke()

    assert (await report(bench, Scope(frozenset({"contoso"})))).rows == ()


@pytest.mark.parametrize("change", ["state = 'revoking', outcome = null", "outcome = 'attested'"])
async def test_what_is_open_again_or_a_persons_word_is_not_freed(bench: Bench, change: str) -> None:
    """Access came back, or somebody attested: no read-back stands that shows it gone."""
    bench.connector.standing[WORKER].add(SEAT)
    await bench.revoke()
    async with bench.work.engine.begin() as connection:
        await connection.execute(text(f"update revocations set {change}"))

    assert (await report(bench)).rows == ()


async def test_a_month_that_is_none_is_refused(bench: Bench) -> None:
    """With what to write instead."""
    with pytest.raises(QuestionError, match="YYYY-MM"):
        await report(bench, month="November")
