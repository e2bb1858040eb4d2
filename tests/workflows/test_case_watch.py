"""The watch: later looks, access that returned, looks that cannot be had."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import HOUR, Clinic, plan
from tests.workflows.doubles import Always

DAY = 24 * HOUR
WATCH = (HOUR, DAY, 7 * DAY, 30 * DAY)


async def test_every_system_is_looked_at_after_each_delay(clinic: Clinic) -> None:
    """Four looks over a month, each at every system that a connector closed."""
    case = await clinic.open(plan("okta"), plan("vpn"), watch_s=WATCH)
    assert await case.result() == CaseStatus.CLOSED
    looks = [(row.look, row.system) for row in case.world.of(p.WatchInput)]
    assert sorted(looks) == [(n, s) for n in (1, 2, 3, 4) for s in ("okta", "vpn")]
    assert len(case.world.of(p.CloseInput)) == 1
    closed_at = case.world.asked_at(p.RevokeInput)[-1]
    waited = [when - closed_at for when in case.world.asked_at(p.WatchInput)[::2]]
    for wait, delay_s in zip(waited, WATCH, strict=True):
        assert abs(wait - timedelta(seconds=delay_s)) < timedelta(minutes=1)


@pytest.mark.real_server
async def test_access_that_returned_is_revoked_again(clinic: Clinic) -> None:
    """Only the system concerned is opened again; the case closes a second time."""
    case = await clinic.open(
        plan("okta"), plan("vpn"), watch_s=(clinic.hour, 2 * clinic.hour), returned={"okta": {1}}
    )
    assert await case.result() == CaseStatus.CLOSED
    revoked = [(row.system, row.opening, row.round) for row in case.world.of(p.RevokeInput)]
    assert sorted(revoked) == [("okta", 1, 1), ("okta", 2, 2), ("vpn", 1, 1)]
    assert [row.closing for row in case.world.of(p.CloseInput)] == [1, 2]
    second = [row.opening for row in case.world.of(p.WatchInput, "okta")]
    assert second == [1, 2], "the later look knows the new opening"
    assert await case.status() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_reopened_case_shows_that_it_is_open(clinic: Clinic) -> None:
    """The status goes back to revoking, or to needs_person when it hangs again."""
    case = await clinic.open(plan("okta"), watch_s=(clinic.hour,), returned={"okta": {1}})
    await case.done(p.CloseInput)
    case.world.steps["okta"] = [FaultCategory.MANAGED_ELSEWHERE]
    await case.sleep(hours=1, seconds=2)
    asked = await case.done(p.NeedsPersonInput)
    assert asked.opening == 2
    assert await case.status() == CaseStatus.NEEDS_PERSON
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.needs_skipped_time("first attempts have a minute, whatever the warning time")
async def test_a_reopened_system_that_hangs_tells_people_again(clinic: Clinic) -> None:
    """Being overdue in the first opening does not silence the second."""
    case = await clinic.open(
        plan("okta"),
        watch_s=(HOUR,),
        returned={"okta": {1}},
        steps={"okta": [Always(FaultCategory.UNREACHABLE)]},
    )
    await case.sleep(hours=1)
    await case.done(p.NeedsPersonInput)
    case.world.steps["okta"].clear()
    await case.sleep(minutes=10)
    await case.done(p.CloseInput)
    case.world.steps["okta"] = [Always(FaultCategory.UNREACHABLE)]
    await case.sleep(hours=2)
    again = await case.done(p.NeedsPersonInput, times=2)
    assert (again.opening, again.overdue) == (2, True)
    case.world.steps["okta"].clear()
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_look_that_cannot_be_had_ends_neither_case_nor_watch(clinic: Clinic) -> None:
    """A credential that is refused at one look stops neither the other system nor later looks."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        watch_s=(clinic.hour, 2 * clinic.hour),
        blind={"okta": {1}},
        returned={"vpn": {1}, "okta": {2}},
    )
    assert await case.result() == CaseStatus.CLOSED
    revoked = [(row.system, row.opening) for row in case.world.of(p.RevokeInput)]
    assert sorted(revoked) == [("okta", 1), ("okta", 2), ("vpn", 1), ("vpn", 2)]
    assert [row.closing for row in case.world.of(p.CloseInput)] == [1, 2, 3]


async def test_a_rehiring_ends_the_watch_with_one_last_look(clinic: Clinic) -> None:
    """At every system, at once; what it finds reopens nothing, and no other look follows."""
    case = await clinic.open(plan("okta"), plan("vpn"), watch_s=WATCH, returned={"okta": {3}})
    await case.done(p.CloseInput)
    await case.sleep(hours=25)
    await case.handle.signal(names.REHIRED, p.TerminationChanged("e2"))
    assert await case.result() == CaseStatus.CLOSED
    looks = [(row.look, row.system, row.last) for row in case.world.of(p.WatchInput)]
    assert sorted(looks) == [
        *((n, s, False) for n in (1, 2) for s in ("okta", "vpn")),
        *((3, s, True) for s in ("okta", "vpn")),
    ]
    assert len(case.world.of(p.CloseInput)) == 1


@pytest.mark.real_server
async def test_a_late_word_while_access_is_revoked_leaves_no_watch(clinic: Clinic) -> None:
    """What was begun is carried through; after that nobody is watched."""
    watch_s = (clinic.hour, 24 * clinic.hour)
    case = await clinic.open(plan("okta", manual=True), plan("vpn"), watch_s=watch_s)
    await case.done(p.NeedsPersonInput)
    await case.handle.signal(names.REHIRED, p.TerminationChanged("e2"))
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert [(row.look, row.last) for row in case.world.of(p.WatchInput)] == [(1, True)]


@pytest.mark.real_server
async def test_a_settled_system_is_watched_while_another_is_open(clinic: Clinic) -> None:
    """One system waits a day for a person; access that returns in another is taken meanwhile."""
    case = await clinic.open(
        plan("okta"), plan("vpn", manual=True), watch_s=(clinic.hour,), returned={"okta": {1}}
    )
    await case.done(p.NeedsPersonInput)
    await case.sleep(hours=2)
    revoked = [(row.opening, row.round) for row in case.world.of(p.RevokeInput, "okta")]
    assert revoked == [(1, 1), (2, 2)]
    assert not case.world.of(p.CloseInput)
    await case.decide("vpn", DecisionKind.ATTEST)
    await case.done(p.CloseInput)
    looks = [(row.look, row.opening) for row in case.world.of(p.WatchInput, "okta")]
    assert looks[0] == (1, 1)
    assert len(set(looks)) == len(looks), "no look has the number of another"


@pytest.mark.real_server
async def test_a_case_closes_on_looks_that_are_fresh(clinic: Clinic) -> None:
    """Access given back while another system was open is seen before the case closes."""
    case = await clinic.open(
        plan("okta"), plan("vpn", manual=True), watch_s=(), returned={"okta": {1}}
    )
    await case.done(p.NeedsPersonInput)
    await case.done(p.RevokeInput, "okta")
    await case.sleep(hours=7)
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert [row.opening for row in case.world.of(p.RevokeInput, "okta")] == [1, 2]
    assert [row.closing for row in case.world.of(p.CloseInput)] == [1]


async def test_a_system_that_settled_just_now_is_not_read_twice(clinic: Clinic) -> None:
    """Where all settle together nothing is looked at again before closing."""
    case = await clinic.open(plan("okta"), plan("vpn"))
    assert await case.result() == CaseStatus.CLOSED
    assert not case.world.of(p.WatchInput)


@pytest.mark.real_server
async def test_a_last_look_that_cannot_be_had_keeps_no_case_open(clinic: Clinic) -> None:
    """The vendor is gone when the case would close: it closes, and the watch goes on."""
    case = await clinic.open(
        plan("okta"), plan("vpn", manual=True), watch_s=(), blind={"okta": {1}}
    )
    await case.done(p.NeedsPersonInput)
    await case.sleep(hours=7)
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_what_is_picked_in_the_watch_is_looked_at_and_taken_at_once(clinic: Clinic) -> None:
    """Long before the next look, and numbered like no other; the case closes a second time."""
    watch_s = (clinic.hour, 100 * clinic.hour)
    case = await clinic.open(
        plan("okta"), plan("vpn"), watch_s=watch_s, doubtful={"okta": {1}}, returned={"okta": {2}}
    )
    await case.done(p.CloseInput)
    await case.sleep(hours=2)
    await case.decide("okta", DecisionKind.PICK, accounts=["a-1"], others=["a-2"])
    await case.done(p.CloseInput, times=2)
    looks = [(row.look, row.opening) for row in case.world.of(p.WatchInput, "okta")]
    assert looks == [(1, 1), (2, 1)]
    assert [row.opening for row in case.world.of(p.RevokeInput, "okta")] == [1, 2]
    assert [row.look for row in case.world.of(p.WatchInput, "vpn")] == [1]


@pytest.mark.real_server
async def test_a_watch_ends_only_when_nothing_is_in_doubt(clinic: Clinic) -> None:
    """The last look found an account: the case waits for a person; "none" ends the watch."""
    case = await clinic.open(plan("okta"), watch_s=(clinic.hour,), doubtful={"okta": {1}})
    await case.done(p.CloseInput)
    await case.sleep(hours=5)
    assert "already settled" in await case.refusal("okta", DecisionKind.RETRY)
    await case.decide("okta", DecisionKind.PICK, others=["a-1"])
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.WatchInput)) == 1


@pytest.mark.real_server
async def test_nobody_picks_where_nothing_is_in_doubt(clinic: Clinic) -> None:
    """A settled system takes a pick only after a look has found an account in doubt."""
    case = await clinic.open(
        plan("okta"), plan("vpn"), watch_s=(clinic.hour, 24 * clinic.hour), doubtful={"vpn": {1}}
    )
    await case.done(p.CloseInput)
    await case.sleep(hours=2)
    assert "already settled" in await case.refusal("okta", DecisionKind.PICK)


@pytest.mark.real_server
async def test_a_pick_of_a_system_that_is_open_tries_it_again(clinic: Clinic) -> None:
    """As a retry does: the next attempt knows whose the accounts are."""
    case = await clinic.open(plan("okta"), steps={"okta": [FaultCategory.AMBIGUOUS_MATCH]})
    await case.done(p.NeedsPersonInput)
    await case.decide("okta", DecisionKind.PICK, accounts=["a-1"])
    assert await case.result() == CaseStatus.CLOSED
    assert [row.round for row in case.world.of(p.RevokeInput)] == [1, 2]


@pytest.mark.needs_skipped_time("the pause after a blind look is ten minutes")
async def test_a_pick_whose_look_cannot_be_had_is_not_forgotten(clinic: Clinic) -> None:
    """It is looked at again after a pause, although the watch has had its last look."""
    case = await clinic.open(
        plan("okta"),
        watch_s=(HOUR,),
        doubtful={"okta": {1}},
        blind={"okta": {2}},
        returned={"okta": {3}},
    )
    await case.done(p.CloseInput)
    await case.sleep(hours=2)
    await case.decide("okta", DecisionKind.PICK, accounts=["a-1"])
    assert await case.result() == CaseStatus.CLOSED
    assert [row.look for row in case.world.of(p.WatchInput)] == [1, 2, 3]
    assert [row.opening for row in case.world.of(p.RevokeInput)] == [1, 2]
