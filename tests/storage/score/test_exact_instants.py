"""Rows and entries tell the same instants to the millisecond, so the same durations follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.domain.cases.clocks import VendorClock
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import reckon
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Match,
    Observation,
    Proof,
    Search,
)
from lockstep.storage.cases.rows import Opening
from lockstep.storage.systems.revocations import Progress
from lockstep.storage.systems.snapshots import Snapshot
from tests.storage.cases.test_endings import finding
from tests.support.casework import OTHER, SYSTEM, revised, termination

FINE = timedelta(microseconds=789)
ACCOUNT = Account("a1", "a1")
ACCESS = Access(AccessKind.SIGN_IN, "a1")


def fine(moment: datetime) -> datetime:
    """An instant that has a fraction of a millisecond for certain."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) + FINE


def read(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


async def revoke(work, case_id: str) -> None:
    item = await work.revocations.load(case_id, SYSTEM, 1)
    now = fine(datetime.now(UTC))
    action = Action(ACCESS, now, "memory.close")
    closing = reckon(
        before=[ACCESS],
        after=[Observation("a1", exists=True, standing=(), off_since=now)],
        actions=[action],
        confirmed_at=now + timedelta(milliseconds=3),
        clock=VendorClock(timedelta(0)),
    )
    await work.revocations.outcome(
        item,
        round_=1,
        attempt=1,
        closing=closing,
        work=Progress(
            Snapshot((ACCOUNT,), {"a1": (ACCESS,)}, (action,)),
            Location(
                (Match(ACCOUNT, KeyKind.WORKER_ID),),
                (Search(KeyKind.WORKER_ID, "W-1", Proof.PROVED),),
            ),
        ),
        exchanges=[],
        dropped=0,
    )


async def test_every_fact_of_a_case_is_the_same_in_rows_and_entries(work):
    """Opening, amendment, outcome, attestation and closing, from instants that are finer."""
    now = fine(datetime.now(UTC))
    said = termination(recorded_at=now - timedelta(hours=1))
    opening = Opening(said, now, now + timedelta(hours=1))
    [case] = await work.cases.open([opening], work.policy)
    await work.cases.amend(case, revised(said, 2), now)
    await work.cases.begin(case.case_id)
    await revoke(work, case.case_id)
    decision = Decision(
        "d1", DecisionKind.ATTEST, OTHER, "ops", "seen", until=now + timedelta(days=1)
    )
    await work.cases.decide(DecisionInput(case.case_id, 1, decision))
    await work.close(case.case_id, 1)

    row = await work.case(case.case_id)
    entries = {entry["kind"]: entry for entry in await work.entries(case.case_id)}
    opened, amended = entries["case:opened"], entries["case:amended"]
    outcome, attested = entries["revocation:outcome"], entries["decision:attest"]
    assert row["recorded_at"] == read(opened["data"]["hr_recorded_at"])
    assert row["received_at"] == read(opened["data"]["received_at"])
    assert row["opened_at"] == read(opened["recorded_at"])
    assert row["cutoff_at"] == read(amended["data"]["cutoff_at"])
    assert row["begun_at"] == read(entries["case:begun"]["occurred_at"])
    assert row["closed_at"] == read(entries["case:closed"]["occurred_at"])
    door = await work.row(case.case_id)
    assert door.revoked_at == read(outcome["data"]["revoked_at"])
    assert door.confirmed_at == read(outcome["data"]["confirmed_at"])
    by_hand = await work.row(case.case_id, OTHER)
    assert by_hand.revoked_at == by_hand.confirmed_at == read(attested["occurred_at"])
    assert outcome["data"]["time_to_revocation_ms"] == max(
        0, (door.revoked_at - row["cutoff_at"]) // timedelta(milliseconds=1)
    )
    async with work.engine.connect() as connection:
        query = text("select decided_at, until from decisions")
        decided_at, until = (await connection.execute(query)).one()
    assert decided_at == read(attested["occurred_at"])
    assert until == read(attested["data"]["until"])


async def test_a_finding_is_raised_when_its_entry_says(work):
    """Not a moment later, when the row is written."""
    case = await work.open()
    entry = finding(case.case_id)
    await work.cases.raise_finding(case.case_id, SYSTEM, look=1, opening=1, entry=entry)
    [told] = [row for row in await work.entries(case.case_id) if row["kind"] == "finding:raised"]
    async with work.engine.connect() as connection:
        raised_at = await connection.scalar(text("select raised_at from findings"))

    assert raised_at == read(told["occurred_at"])
