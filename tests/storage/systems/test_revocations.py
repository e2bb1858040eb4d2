"""One system's part of a case: every fact once, however often an activity repeats itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.cli.render import residual_words
from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import Closing, reckon
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Exchange,
    Location,
    Observation,
    Proof,
    Residual,
    Search,
)
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.records import CaseRow
from lockstep.storage.systems.revocations import Progress, Revocation
from lockstep.storage.systems.snapshots import Snapshot
from tests.storage.cases.test_endings import finding
from tests.support.casework import OTHER, SYSTEM, Casework, termination

LOCATION = Location(
    (),
    (
        Search(KeyKind.WORKER_ID, "W-1", Proof.PROVED),
        Search(KeyKind.EMAIL, "maria@example.com", Proof.PROVED),
    ),
)
SIGN_IN = Access(AccessKind.SIGN_IN, "sign_in-1")
TOKEN = Access(AccessKind.TOKEN, "tok-1")
ACCOUNT = Account("00u1", "maria@example.com")
STOOD = Snapshot((ACCOUNT,), {"00u1": (SIGN_IN, TOKEN)})


@pytest.fixture
async def case(work):
    return await work.open()


async def load(work: Casework, case, opening: int = 1, system: str = SYSTEM) -> Revocation:
    return await work.revocations.load(case.case_id, system, opening)


async def attempt(
    work: Casework, item: Revocation, number: int = 1, snapshot: Snapshot = STOOD, round_: int = 1
) -> bool:
    return await work.revocations.attempt(
        item, round_=round_, attempt=number, work=Progress(snapshot, LOCATION)
    )


async def fault(work: Casework, item: Revocation, number: int = 1) -> None:
    await work.revocations.fault(
        item,
        round_=1,
        attempt=number,
        category=FaultCategory.RATE_LIMITED,
        text="memory revoke: rate_limited (429)" + "x" * 500,
        retry_at=datetime.now(UTC) + timedelta(minutes=1),
        exchanges=[Exchange("memory.revoke", 429, datetime.now(UTC), "req-7")],
    )


async def said_two_hours_ago(work: Casework, case: CaseRow) -> None:
    """A call whose Date header lay two hours before it is on record of the case."""
    now = datetime.now(UTC)
    await work.revocations.fault(
        await load(work, case),
        round_=9,
        attempt=9,
        category=FaultCategory.TIMEOUT,
        text="memory revoke: timeout",
        retry_at=None,
        exchanges=[Exchange("memory.revoke", 200, now, skew=timedelta(hours=-2))],
    )


def closing(*before: Access) -> Closing:
    after = [Observation("00u1", exists=True, standing=())]
    return reckon(before=before, after=after, actions=(), confirmed_at=datetime.now(UTC))


async def settle(
    work: Casework, item: Revocation, number: int = 1, snapshot: Snapshot = STOOD
) -> bool:
    return await work.revocations.outcome(
        item,
        round_=1,
        attempt=number,
        closing=closing(*snapshot.all_standing()),
        work=Progress(snapshot, LOCATION),
        exchanges=(),
        dropped=0,
    )


async def ask(work: Casework, item: Revocation, round_: int = 1) -> None:
    await work.revocations.needs_person(
        item, round_=round_, category=FaultCategory.PERMISSION_MISSING, overdue=False
    )


async def test_two_hundred_loads_read_a_handful_of_times(work):
    """Concurrent activities share their reads, and each gets its own leaver."""
    cases = [await work.open(termination(f"W-{n}")) for n in range(20)]
    reads = []
    real = work.revocations._loader._run
    work.revocations._loader._run = lambda wanted: reads.append(len(wanted)) or real(wanted)
    items = await asyncio.gather(*(load(work, cases[n % 20]) for n in range(200)))

    assert [item.subject.keys.worker_ids for item in items] == [
        (f"W-{n % 20}",) for n in range(200)
    ]
    assert len(reads) <= 5


async def test_an_attempt_stands_once(work, case):
    """The same attempt written twice counts once and keeps its first time."""
    item = await load(work, case)

    assert [await attempt(work, item), await attempt(work, item)] == [True, False]
    row = await work.row(case.case_id)
    assert (row.state, row.attempts, row.accounts) == ("revoking", 1, 1)
    await attempt(work, item, 2)
    again = await work.row(case.case_id)
    assert (again.attempts, again.first_attempt_at) == (2, row.first_attempt_at)


async def test_an_attempt_pins_accounts_and_what_stood(work, case):
    """The next attempt, in another process, knows the accounts and the first snapshot."""
    await attempt(work, await load(work, case))

    assert (await load(work, case)).snapshot == STOOD


async def test_a_fault_stands_once_and_is_bounded(work, case):
    """Its category, a short text and the next try are shown; the ledger holds no free text."""
    item = await load(work, case)
    for _ in range(2):
        await fault(work, item)
    row = await work.row(case.case_id)
    entry = (await work.entries(case.case_id))[-1]

    assert (row.state, row.fault, len(row.fault_text)) == ("retrying", "rate_limited", 300)
    assert row.retry_at > datetime.now(UTC)
    assert entry["data"]["transient"] is True
    assert "text" not in entry["data"]
    assert await work.kinds(case.case_id) == ["case:opened", "revocation:fault"]


async def test_an_outcome_stands_once_whichever_attempt_wrote_it(work, case):
    """Two attempts that overlap settle once; ledger and projection tell the same story."""
    item = await load(work, case)
    await attempt(work, item)
    done = await asyncio.gather(
        settle(work, item, 1), settle(work, item, 2, Snapshot((ACCOUNT,), {"00u1": ()}))
    )
    row = await work.row(case.case_id)
    [outcome] = [e for e in await work.entries(case.case_id) if e["kind"] == "revocation:outcome"]

    assert sorted(done) == [False, True]
    assert row.state == "settled"
    assert row.actions == len(outcome["data"]["removed"])
    assert row.outcome == outcome["data"]["outcome"]
    assert (await load(work, case)).is_settled


async def test_an_outcome_clears_what_was_asked_and_wrong(work, case):
    """A settled system shows no fault, no next try and asks nobody."""
    item = await load(work, case)
    await fault(work, item)
    await ask(work, item)
    await settle(work, item)
    row = await work.row(case.case_id)

    assert (row.state, row.fault, row.retry_at, row.needs_person_since) == ("settled",) + (
        None,
    ) * 3


async def test_a_residual_that_nobody_stated_is_unknown(work, case):
    """It is stored, and shown, as unknown beside the longest bound that was stated."""
    item = await load(work, case)
    kept = (Residual("session", None), Residual("access_token", 3600))
    after = [Observation("00u1", exists=True, standing=(), residuals=kept)]
    now = datetime.now(UTC)
    await work.revocations.outcome(
        item,
        round_=1,
        attempt=1,
        closing=reckon(before=(), after=after, actions=(), confirmed_at=now),
        work=Progress(STOOD, LOCATION),
        exchanges=(),
        dropped=0,
    )
    row = await work.row(case.case_id)
    stated = replace(row, residual_unknown=False)

    assert (row.residual_unknown, row.residual_s) == (True, 3600)
    assert [residual_words(one) for one in (row, stated, replace(stated, residual_s=0))] == [
        "unknown",
        "≤ 1 h 00 min",
        "–",
    ]


async def test_a_person_is_asked_once_and_it_stays_visible(work, case):
    """Retries that go on meanwhile do not hide that somebody has been asked."""
    item = await load(work, case)
    await ask(work, item)
    since = (await work.row(case.case_id)).needs_person_since
    await ask(work, item)
    await attempt(work, item, 2)
    await fault(work, item, 2)
    row = await work.row(case.case_id)

    assert (row.state, row.needs_person_since) == ("needs_person", since)
    assert (await work.kinds(case.case_id)).count("revocation:needs_person") == 1


async def test_a_late_attempt_does_not_unsettle_what_a_person_settled(work, case):
    """An attempt that was under way when somebody attested leaves the system settled."""
    item = await load(work, case)
    attest = Decision("d1", DecisionKind.ATTEST, SYSTEM, "ops", "seen")
    await work.cases.decide(DecisionInput(case.case_id, 1, attest))
    await attempt(work, item)
    await fault(work, item)
    row = await work.row(case.case_id)

    assert (row.state, row.outcome) == ("settled", "attested")


async def test_a_reopened_system_starts_clean_and_keeps_its_accounts(work, case):
    """A further opening knows the pinned accounts, owes nothing of the one before, counts anew."""
    await attempt(work, await load(work, case))
    await settle(work, await load(work, case))
    item = await load(work, case, opening=2)

    assert item.is_reopened
    assert not item.is_settled
    assert item.snapshot == Snapshot((ACCOUNT,))
    await attempt(work, item, snapshot=Snapshot((ACCOUNT,), {"00u1": (TOKEN,)}))
    row = await work.row(case.case_id)
    assert (row.opening, row.state, row.outcome, row.revoked_at) == (2, "revoking", None, None)
    assert await settle(work, await load(work, case, opening=2), 1, Snapshot((ACCOUNT,)))
    kinds = await work.kinds(case.case_id)
    assert kinds.count("revocation:outcome") == kinds.count("revocation:attempt") == 2


async def test_a_finding_makes_the_next_opening_start_clean_too(work, case):
    """After access came back, the new outcome does not count what the first one removed."""
    await attempt(work, await load(work, case))
    await settle(work, await load(work, case))
    await work.cases.raise_finding(
        case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
    )

    assert (await load(work, case, opening=2)).snapshot == Snapshot((ACCOUNT,))


async def test_within_an_opening_the_first_snapshot_survives_later_attempts(work, case):
    """In a reopened system a retry still knows what stood when it was first looked at."""
    await attempt(work, await load(work, case))
    await settle(work, await load(work, case))
    again = Snapshot((ACCOUNT,), {"00u1": (TOKEN,)})
    await attempt(work, await load(work, case, opening=2), snapshot=again)

    assert (await load(work, case, opening=2)).snapshot == again


async def test_reopening_into_a_question_is_seen_even_in_a_shared_commit(work, case):
    """A system that reopens because a person must decide shows exactly that."""
    for name in (SYSTEM, OTHER):
        item = await load(work, case, system=name)
        await attempt(work, item)
        await settle(work, item)
    first = await load(work, case, system=SYSTEM)
    reopened = await load(work, case, opening=2, system=OTHER)
    await asyncio.gather(ask(work, first), ask(work, reopened))
    row = await work.row(case.case_id, OTHER)
    shared = "ledger_entries where kind = 'revocation:needs_person' group by xmin"

    assert (row.opening, row.state) == (2, "needs_person")
    assert await work.count(shared) == 2, "they did not meet in one commit"


async def test_a_rehearsal_leaves_no_entry(work, case):
    """Looking is not doing: the projection keeps what was seen, the ledger nothing."""
    item = await load(work, case)
    problem = {"code": "scope", "summary": "a scope is missing", "fix": "grant it"}
    await work.revocations.rehearsed(item, accounts=2, problems=[problem])
    row = await work.row(case.case_id)

    assert (row.accounts, row.state, row.rehearsed_at is not None) == (2, "scheduled", True)
    assert await work.kinds(case.case_id) == ["case:opened"]
