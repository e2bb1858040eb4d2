"""A case whose workflow was lost is taken up again where it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lockstep.contracts import payloads as p
from lockstep.contracts.payloads import DoorSoFar
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from tests.workflows.conftest import Clinic, plan

AGO = timedelta(minutes=10)


def settled(system: str, at: datetime, **more: Any) -> DoorSoFar:
    values = {"round": 1, "outcome": Outcome.REVOKED, "settled_at": at, **more}
    return DoorSoFar(system, **values)


def so_far(*doors: DoorSoFar, **more: Any) -> p.CaseSoFar:
    return p.CaseSoFar(list(doors), **more)


@pytest.mark.real_server
async def test_what_is_settled_is_not_touched_and_what_is_open_goes_on(clinic: Clinic) -> None:
    """Rounds go on where they were, so that no key of the ledger is used twice."""
    now = await clinic.now()
    before = so_far(settled("okta", now - AGO), DoorSoFar("vpn", round=3), closings=0)
    case = await clinic.open(plan("okta"), plan("vpn"), ahead=-AGO, so_far=before)
    assert await case.result() == CaseStatus.CLOSED
    assert [(r.system, r.round) for r in case.world.of(p.RevokeInput)] == [("vpn", 4)]
    assert [row.system for row in case.world.of(p.WatchInput)] == ["okta"], "read once more"
    assert [row.closing for row in case.world.of(p.CloseInput)] == [1]


@pytest.mark.real_server
async def test_who_was_asked_is_not_asked_again(clinic: Clinic) -> None:
    """Nothing is tried before they answer; then it goes on as ever."""
    before = so_far(DoorSoFar("okta", round=2, waits=True))
    case = await clinic.open(plan("okta"), ahead=-AGO, so_far=before)
    await case.done(p.BeginInput)
    assert await case.status() in {CaseStatus.NEEDS_PERSON, ""}
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    assert case.world.of(p.NeedsPersonInput) == []
    assert [row.round for row in case.world.of(p.RevokeInput)] == [3]


@pytest.mark.real_server
async def test_a_manual_system_that_waits_is_attested(clinic: Clinic) -> None:
    """A person's word is taken by the workflow that came after."""
    before = so_far(DoorSoFar("badge", round=1, waits=True))
    case = await clinic.open(plan("badge", manual=True), ahead=-AGO, so_far=before)
    await case.decide("badge", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert case.world.of(p.NeedsPersonInput) == []


async def test_the_database_is_read_again_for_signals_that_were_lost(clinic: Clinic) -> None:
    """New keys that came while there was no workflow are used at once."""
    before = so_far(DoorSoFar("okta", round=1, waits=True))
    case = await clinic.open(plan("okta"), ahead=-AGO, so_far=before, again=["okta"])
    assert await case.result() == CaseStatus.CLOSED
    assert [row.round for row in case.world.of(p.RevokeInput)] == [2]


async def test_a_watch_goes_on_with_the_looks_that_are_left(clinic: Clinic) -> None:
    """One was had; of two that were missed the last is made at once, under a number of its own."""
    hour = timedelta(seconds=clinic.hour)
    closed_at = await clinic.now() - 5 * hour
    before = so_far(
        settled("okta", closed_at, looks=3),
        closings=2,
        closed_at=closed_at,
        looked_at=closed_at + hour,
    )
    case = await clinic.open(
        plan("okta"),
        ahead=-6 * hour,
        watch_s=(clinic.hour, 2 * clinic.hour, 3 * clinic.hour, 9 * clinic.hour),
        so_far=before,
        returned={"okta": {7}},
    )
    assert await case.result() == CaseStatus.CLOSED
    assert [row.look for row in case.world.of(p.WatchInput)] == [6, 7]
    assert [(r.round, r.opening) for r in case.world.of(p.RevokeInput)] == [(2, 2)]
    assert [row.closing for row in case.world.of(p.CloseInput)] == [3]


async def test_an_optional_system_goes_on_after_the_case_has_closed(clinic: Clinic) -> None:
    """It does not open the case again, and the workflow does not end before it."""
    now = await clinic.now()
    before = so_far(
        settled("okta", now - AGO), DoorSoFar("vpn", round=1), closings=1, closed_at=now - AGO
    )
    case = await clinic.open(plan("okta"), plan("vpn", required=False), ahead=-AGO, so_far=before)
    assert await case.result() == CaseStatus.CLOSED
    assert [row.system for row in case.world.of(p.RevokeInput)] == ["vpn"]
    assert case.world.of(p.CloseInput) == []
