"""Revoking: read, write ATTEMPT, act, read back, write OUTCOME. Nothing is revoked unseen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from activities.condition import Condition
from lockstep.contracts.payloads import RevokeInput
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.intake.numbering import Numbering
from lockstep.domain.systems.access import Account, Location, Match, Proof, Search
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.cases.rows import pin
from tests.activities.conftest import Bench, environment
from tests.support.casework import (
    EMAIL,
    NAME,
    SYSTEM,
    WORKER,
    leaver_keys,
    termination,
    two_systems,
)

MILLISECOND = timedelta(milliseconds=1)


async def test_everything_that_stood_is_closed_and_proved(bench: Bench):
    """Three ways in are closed, read back and named in one outcome."""
    assert await bench.revoke() == "revoked"
    [outcome] = await bench.outcomes()
    row = await bench.work.row(bench.case.case_id)

    assert bench.connector.standing[WORKER] == set()
    assert sorted(item["kind"] for item in outcome["removed"]) == ["session", "sign_in", "token"]
    assert (row.state, row.outcome, row.grade, row.actions) == ("settled", "revoked", "B", 3)
    assert await bench.kinds() == ["revocation:attempt", "revocation:outcome"]


async def test_a_vendors_own_record_makes_grade_a(bench: Bench):
    """Where the vendor says when sign-in ended, that moment is the proof's."""
    on_record(bench)
    await bench.revoke()
    row = await bench.work.row(bench.case.case_id)

    assert row.grade == "A"
    assert row.first_attempt_at <= row.revoked_at <= row.confirmed_at


def on_record(bench: Bench, *, off_by: timedelta = timedelta(0)) -> None:
    """The vendor keeps the moment at which it closes an account, by a clock of its own."""

    def record() -> None:
        bench.connector.off_since[WORKER] = datetime.now(UTC) + off_by

    bench.connector.skew = off_by
    bench.connector.hooks["contained"] = record


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_vendors_clock_that_lies_shortens_nothing(bench: Bench, hours: int):
    """Its record counts for nothing, the grade falls to B, and the skew is in the evidence."""
    began = datetime.now(UTC)
    on_record(bench, off_by=timedelta(hours=hours))
    await bench.revoke()
    row = await bench.work.row(bench.case.case_id)
    [outcome] = await bench.outcomes()

    assert row.grade == outcome["grade"] == "B"
    accepted = datetime.fromisoformat(outcome["accepted_at"])
    assert began - MILLISECOND <= accepted <= row.revoked_at <= row.confirmed_at
    assert {call["skew_ms"] for call in outcome["calls"]} == {hours * 3_600_000}


async def test_policy_says_how_far_off_a_clock_may_be(bench: Bench):
    """Five seconds are too many for a record to count, unless the pinned policy allows them."""
    on_record(bench, off_by=timedelta(seconds=5))
    lenient = replace(bench.work.policy.policy, vendor_clock_tolerance=timedelta(seconds=9))
    await bench.work.adopt(pin(lenient))
    bench.case = await bench.work.open(termination(spell="2"))
    await bench.revoke()

    assert (await bench.work.row(bench.case.case_id)).grade == "A"


async def test_what_was_off_before_us_keeps_the_vendors_moment(bench: Bench):
    """Somebody else closed it an hour ago, and the vendor's clock is right: that moment counts."""
    bench.connector.standing[WORKER] = set()
    off = bench.connector.off_since[WORKER] = datetime.now(UTC) - timedelta(hours=1)

    assert await bench.revoke() == "already_absent"
    row = await bench.work.row(bench.case.case_id)
    assert (row.grade, row.revoked_at) == ("A", whole_ms(off))


async def test_a_record_from_before_an_earlier_attempt_saw_it_stand_counts_for_nothing(
    bench: Bench,
):
    """The first attempt saw sign-in stand and was lost; a record of an hour ago is no end of it."""
    bench.connector.hooks["contain"] = bench.connector.standing[WORKER].clear
    bench.connector.fail("contain", FaultCategory.TIMEOUT)
    began = datetime.now(UTC)
    with pytest.raises(ApplicationError):
        await bench.revoke()
    bench.connector.off_since[WORKER] = began - timedelta(hours=1)

    assert await bench.revoke(2) == "revoked"
    row = await bench.work.row(bench.case.case_id)
    assert (row.grade, row.revoked_at) == ("B", row.confirmed_at)


async def test_an_account_without_access_is_already_absent(bench: Bench):
    """Closed before we came is success of its own kind, and nothing is called for it."""
    bench.connector.standing[WORKER] = set()

    assert await bench.revoke() == "already_absent"
    assert not {"contain", "strip"} & set(bench.connector.calls)


async def test_nobody_by_two_independent_keys_is_not_found(bench: Bench):
    """Not found is an outcome of its own, with the keys tried, and never "revoked"."""
    del bench.connector.standing[WORKER]

    assert await bench.revoke() == "not_found"
    [outcome] = await bench.outcomes()
    assert outcome["keys_tried"] == ["worker_id", "email"]


async def test_nobody_by_one_key_asks_a_person(bench: Bench):
    """One key can be misspelt: too few keys settle nothing."""
    one_key(bench)
    with pytest.raises(ApplicationError, match="too_few_keys") as caught:
        await bench.revoke()

    assert (caught.value.type, caught.value.non_retryable) == ("unknown_worker", True)
    assert await bench.kinds() == ["revocation:fault"]


async def test_nobody_by_one_key_settles_where_policy_accepts_it(bench: Bench):
    """A system that can be searched in one way only may be accepted by policy."""
    one_key(bench)
    await bench.work.adopt(two_systems(accept_single_key=True))
    bench.case = await bench.work.open(termination("W-2"))

    assert await bench.revoke() == "not_found"


def one_key(bench: Bench) -> None:
    bench.connector.standing.clear()

    async def locate(keys, transcript):
        return Location((), (Search(KeyKind.EMAIL, EMAIL, Proof.PROVED),))

    bench.connector.locate = locate


async def test_attempt_is_durable_before_the_first_effect(bench: Bench):
    """When the vendor is first asked to change something, the ledger already says so."""
    seen = []

    async def look() -> None:
        seen.append(await bench.kinds())

    bench.connector.hooks["contain"] = look
    await bench.revoke()

    assert seen == [["revocation:attempt"]]


async def test_outcome_is_written_after_the_read_back(bench: Bench):
    """At the last look nothing is claimed yet; and every look came before the claim."""
    seen = []

    async def look() -> None:
        seen.append(await bench.kinds())

    bench.connector.hooks["read_back"] = look
    await bench.revoke()

    assert seen == [["revocation:attempt"], ["revocation:attempt"]]
    assert bench.connector.calls == [
        "locate",
        "look",
        "contain",
        "contained",
        "read_back",
        "strip",
        "stripped",
        "read_back",
    ]


async def test_an_accepted_change_that_did_not_happen_is_not_revoked(bench: Bench):
    """The vendor said yes, the read-back says no: it is tried again, and proved then."""
    bench.connector.ineffective = 1
    with pytest.raises(ApplicationError, match="still_") as caught:
        await bench.revoke()
    assert (caught.value.type, caught.value.non_retryable) == ("not_applied", False)
    assert await bench.outcomes() == []

    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    assert len(outcome["removed"]) == 3


def known_as(bench: Bench, *keys: Key) -> None:
    """The vendor itself holds these keys for the account that the e-mail finds."""

    async def locate(_, transcript):
        account = Account(WORKER, known_keys=keys)
        searches = (Search(KeyKind.EMAIL, EMAIL, Proof.PROVED),)
        return Location((Match(account, KeyKind.EMAIL),), searches)

    bench.connector.locate = locate


async def test_an_account_of_somebody_else_is_not_touched(bench: Bench):
    """A recycled e-mail address finds a colleague: the vendor's strong key contradicts, we stop."""
    known_as(bench, Key(KeyKind.WORKER_ID, "W-999"))
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke()

    assert (caught.value.type, caught.value.non_retryable) == ("ambiguous_match", True)
    assert bench.connector.effects == []
    assert await bench.kinds() == ["revocation:fault"]


async def test_a_weak_key_contradicts_nothing(bench: Bench):
    """User names change; a different one does not make the account somebody else's."""
    known_as(bench, Key(KeyKind.USERNAME, "maria.old"), Key(KeyKind.WORKER_ID, WORKER))

    assert await bench.revoke() == "revoked"


async def test_a_strong_key_that_hr_did_not_give_contradicts_nothing(bench: Bench):
    """What we cannot compare cannot contradict."""
    known_as(bench, Key(KeyKind.EMPLOYEE_NUMBER, "10442"))

    assert await bench.revoke() == "revoked"


async def test_a_number_of_another_hr_system_is_not_touched(bench: Bench):
    """Two HR systems, one number: the account has it, and the address of somebody else."""
    known_as(bench, Key(KeyKind.WORKER_ID, WORKER), Key(KeyKind.EMAIL, "bo@elsewhere.example"))
    bench.numbering = Numbering(("hr-a", "hr-b"))
    with pytest.raises(ApplicationError, match="two_ranges") as caught:
        await bench.revoke()

    assert caught.value.type == "ambiguous_match"
    assert bench.connector.effects == []


async def test_two_accounts_of_one_leaver_are_both_closed(bench: Bench):
    """Every account that any key finds is part of the same revocation."""
    keys = leaver_keys().keys
    both = replace(leaver_keys(), keys=(*keys, Key(KeyKind.WORKER_ID, "W-old")))
    bench.connector.hire("W-old")
    bench.case = await bench.work.open(termination(spell="2", keys=both))

    assert await bench.revoke() == "revoked"
    row = await bench.work.row(bench.case.case_id)
    assert (row.accounts, row.actions) == (2, 6)


async def test_a_settled_system_is_not_touched_again(bench: Bench):
    """A repeated activity answers from the record; the vendor hears nothing."""
    await bench.revoke()
    bench.connector.calls.clear()

    assert await bench.revoke(2) == "revoked"
    assert bench.connector.calls == []
    assert len(await bench.outcomes()) == 1


async def test_two_attempts_at_once_settle_once(bench: Bench):
    """A worker that was taken for dead and its successor make one outcome between them."""
    both = asyncio.Event()

    def meet() -> object:
        if bench.connector.calls.count("contain") == 2:
            both.set()
        return asyncio.wait_for(both.wait(), 30)

    bench.connector.hooks["contain"] = meet
    done = await asyncio.gather(bench.revoke(1), bench.revoke(2))
    [outcome] = await bench.outcomes()
    row = await bench.work.row(bench.case.case_id)

    assert done == ["revoked", "revoked"]
    assert len(outcome["removed"]) == row.actions == 3
    assert row.state == RevocationState.SETTLED


async def test_what_somebody_else_closed_meanwhile_is_read_back(bench: Bench):
    """Standing at our look, gone at our call: the proof is a new look, not the old one."""
    bench.connector.hooks["strip"] = bench.connector.standing[WORKER].clear

    assert await bench.revoke() == "revoked"
    assert bench.connector.calls.count("read_back") == 2


async def test_a_cancelled_attempt_claims_nothing(bench: Bench):
    """When a person decides meanwhile, the attempt ends without fault and without outcome."""
    env = environment()
    started = asyncio.Event()

    async def wait_for_ever() -> None:
        started.set()
        await asyncio.Event().wait()

    bench.connector.hooks["contain"] = wait_for_ever
    given = RevokeInput(bench.case.case_id, SYSTEM, 1)
    task = asyncio.create_task(env.run(bench.activities().revoke_access, given))
    await asyncio.wait_for(started.wait(), 30)
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)

    assert await bench.kinds() == ["revocation:attempt"]


async def test_a_long_call_beats_and_then_stops(bench: Bench):
    """While a vendor is slow Temporal hears from us; afterwards no more."""
    env = environment()
    beaten = asyncio.Event()
    env.on_heartbeat = lambda *_: beaten.set()
    bench.connector.hooks["contain"] = lambda: asyncio.wait_for(beaten.wait(), 60)
    given = RevokeInput(bench.case.case_id, SYSTEM, 1)
    result = await env.run(bench.activities().revoke_access, given)

    assert result.outcome == "revoked"
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "heartbeats.<locals>" in repr(task)]


async def test_the_ledger_names_nobody(bench: Bench):
    """Attempt and outcome hold commitments where a name, an e-mail or an id would stand."""
    await bench.revoke()
    raw = b"".join(await bench.work.ledger.entries(bench.case.case_id))

    for secret in (NAME, EMAIL, WORKER):
        assert secret.encode() not in raw


async def test_a_fault_of_the_system_that_people_mend_makes_it_doubted(bench):
    """Its health is looked at soon; what is about one leaver says nothing of the system."""
    condition = Condition()
    acts = AccessActivities(
        SYSTEM, bench.connector, bench.work.revocations, bench.work.cases, condition=condition
    )
    for category, doubts in (
        (FaultCategory.PROTECTED_ACCOUNT, False),
        (FaultCategory.UNREACHABLE, False),
        (FaultCategory.CREDENTIALS_REJECTED, True),
    ):
        bench.connector.fail("locate", category)
        with pytest.raises(ApplicationError):
            await bench.revoke(activities=acts)
        assert (condition.doubted_at is not None) is doubts
