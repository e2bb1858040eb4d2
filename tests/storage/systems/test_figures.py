"""Figures of systems: settled, how fast, what waits, looks; and the plans that make them cheap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.rights import Scope
from lockstep.storage.systems.figures import SystemFigures
from tests.support.casework import OTHER, SYSTEM, Casework, termination

EVERYBODY = Scope(None)


@pytest.fixture
async def work(engine, ring) -> Casework:
    made = Casework(engine, ring)
    await made.adopt()
    return made


async def change(work: Casework, case_id: str, assignments: str) -> None:
    async with work.engine.begin() as connection:
        await connection.execute(
            text(
                f"update revocations set {assignments} where case_id = :case and system = :system"
            ),
            {"case": case_id, "system": SYSTEM},
        )


async def test_settled_is_counted_by_who_did_it_and_how_fast(work):
    """Of a day and of a week; the time is from the first attempt to the vendor's acceptance."""
    settled = "state = 'settled', confirmed_at = now() - interval '{age}', outcome = '{outcome}'"
    timed = ", first_attempt_at = now(), accepted_at = now() + interval '{ms} ms'"
    for number, (age, outcome, ms) in enumerate(
        [("1 hour", "revoked", 100), ("1 hour", "revoked", 300), ("2 days", "already_absent", 900)]
    ):
        case = await work.open(termination(f"W-{number}"))
        given = settled.format(age=age, outcome=outcome) + timed.format(ms=ms)
        await change(work, case.case_id, given)
    for number, (age, outcome) in enumerate([("1 hour", "attested"), ("8 days", "revoked")]):
        case = await work.open(termination(f"W-more-{number}"))
        await change(work, case.case_id, settled.format(age=age, outcome=outcome))
    figures = (await SystemFigures(work.engine).all(EVERYBODY, now=datetime.now(UTC)))[SYSTEM]

    assert (figures.day.by_us, figures.day.by_people, figures.day.median_ms) == (2, 1, 200)
    assert (figures.week.by_us, figures.week.by_people, figures.week.median_ms) == (3, 1, 300)
    assert (figures.day.p95_ms, figures.week.p95_ms) == (290, 840)


async def test_what_waits_is_counted_by_state_and_due(work):
    """A settled system does not wait, and neither does one whose cutoff is to come."""
    late = await work.open(termination("W-1"))
    await change(work, late.case_id, "state = 'needs_person', due_at = now() - interval '1 hour'")
    await work.open(termination("W-2"))
    await work.open(termination("W-3"), due=timedelta(days=1))
    figures = await SystemFigures(work.engine).all(EVERYBODY, now=datetime.now(UTC))
    waiting = figures[SYSTEM].waiting

    assert (waiting.count, waiting.needs_person, waiting.overdue) == (2, 1, 1)
    assert figures[OTHER].waiting.overdue == 0
    rows = await SystemFigures(work.engine).waiting(SYSTEM, EVERYBODY)
    assert (rows[0].case_id, len(rows)) == (late.case_id, 2)


async def test_looks_that_failed_and_access_that_came_back(work):
    """A look that found access is one that was made."""
    case = await work.open()
    kinds = {
        "a": ("watch:look", '{"data":{"look":1,"standing":[]}}'),
        "b": ("watch:look", '{"data":{"look":1,"attempt":1,"category":"timeout"}}'),
    }
    async with work.engine.begin() as connection:
        for key, (kind, body) in kinds.items():
            await connection.execute(
                text(
                    "insert into ledger_entries"
                    " (key, kind, case_id, system, recorded_at, body, leaf_hash)"
                    " values (:key, :kind, :case, :system, now(), :body, sha256(:body))"
                ),
                {
                    "key": key,
                    "kind": kind,
                    "case": case.case_id,
                    "system": SYSTEM,
                    "body": body.encode(),
                },
            )
        await connection.execute(
            text(
                "insert into findings (finding_id, case_id, system, kind, raised_at)"
                " values ('f', :case, :system, 'access_returned', now())"
            ),
            {"case": case.case_id, "system": SYSTEM},
        )
    looks = await SystemFigures(work.engine).looks(SYSTEM, EVERYBODY, now=datetime.now(UTC))

    assert (looks.made, looks.failed, looks.returned) == (2, 1, 1)


async def test_nothing_is_read_through(work):
    """Entries and settled revocations are found by index, however many there are."""
    plans = {
        "ix_ledger_entries_trouble": "select 1 from ledger_entries where kind = 'revocation:fault'"
        " and system = 'x' and recorded_at > now() - interval '2 days'",
        "ix_revocations_settled": "select 1 from revocations where state = 'settled'"
        " and confirmed_at > now() - interval '7 days'",
    }
    async with work.engine.begin() as connection:
        await connection.execute(text("set local enable_seqscan = off"))
        for index, query in plans.items():
            plan = (await connection.execute(text(f"explain {query}"))).scalars().all()
            assert index in "\n".join(plan)
