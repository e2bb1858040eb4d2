"""What a workflow that takes a case up again is told of what was done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, reckon
from lockstep.domain.systems.faults import FaultCategory
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.cases.reads import read_cases
from lockstep.storage.systems.revocations import Progress, Revocation
from lockstep.storage.systems.snapshots import Snapshot
from tests.support.casework import OTHER, SYSTEM, Casework


async def so_far(work: Casework, case_id: str):
    async with work.engine.connect() as connection:
        [case] = await read_cases(connection, [case_id])
    assert case is not None
    told, _ = await work.cases.so_far(case)
    return told, {door.system: door for door in told.doors}


async def settle(work: Casework, case_id: str, round_: int) -> Revocation:
    item = await work.revocations.load(case_id, SYSTEM, 1)
    closing = reckon(before=(), after=(), actions=(), confirmed_at=datetime.now(UTC))
    await work.revocations.outcome(
        item,
        round_=round_,
        attempt=1,
        closing=closing,
        work=Progress(Snapshot()),
        exchanges=(),
        dropped=0,
    )
    return item


async def look(work: Casework, item: Revocation, number: int) -> None:
    now = datetime.now(UTC)
    await work.revocations.note(
        Entry(
            kind=EntryKind.WATCH_LOOK,
            key=item.key("look", number),
            tenant=item.tenant,
            occurred_at=now,
            recorded_at=now,
            case_id=item.case_id,
            subject=str(item.subject.subject_id),
            system=item.system,
            policy=item.policy,
            data={"look": number, "standing": []},
        )
    )


async def ask(work: Casework, case_id: str, category: FaultCategory, round_: int) -> None:
    item = await work.revocations.load(case_id, OTHER, 1)
    await work.revocations.needs_person(item, round_=round_, category=category, overdue=False)


async def test_rounds_and_looks_that_are_spent_are_told(work):
    """The ledger knows the highest of each; a new workflow begins beyond them."""
    case = await work.open()
    item = await settle(work, case.case_id, round_=4)
    await look(work, item, 1)
    await look(work, item, 7)

    told, doors = await so_far(work, case.case_id)
    done, fresh = doors[SYSTEM], doors[OTHER]
    assert done.outcome
    assert (done.round, done.guarded, done.looks) == (4, 2, 7)
    assert done.settled_at is not None
    assert (fresh.round, fresh.outcome, fresh.settled_at) == (0, "", None)
    assert told.status is CaseStatus.REVOKING


async def test_who_was_asked_is_waited_for(work):
    """Unless time mends it: that is tried on, and they are not asked once more."""
    case = await work.open()
    await ask(work, case.case_id, FaultCategory.PERMISSION_MISSING, 2)
    told, doors = await so_far(work, case.case_id)
    assert (doors[OTHER].waits, doors[OTHER].overdue, doors[OTHER].round) == (True, False, 2)
    assert told.status is CaseStatus.NEEDS_PERSON

    await ask(work, case.case_id, FaultCategory.UNREACHABLE, 3)
    _, doors = await so_far(work, case.case_id)
    assert (doors[OTHER].waits, doors[OTHER].overdue, doors[OTHER].round) == (False, True, 3)


async def test_what_was_picked_and_not_looked_at_is_told(work):
    """A pick about a settled system wants a look, and one look is enough."""
    case = await work.open()
    item = await settle(work, case.case_id, round_=1)
    pick = Decision("d1", DecisionKind.PICK, SYSTEM, "kim", "theirs", accounts=["a-1"])
    await work.cases.decide(DecisionInput(case.case_id, 1, pick))
    _, doors = await so_far(work, case.case_id)
    assert doors[SYSTEM].is_picked

    await look(work, item, 1)
    _, doors = await so_far(work, case.case_id)
    assert not doors[SYSTEM].is_picked


async def test_a_closed_case_tells_its_closings_and_its_last_look(work):
    """The watch goes on from the closing, with the looks that are left."""
    case = await work.open()
    item = await settle(work, case.case_id, round_=1)
    await look(work, item, 1)
    closed_at = await work.close(case.case_id, 1)
    told, _ = await so_far(work, case.case_id)
    assert (told.closings, told.closed_at, told.looked_at) == (1, closed_at, None)

    await look(work, item, 2)
    ago = "update cases set closed_at = closed_at - interval '1 s'"
    async with work.engine.begin() as connection:
        await connection.execute(text(ago))
    told, _ = await so_far(work, case.case_id)
    assert told.status is CaseStatus.CLOSED
    assert told.looked_at is not None
    assert told.looked_at - closed_at < timedelta(seconds=30)
