"""A case is closed by the database: what the workflow believes is not enough."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus
from tests.workflows.conftest import Clinic, plan


@pytest.mark.real_server
async def test_what_the_database_calls_open_is_worked_on(clinic: Clinic) -> None:
    """In the opening that the database has; the other system is left alone."""
    case = await clinic.open(
        plan("okta"), plan("vpn"), still_open=[[p.StillOpen("okta", opening=3)]]
    )
    assert await case.result() == CaseStatus.CLOSED
    tried = [(row.system, row.opening) for row in case.world.of(p.RevokeInput)]
    assert sorted(tried[:2]) == [("okta", 1), ("vpn", 1)]
    assert tried[2:] == [("okta", 3)]
    closings = [(row.closing, row.openings, row.asked) for row in case.world.of(p.CloseInput)]
    assert closings == [(1, {}, 1), (1, {"okta": 3}, 2)]


@pytest.mark.real_server
async def test_a_person_is_asked_again_about_what_was_not_recorded(clinic: Clinic) -> None:
    """A decision that the database does not have settles nothing."""
    case = await clinic.open(
        plan("okta"), plan("vpn", manual=True), still_open=[[p.StillOpen("vpn", opening=1)]]
    )
    await case.world.until_asked(p.NeedsPersonInput, "vpn")
    await case.decide("vpn", DecisionKind.ATTEST)
    await case.world.until_asked(p.NeedsPersonInput, "vpn", times=2)
    assert await case.status() == CaseStatus.NEEDS_PERSON
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_what_was_not_searched_by_new_keys_is_looked_at_first(clinic: Clinic) -> None:
    """What the look finds standing is revoked before the case closes."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        returned={"vpn": {1}},
        still_open=[[p.StillOpen("vpn", 1, unsearched=True)]],
    )
    assert await case.result() == CaseStatus.CLOSED
    assert [row.system for row in case.world.of(p.WatchInput)] == ["vpn"]
    tried = [(row.system, row.opening) for row in case.world.of(p.RevokeInput)]
    assert tried[2:] == [("vpn", 2)]


async def test_a_database_that_goes_on_refusing_is_asked_ever_more_slowly(clinic: Clinic) -> None:
    """Nothing spins, and nothing gives up."""
    refusals = [[p.StillOpen("vpn", 1)] for _ in range(9)]
    case = await clinic.open(plan("vpn"), still_open=refusals)
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.CloseInput)) == 10
    tried = case.world.asked_at(p.RevokeInput)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert [round(wait.total_seconds(), -1) for wait in waits[:4]] == [0, 10, 20, 40]
    assert round(waits[-1].total_seconds(), -1) == 300
