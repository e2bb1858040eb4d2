"""The first try within the workflow task, and what goes on in the system's own queue."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import HOUR, Case, Clinic, plan
from tests.workflows.doubles import Always


async def queued(case: Case) -> list[str]:
    """The activities that were given to a queue, in order."""
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        async for event in case.handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


@pytest.mark.real_server
async def test_systems_that_answer_need_no_task_of_their_own(clinic: Clinic) -> None:
    """The whole case is one workflow task; every system was asked once."""
    case = await clinic.open(plan("okta", at_home=True), plan("vpn", at_home=True))
    assert await case.result() == CaseStatus.CLOSED
    assert await queued(case) == []
    rounds = [(row.system, row.round) for row in case.world.of(p.RevokeInput)]
    assert sorted(rounds) == [("okta", 1), ("vpn", 1)]


@pytest.mark.real_server
async def test_what_fails_at_home_goes_on_in_its_own_queue(clinic: Clinic) -> None:
    """A second round, with the queue's retries; nobody is asked."""
    case = await clinic.open(plan("okta", at_home=True), plan("vpn", at_home=True))
    case.world.steps["okta"] = [FaultCategory.VENDOR_ERROR]
    assert await case.result() == CaseStatus.CLOSED
    assert await queued(case) == ["revoke_access"]
    assert [row.round for row in case.world.of(p.RevokeInput, "okta")] == [1, 2]
    assert not case.world.of(p.NeedsPersonInput)


@pytest.mark.real_server
async def test_what_only_a_person_can_mend_asks_at_once(clinic: Clinic) -> None:
    """The same question as after a try in the queue; the person's retry goes to the queue."""
    case = await clinic.open(plan("okta", at_home=True))
    case.world.steps["okta"] = [FaultCategory.PERMISSION_MISSING]
    asked = await case.done(p.NeedsPersonInput)
    assert (asked.category, asked.round) == (FaultCategory.PERMISSION_MISSING, 1)
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    assert [row.round for row in case.world.of(p.RevokeInput)] == [1, 2]


@pytest.mark.needs_skipped_time("first attempts have a minute, whatever the warning time")
async def test_a_system_past_its_warning_time_is_told_of_as_ever(clinic: Clinic) -> None:
    """The first try at home does not silence the warning."""
    case = await clinic.open(plan("okta", at_home=True, warn_s=HOUR // 2))
    case.world.steps["okta"] = [Always(FaultCategory.UNREACHABLE)]
    await case.sleep(hours=1)
    asked = await case.done(p.NeedsPersonInput)
    assert asked.overdue
    case.world.steps["okta"].clear()
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_at_the_cutoff_of_a_future_case_too(clinic: Clinic) -> None:
    """What begins at its cutoff is tried at home like what begins at once."""
    ahead = timedelta(seconds=max(2, clinic.hour))
    case = await clinic.open(plan("okta", at_home=True), ahead=ahead)
    case.world.steps["okta"] = [Outcome.ALREADY_ABSENT]
    assert await case.result() == CaseStatus.CLOSED
    assert "revoke_access" not in await queued(case)
