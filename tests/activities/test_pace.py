"""What activities do where a vendor takes only so many calls."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from activities.condition import Condition
from connectors.base import OUR_PACE, ConnectorFault, Transcript
from connectors.kit.pacing.pace import Line
from lockstep.contracts.payloads import RehearseInput, RehearseResult, WatchInput
from lockstep.contracts.policies import REHEARSE_PAUSE
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.systems.access import Health, Problem
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Band, Limit
from lockstep.storage.systems.revocations import Revocations
from tests.activities.conftest import Bench, Probe, environment
from tests.support.casework import SYSTEM

LATER = timedelta(seconds=9)
OUT_OF_TURN = ConnectorFault(
    FaultCategory.RATE_LIMITED,
    connector="memory",
    operation="users.get",
    code=OUR_PACE,
    retry_after=LATER,
)


async def test_an_attempt_that_had_no_turn_for_its_first_call_is_none(bench: Bench) -> None:
    """Nothing was asked: nothing is written, and Temporal tries again after the wait."""
    bench.connector.faults["locate"] = [OUT_OF_TURN]
    before = await bench.kinds()
    with pytest.raises(ApplicationError, match="our_pace_not_a_refusal") as caught:
        await bench.revoke()

    assert caught.value.next_retry_delay == LATER
    assert not caught.value.non_retryable
    assert await bench.kinds() == before
    assert (await bench.work.row(bench.case.case_id)).fault is None


async def test_an_attempt_that_lost_its_turn_half_way_is_on_record(bench: Bench) -> None:
    """It has asked the vendor; but the vendor has set no waiting time, and is not shown to."""
    bench.connector.faults["strip"] = [OUT_OF_TURN]
    condition = Condition()
    work = bench.work
    activities = AccessActivities(
        SYSTEM,
        bench.connector,
        Revocations(work.engine, work.ring, work.ledger),
        work.cases,
        condition=condition,
    )
    with pytest.raises(ApplicationError):
        await bench.revoke(activities=activities)

    assert "revocation:fault" in await bench.kinds()
    assert condition.limited_until is None


class Crowded(Probe):
    """Its health check has no turn for its second call, and takes that for a trouble."""

    async def health(self, transcript: Transcript) -> Health:
        transcript.out_of_turn = LATER
        return Health(reachable=True, problems=(Problem("rate_limited", "no", "wait"),))


async def test_a_rehearsal_without_its_turns_finds_nothing(bench: Bench) -> None:
    """It is held later instead of telling of a trouble that there is not."""
    bench.connector = Crowded()
    given = RehearseInput(bench.case.case_id, SYSTEM)
    with pytest.raises(ApplicationError, match="our_pace_not_a_refusal") as caught:
        await environment().run(bench.activities().rehearse_access, given)

    assert caught.value.next_retry_delay == REHEARSE_PAUSE


async def test_each_call_carries_the_urgency_of_its_case(bench: Bench) -> None:
    """Revoking comes before rehearsing; both know the kind of leaving and the cutoff."""
    seen: list[Transcript] = []

    class Listening(Probe):
        async def locate(self, keys, transcript, *, not_theirs=()):  # type: ignore[no-untyped-def] # as its base
            seen.append(transcript)
            return await super().locate(keys, transcript, not_theirs=not_theirs)

    listening = Listening()
    listening.standing = bench.connector.standing
    bench.connector = listening
    given = RehearseInput(bench.case.case_id, SYSTEM)
    rehearsed = await environment().run(bench.activities().rehearse_access, given)
    await bench.revoke()
    look = WatchInput(bench.case.case_id, SYSTEM, 1)
    await environment().run(bench.activities().watch_access, look)

    assert rehearsed == RehearseResult(accounts=1, problems=0)
    assert [its.urgency.band for its in seen] == [Band.REHEARSE, Band.REVOKE, Band.REVOKE]
    assert {its.urgency.due for its in seen} == {bench.case.cutoff_at.timestamp()}
    assert {its.urgency.priority for its in seen} == {TerminationKind(bench.case.kind).priority}
    assert all(its.until is not None for its in seen)


async def test_a_first_try_knows_how_long_it_would_wait(bench: Bench) -> None:
    """Twenty calls at five a second have no place in the four seconds of a first try."""
    work = bench.work
    revocations = Revocations(work.engine, work.ring, work.ledger)
    line = Line(Limit(5))
    badge = AccessActivities(SYSTEM, bench.connector, revocations, work.cases, pace=line, calls=20)

    assert badge.waits_s(1) > 3.8
    assert badge.is_paced
    assert bench.activities().waits_s(1) == 0.0
    assert not bench.activities().is_paced
