"""Looking before and after: a rehearsal changes nothing, a watch finds what came back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError

from lockstep.contracts.payloads import RehearseInput, RehearseResult, WatchInput
from lockstep.domain.cases.terminations import TerminationAction
from lockstep.domain.systems.access import Access, AccessKind, Health, Problem
from lockstep.domain.systems.faults import FaultCategory
from tests.activities.conftest import Bench, environment
from tests.support.casework import (
    EMAIL,
    NAME,
    OTHER,
    SYSTEM,
    WORKER,
    revised,
    termination,
)
from tests.support.endings import LONG_AGO, erase, set_back, settle

BACK = Access(AccessKind.GROUP, "synced-group")


async def watch(bench: Bench, look: int = 1, opening: int = 1) -> bool:
    given = WatchInput(bench.case.case_id, SYSTEM, look, opening)
    return (await environment().run(bench.activities().watch_access, given)).returned


async def rehearse(bench: Bench) -> RehearseResult:
    given = RehearseInput(bench.case.case_id, SYSTEM)
    return await environment().run(bench.activities().rehearse_access, given)


async def test_a_quiet_look_is_written_and_changes_nothing(bench: Bench):
    """Nothing came back: the look stands in the ledger, the case stays closed."""
    await bench.revoke()
    await bench.work.close(bench.case.case_id, 1)

    assert await watch(bench) is False
    assert (await bench.kinds())[-1] == "watch:look"
    assert (await bench.work.case(bench.case.case_id))["status"] == "closed"


async def test_access_that_came_back_is_a_finding_and_reopens(bench: Bench):
    """A directory sync gave a group back: finding raised, system and case reopened."""
    await bench.revoke()
    await bench.work.close(bench.case.case_id, 1)
    bench.connector.standing[WORKER].add(BACK)

    assert await watch(bench) is True
    row = await bench.work.row(bench.case.case_id)
    assert (row.state, row.opening, row.outcome) == ("revoking", 2, None)
    assert (await bench.work.case(bench.case.case_id))["status"] == "revoking"
    assert await bench.work.count("findings where resolved_at is null") == 1
    raw = b"".join(await bench.work.ledger.entries(bench.case.case_id))
    assert b"synced-group" not in raw


async def test_a_look_that_runs_twice_finds_once(bench: Bench):
    """A watch whose answer was lost is repeated without a second finding or reopening."""
    await bench.revoke()
    bench.connector.standing[WORKER].add(BACK)

    assert [await watch(bench), await watch(bench)] == [True, True]
    assert await bench.work.count("findings") == 1
    assert (await bench.work.row(bench.case.case_id)).opening == 2


async def test_a_new_account_counts_as_access(bench: Bench):
    """An account made after the case closed is found by key, although nothing was pinned."""
    del bench.connector.standing[WORKER]
    assert await bench.revoke() == "not_found"
    bench.connector.hire(WORKER)

    assert await watch(bench) is True


async def test_what_came_back_is_revoked_again_and_counted_alone(bench: Bench):
    """The second outcome names the one way in that came back, not the three of the first."""
    await bench.revoke()
    bench.connector.standing[WORKER].add(BACK)
    await watch(bench)

    assert await bench.revoke(opening=2, round_=2) == "revoked"
    first, second = await bench.outcomes()
    row = await bench.work.row(bench.case.case_id)
    assert [len(first["removed"]), len(second["removed"]), row.actions] == [3, 1, 1]
    assert second["removed"][0]["kind"] == "group"
    assert (second["cutoff_at"], bench.connector.standing[WORKER]) == (first["cutoff_at"], set())


async def test_a_record_from_before_access_came_back_counts_for_nothing(bench: Bench):
    """A look saw it stand again; the vendor's record of the first end is no end of the second."""
    await bench.revoke()
    bench.connector.hire(WORKER)
    await watch(bench)
    bench.connector.standing[WORKER].clear()
    bench.connector.off_since[WORKER] = datetime.now(UTC) - timedelta(hours=1)

    assert await bench.revoke(opening=2, round_=2) == "already_absent"
    row = await bench.work.row(bench.case.case_id)
    assert (row.grade, row.revoked_at) == ("B", row.confirmed_at)


async def test_a_fault_while_watching_is_retried_and_settles_nothing(bench: Bench):
    """An unreachable vendor is not "nothing came back"."""
    await bench.revoke()
    bench.connector.fail("locate", FaultCategory.UNREACHABLE)
    with pytest.raises(ApplicationError) as caught:
        await watch(bench)

    assert (caught.value.type, caught.value.non_retryable) == ("unreachable", False)
    entry = (await bench.work.entries(bench.case.case_id))[-1]
    assert (entry["kind"], entry["data"]["category"]) == ("watch:look", "unreachable")
    assert (await bench.work.row(bench.case.case_id)).outcome == "revoked"


async def test_a_look_that_failed_is_made_good(bench: Bench):
    """After the fault the same look is taken, and finds what came back."""
    await bench.revoke()
    bench.connector.standing[WORKER].add(BACK)
    bench.connector.fail("read_back", FaultCategory.UNREACHABLE)
    with pytest.raises(ApplicationError):
        await watch(bench)

    assert await watch(bench) is True
    assert await bench.work.count("findings") == 1


async def test_what_came_back_is_found_although_nobody_can_be_searched(bench: Bench):
    """The account is known by its id: a search that fails does not hide that it stands."""
    await bench.revoke()
    bench.connector.standing[WORKER].add(BACK)
    bench.connector.fail("locate", FaultCategory.UNREACHABLE)

    assert await watch(bench) is True


async def test_work_on_an_erased_leaver_ends_and_is_not_tried_again(bench: Bench):
    """A look or an attempt that comes after the erasure fails for good, and touches no account."""
    await bench.revoke()
    for system in (SYSTEM, OTHER):
        await settle(bench.work, bench.case.case_id, system)
    await bench.work.close(bench.case.case_id, 1)
    await set_back(bench.work, bench.case.case_id, LONG_AGO)
    assert len((await erase(bench.work, bench.case)).spells) == 1
    bench.connector.calls.clear()
    for work in (watch(bench), bench.revoke(round_=2)):
        with pytest.raises(ApplicationError) as caught:
            await work
        assert (caught.value.type, caught.value.non_retryable) == ("internal", True)

    assert bench.connector.calls == []
    assert (await bench.work.case(bench.case.case_id))["status"] == "closed"


async def test_a_rehearsal_only_reads(bench: Bench):
    """Accounts are counted; no call changes anything, the ledger has no entry, no door moves."""
    before = {worker: set(access) for worker, access in bench.connector.standing.items()}

    assert await rehearse(bench) == RehearseResult(accounts=1, problems=0)
    row = await bench.work.row(bench.case.case_id)
    assert bench.connector.calls == ["locate"]
    assert (bench.connector.standing, bench.connector.effects) == (before, [])
    assert (row.state, row.attempts, row.accounts) == ("scheduled", 0, 1)
    assert await bench.kinds() == []


async def test_a_rehearsal_reports_what_would_hinder(bench: Bench):
    """A missing permission shows before the last day, with its remedy."""
    bench.connector.problems = (Problem("scope", "a scope is missing", "grant users.manage"),)

    assert await rehearse(bench) == RehearseResult(accounts=1, problems=1)


async def test_a_rehearsal_asks_an_unreachable_system_nothing_more(bench: Bench):
    """Not reachable is a problem that is reported, not a failed rehearsal."""

    async def health(transcript):
        return Health(reachable=False, problems=(Problem("down", "no answer", "look"),))

    bench.connector.health = health

    assert await rehearse(bench) == RehearseResult(accounts=0, problems=1)
    assert bench.connector.calls == []


async def test_a_rehearsal_notices_somebody_elses_account_early(bench: Bench):
    """A contradiction of keys shows in the rehearsal, by category and without a name."""
    bench.connector.fail("locate", FaultCategory.AMBIGUOUS_MATCH)
    with pytest.raises(ApplicationError) as caught:
        await rehearse(bench)

    assert caught.value.type == "ambiguous_match"
    for secret in (NAME, EMAIL, WORKER):
        assert secret not in str(caught.value)


async def rehire(bench: Bench) -> None:
    """HR says of the closed case that they work here again."""
    await bench.work.close(bench.case.case_id, 1)
    said = revised(termination(), 2, action=TerminationAction.REHIRED)
    [[case]] = (await bench.work.cases.of_spells([bench.work.cases.spell_index(said)])).values()
    await bench.work.cases.rehire(case, said)


async def test_who_was_hired_again_is_not_looked_at(bench: Bench):
    """Also by a workflow that has not heard of it: no call, no finding, nothing is taken."""
    await bench.revoke()
    await rehire(bench)
    bench.connector.standing[WORKER].add(BACK)
    bench.connector.calls.clear()

    assert await watch(bench) is False
    assert bench.connector.calls == []
    assert await bench.work.count("findings") == 0


async def test_what_stood_when_a_rehiring_was_said_is_told(bench: Bench):
    """The last look finds it, once; the case stays closed, and its outcome stands."""
    await bench.revoke()
    await rehire(bench)
    bench.connector.standing[WORKER].add(BACK)
    given = WatchInput(bench.case.case_id, SYSTEM, 1, 1, last=True)
    for _ in range(2):
        seen = await environment().run(bench.activities().watch_access, given)
        assert seen.returned is False

    entry = (await bench.work.entries(bench.case.case_id))[-1]
    assert (entry["kind"], entry["data"]["finding"]) == ("finding:raised", "returned_before_rehire")
    assert await bench.work.count("findings where resolved_at is not null") == 1
    row = await bench.work.row(bench.case.case_id)
    assert (row.outcome, row.opening) == ("revoked", 1)
    assert bench.connector.standing[WORKER] == {BACK}


async def test_a_last_look_that_finds_nothing_is_an_ordinary_one(bench: Bench):
    """It stands in the ledger like any other."""
    await bench.revoke()
    await rehire(bench)
    given = WatchInput(bench.case.case_id, SYSTEM, 1, 1, last=True)
    await environment().run(bench.activities().watch_access, given)

    assert (await bench.kinds())[-1] == "watch:look"
