"""The course of a case without people: begin, sleep, amend, rescind, revoke, close."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import HOUR, SYSTEMS, Clinic, plan

MONTH = timedelta(days=30)


async def test_a_case_whose_cutoff_passed_revokes_everywhere_and_closes(clinic: Clinic) -> None:
    """Every system is asked once, in round 1 of opening 1, and the case closes once."""
    case = await clinic.open()
    assert await case.result() == CaseStatus.CLOSED
    asked = case.world.of(p.RevokeInput)
    assert sorted(row.system for row in asked) == list(SYSTEMS)
    assert {(row.round, row.opening) for row in asked} == {(1, 1)}
    assert case.world.of(p.CloseInput) == [p.CloseInput(case.world.case_id, 1)]
    assert not case.world.of(p.BeginInput), "intake began it already"
    assert not case.world.of(p.RehearseInput)
    assert await case.status() == CaseStatus.CLOSED


async def test_a_future_case_rehearses_at_once_and_revokes_at_its_cutoff(clinic: Clinic) -> None:
    """The rehearsal is held on the day HR speaks; nothing is revoked before the last day."""
    case = await clinic.open(plan("okta"), plan("vpn", manual=True, required=False), ahead=MONTH)
    await case.done(p.RehearseInput, "okta")
    await case.sleep(days=29)
    assert not case.world.of(p.BeginInput)
    assert not case.world.of(p.RevokeInput)
    await case.sleep(days=1, seconds=2)
    await case.done(p.CloseInput)
    assert len(case.world.of(p.RehearseInput)) == 1, "a manual system has nothing to rehearse"
    assert len(case.world.of(p.RevokeInput)) == 1


async def test_a_future_case_shows_nothing_before_its_cutoff(clinic: Clinic) -> None:
    """No search attribute betrays a coming dismissal; at the cutoff all three appear."""
    case = await clinic.open(
        plan("okta"), plan("vpn", required=False, due_s=60), ahead=MONTH, partner="acme"
    )
    await case.done(p.RehearseInput, "vpn")
    await case.sleep(days=15)
    assert not await case.attributes()
    assert await case.result() == CaseStatus.CLOSED
    assert await case.status() == CaseStatus.CLOSED
    assert await case.shown(names.PARTNER) == "acme"
    due = await case.shown(names.DUE_TIME)
    assert due == case.world.cutoff + timedelta(seconds=HOUR), "the soonest of the required"


async def test_a_case_goes_by_the_times_that_hr_corrected_while_it_slept(clinic: Clinic) -> None:
    """A resignation that became a dismissal is due, told of and shown as one."""
    case = await clinic.open(plan("okta"), ahead=MONTH, partner="acme")
    await case.done(p.RehearseInput, "okta")
    case.world.corrected = [p.SystemTimes("okta", warn_s=60, due_s=120)]
    case.world.partner = "contoso"
    assert await case.result() == CaseStatus.CLOSED
    assert await case.shown(names.DUE_TIME) == case.world.cutoff + timedelta(seconds=120)
    assert await case.shown(names.PARTNER) == "contoso"


@pytest.mark.real_server
async def test_a_case_at_work_takes_over_what_hr_corrects(clinic: Clinic) -> None:
    """A waiver after the new, shorter time is refused; before HR's word it would have counted."""
    case = await clinic.open(plan("okta", manual=True, due_s=MONTH // timedelta(seconds=1)))
    await case.done(p.NeedsPersonInput)
    case.world.corrected = [p.SystemTimes("okta", warn_s=1, due_s=1)]
    case.world.partner = "contoso"
    await case.change()
    await case.done(p.BeginInput)
    await case.sleep(hours=1)
    assert await case.shown(names.PARTNER) == "contoso"
    assert "before the deadline" in await case.refusal("okta", DecisionKind.WAIVE)


async def test_a_case_that_moved_earlier_begins_earlier(clinic: Clinic) -> None:
    """HR's new date takes effect while the case sleeps."""
    case = await clinic.open(plan("okta"), ahead=MONTH)
    await case.done(p.RehearseInput)
    case.world.cutoff -= timedelta(days=28)
    await case.change()
    await case.done(p.BeginInput)
    assert not case.world.of(p.RevokeInput), "two days are left"
    await case.sleep(days=2, seconds=2)
    await case.done(p.CloseInput)
    assert await clinic.now() < case.world.cutoff + timedelta(days=1)


async def test_a_case_that_moved_later_waits_longer(clinic: Clinic) -> None:
    """At the old cutoff nothing happens; the answers to `begin_revoking` are WAIT, then BEGIN."""
    case = await clinic.open(plan("okta"), ahead=timedelta(days=2))
    await case.done(p.RehearseInput)
    case.world.cutoff += timedelta(days=5)
    await case.change()
    await case.done(p.BeginInput)
    await case.sleep(days=6)
    assert not case.world.of(p.RevokeInput)
    await case.sleep(days=1, seconds=2)
    await case.done(p.CloseInput)
    assert len(case.world.of(p.BeginInput)) == 2


async def test_a_cutoff_that_moved_unannounced_is_noticed_at_the_old_one(clinic: Clinic) -> None:
    """The database decides: a lost signal costs nothing when the date moved later."""
    case = await clinic.open(plan("okta"), ahead=timedelta(days=2))
    await case.done(p.RehearseInput)
    case.world.cutoff += timedelta(days=1)
    await case.sleep(days=2, hours=12)
    assert not case.world.of(p.RevokeInput)
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.BeginInput)) == 2


@pytest.mark.real_server
async def test_a_change_while_the_date_is_being_read_is_read_again(clinic: Clinic) -> None:
    """A signal that arrives during `begin_revoking` is not lost."""
    case = await clinic.open(plan("okta"), ahead=MONTH)
    gate = case.world.gates["begin_revoking"] = asyncio.Event()
    await case.change("e2")
    await case.world.until_asked(p.BeginInput)
    await case.change("e3")
    case.world.gates.clear()
    gate.set()
    await case.done(p.BeginInput, times=2)
    assert not case.world.of(p.RevokeInput)


async def test_clocks_that_disagree_about_the_cutoff_do_not_make_a_case_spin(
    clinic: Clinic,
) -> None:
    """Told to wait for a cutoff that has passed here, the case asks once a second, not at once."""
    case = await clinic.open(plan("okta"), ahead=timedelta(hours=1))
    case.world.lag = timedelta(seconds=5)
    await case.sleep(hours=1, seconds=7)
    await case.done(p.CloseInput)
    assert 2 <= len(case.world.of(p.BeginInput)) <= 6


@pytest.mark.real_server
async def test_a_rescinded_case_stops_without_a_trace(clinic: Clinic) -> None:
    """Nothing is revoked, closed or shown when HR takes it back in time."""
    case = await clinic.open(ahead=MONTH, rescinded=True)
    await case.done(p.RehearseInput, times=len(SYSTEMS))
    await case.change()
    assert await case.result() == CaseStatus.RESCINDED
    assert not case.world.of(p.RevokeInput)
    assert not case.world.of(p.CloseInput)
    assert not await case.attributes()


@pytest.mark.real_server
async def test_a_change_after_the_cutoff_disturbs_nothing(clinic: Clinic) -> None:
    """After the cutoff HR's word is recorded elsewhere; the case goes on and closes."""
    case = await clinic.open(plan("okta"), watch_s=(clinic.hour,))
    await case.done(p.CloseInput)
    case.world.rescinded = True
    await case.change()
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.BeginInput)) == 1, "it reads what HR has corrected, and goes on"


@pytest.mark.real_server
async def test_transient_faults_are_retried_by_the_machine(clinic: Clinic) -> None:
    """Three bad answers of three kinds, then a good one: nobody is asked."""
    faults = [FaultCategory.RATE_LIMITED, FaultCategory.VENDOR_ERROR, FaultCategory.NOT_APPLIED]
    case = await clinic.open(steps={"okta": list(faults)})
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput, "okta")) == 4
    assert {row.round for row in case.world.of(p.RevokeInput)} == {1}, "attempts, not rounds"
    assert not case.world.of(p.NeedsPersonInput)


@pytest.mark.real_server
async def test_one_systems_failure_disturbs_no_other(clinic: Clinic) -> None:
    """While one system fails for good, the others are settled in their first round."""
    case = await clinic.open(steps={"okta": [FaultCategory.PERMISSION_MISSING]})
    await case.done(p.NeedsPersonInput)
    await case.world.until_asked(p.RevokeInput, "badge")
    await case.world.until_asked(p.RevokeInput, "vpn")
    assert not case.world.of(p.CloseInput)
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput, "badge")) == 1
    assert len(case.world.of(p.RevokeInput, "vpn")) == 1


async def test_a_case_without_required_systems_closes(clinic: Clinic) -> None:
    """An optional system is still revoked, and the workflow ends only after it."""
    case = await clinic.open(plan("okta", required=False))
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 1
