"""How activities end that nobody carries on: cancelled between two tries, paused, silent.

Temporal's server writes these ends itself, payloads included; each is met on the real one too.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import HOUR, Clinic, plan
from tests.workflows.doubles import Always, Later, Silent

OUTCOMES = {
    DecisionKind.RETRY: "",
    DecisionKind.ATTEST: Outcome.ATTESTED,
    DecisionKind.WAIVE: Outcome.WAIVED,
    DecisionKind.PICK: "",
}


@pytest.mark.real_server
@pytest.mark.parametrize("kind", DecisionKind)
async def test_a_decision_while_the_machine_waits_for_its_next_try(
    clinic: Clinic, kind: DecisionKind
) -> None:
    """Every decision is recorded and carried out, and the case goes on: other systems, its end."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn", manual=True),
        steps={"okta": [Always(FaultCategory.UNREACHABLE)]},
        watch_s=(clinic.hour,),
    )
    await case.backs_off("okta")
    case.world.steps["okta"].clear()
    assert (await case.decide("okta", kind)).outcome == OUTCOMES[kind]
    await case.change()
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_retry_may_be_asked_for_again_and_again(clinic: Clinic) -> None:
    """A system that stays away is retried by a person as often as they like."""
    case = await clinic.open(plan("okta"), steps={"okta": [Always(FaultCategory.UNREACHABLE)]})
    for round_ in (1, 2):
        await case.backs_off("okta")
        await case.decide("okta", DecisionKind.RETRY)
        await case.world.until(lambda now=round_: case.world.of(p.RevokeInput)[-1].round > now)
    case.world.steps["okta"].clear()
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_paused_system_can_be_decided(clinic: Clinic) -> None:
    """A pause is a wait that we asked for; a decision does not wait for its end."""
    pause = Later(FaultCategory.PAUSED, timedelta(minutes=1))
    case = await clinic.open(plan("okta"), steps={"okta": [pause]})
    await case.backs_off("okta")
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_wait_past_the_warning_time_is_told_and_can_be_decided(clinic: Clinic) -> None:
    """The vendor's retry time lies past the warning: people are told at once, and may decide."""
    wait = Later(FaultCategory.RATE_LIMITED, timedelta(hours=2))
    case = await clinic.open(
        plan("okta"), plan("vpn"), steps={"okta": [wait, Always(FaultCategory.UNREACHABLE)]}
    )
    asked = await case.done(p.NeedsPersonInput)
    assert (asked.category, asked.overdue) == (FaultCategory.RATE_LIMITED, True)
    await case.world.until_asked(p.RevokeInput, "okta", times=2)
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_worker_that_dies_silently_is_replaced(clinic: Clinic) -> None:
    """No sign of life for five seconds: the server itself ends the attempt, and another follows."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 2


@pytest.mark.real_server(alone=True)  # the stand-in never ends an attempt that is to be cancelled
async def test_a_decision_about_a_silent_attempt(clinic: Clinic) -> None:
    """Nobody is there to be cancelled: the server ends it with the detail of its last sign."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput)
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 1


@pytest.mark.real_server
async def test_a_case_is_called_off_while_its_rehearsal_waits(clinic: Clinic) -> None:
    """The look before the last day that waits for its next try is given up with the case."""
    case = await clinic.open(
        ahead=timedelta(days=30), unseen=[FaultCategory.UNREACHABLE], rescinded=True
    )
    await case.world.until_asked(p.RehearseInput)
    await case.change()
    assert await case.result() == CaseStatus.RESCINDED


@pytest.mark.real_server
async def test_the_cutoff_comes_while_the_rehearsal_waits(clinic: Clinic) -> None:
    """It gives way to the revocation, which begins at its time."""
    ahead = timedelta(seconds=max(2, clinic.hour))
    case = await clinic.open(plan("okta"), ahead=ahead, unseen=[FaultCategory.UNREACHABLE])
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 1


@pytest.mark.real_server
async def test_two_systems_are_decided_in_one_breath(clinic: Clinic) -> None:
    """Several activities that wait are cancelled within one workflow task."""
    steps = {name: [Always(FaultCategory.UNREACHABLE)] for name in ("badge", "okta", "vpn")}
    case = await clinic.open(steps=steps)
    for name in steps:
        await case.backs_off(name)
    decided = (case.decide(name, DecisionKind.ATTEST) for name in steps)
    assert {row.outcome for row in await asyncio.gather(*decided)} == {Outcome.ATTESTED}
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_decision_after_access_came_back(clinic: Clinic) -> None:
    """The reopened system waits for its next try, and is decided like the first time."""
    case = await clinic.open(plan("okta"), watch_s=(clinic.hour,), returned={"okta": {1}})
    await case.done(p.CloseInput)
    case.world.steps["okta"] = [Always(FaultCategory.UNREACHABLE)]
    await case.sleep(seconds=HOUR + 1)
    await case.world.until(lambda: len(case.world.of(p.RevokeInput)) > 2)
    case.world.steps["okta"].clear()
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
