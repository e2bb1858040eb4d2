"""Nobody anywhere knew the person: then the keys are doubtful, and a person decides."""

from __future__ import annotations

import pytest

from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import Case, Clinic, plan
from tests.workflows.doubles import Always

NOBODY = Outcome.NOT_FOUND


async def _asked(case: Case, times: int = 1) -> p.NeedsPersonInput:
    await case.world.until(lambda: len(_questions(case)) >= times)
    return _questions(case)[times - 1]


def _questions(case: Case) -> list[p.NeedsPersonInput]:
    asked = case.world.of(p.NeedsPersonInput)
    return [row for row in asked if row.category == FaultCategory.UNKNOWN_WORKER]


@pytest.mark.real_server
async def test_a_retry_searches_every_system_again(clinic: Clinic) -> None:
    """After HR amended the keys, all systems are opened a second time, not just the one."""
    case = await clinic.open(plan("okta"), plan("vpn"), steps={"okta": [NOBODY], "vpn": [NOBODY]})
    asked = await _asked(case)
    assert (asked.system, asked.opening) == ("okta", 2)
    assert await case.status() == CaseStatus.NEEDS_PERSON
    assert not case.world.of(p.CloseInput)
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    again = [(row.system, row.opening, row.round) for row in case.world.of(p.RevokeInput)][2:]
    assert sorted(again) == [("okta", 2, 2), ("vpn", 2, 2)]
    opened = {"okta": 2, "vpn": 2}
    assert case.world.of(p.CloseInput) == [p.CloseInput(case.world.case_id, 1, opened)]


@pytest.mark.real_server
async def test_a_person_who_is_still_unknown_is_asked_about_again(clinic: Clinic) -> None:
    """Each retry that finds nobody asks again; the openings are counted on."""
    case = await clinic.open(plan("okta"), steps={"okta": [NOBODY, NOBODY]})
    await _asked(case)
    await case.decide("okta", DecisionKind.RETRY)
    assert (await _asked(case, times=2)).opening == 3
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_an_attestation_closes_the_case(clinic: Clinic) -> None:
    """A person's word that there never was an account is enough, and leaves no open question."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        steps={"okta": [NOBODY], "vpn": [NOBODY]},
        returned={"vpn": {1}},
        watch_s=(clinic.hour,),
    )
    await _asked(case)
    await case.decide("okta", DecisionKind.ATTEST)
    await case.done(p.CloseInput)
    assert [row.system for row in case.world.of(p.RevokeInput)].count("okta") == 1
    case.world.steps["vpn"] = [Always(FaultCategory.VENDOR_ERROR)]
    await case.sleep(hours=1, seconds=5)
    assert await case.status() == CaseStatus.REVOKING, "the answered question is not asked again"
    case.world.steps["vpn"].clear()
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_one_system_that_knows_the_person_is_enough(clinic: Clinic) -> None:
    """Not found in one system and revoked in another is a plain case."""
    case = await clinic.open(plan("okta"), plan("vpn"), steps={"okta": [NOBODY]})
    assert await case.result() == CaseStatus.CLOSED
    assert not case.world.of(p.NeedsPersonInput)


@pytest.mark.real_server
async def test_manual_systems_say_nothing_about_the_keys(clinic: Clinic) -> None:
    """An attested manual system does not hide that every connector found nobody."""
    case = await clinic.open(plan("okta"), plan("vpn", manual=True), steps={"okta": [NOBODY]})
    await case.done(p.NeedsPersonInput)
    await case.decide("vpn", DecisionKind.ATTEST)
    await _asked(case)
    await case.decide("okta", DecisionKind.WAIVE)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_an_optional_system_that_is_silent_does_not_vouch_for_the_keys(
    clinic: Clinic,
) -> None:
    """While an optional system cannot be reached, required ones that found nobody still ask."""
    case = await clinic.open(
        plan("badge", required=False),
        plan("okta"),
        steps={"badge": [Always(FaultCategory.UNREACHABLE)], "okta": [NOBODY]},
    )
    assert (await _asked(case)).system == "okta"
    case.world.steps["badge"].clear()
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
