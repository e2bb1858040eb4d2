"""Dismissals begin first among the cases of one cutoff, and nothing tells of them before.

Cases on a real PostgreSQL, workflows on the real server of one machine. No worker runs: what is
looked at is what Temporal was told.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from temporalio.client import Client

from lockstep.control.runtime.precedence import AHEAD, Precedence
from lockstep.control.runtime.start import SCHEDULED_PRIORITY, CaseStarter
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.storage.records import CaseRow
from lockstep.storage.runtime.dismissals import Dismissals
from tests.control.runtime.test_sweep import POLICY, own  # noqa: F401 - a fixture
from tests.support.casework import Casework, termination

HOUR = timedelta(hours=1)


class House:
    def __init__(self, client: Client, work: Casework) -> None:
        self.client, self.work = client, work
        self.starter = CaseStarter(client, work.cases)
        self.precedence = Precedence(client, Dismissals(work.engine))

    async def open(self, kind: TerminationKind, *, due: timedelta) -> CaseRow:
        worker = f"W-{uuid.uuid4().hex[:8]}"
        case = await self.work.open(termination(worker, kind=kind), due=due)
        await self.starter.start(case)
        return case

    async def rank(self, case: CaseRow) -> int:
        seen = await self.client.get_workflow_handle(case.case_id).describe()
        return int(seen.raw_description.workflow_execution_info.priority.priority_key)


@pytest.fixture
async def house(own: Client, work: Casework) -> House:  # noqa: F811 - the fixture
    await work.adopt(POLICY)
    return House(own, work)


async def test_a_dismissal_is_ranked_before_the_others_of_its_cutoff(house):
    """Their timers fire together; whoever is ranked first is fetched first."""
    dismissed = await house.open(TerminationKind.INVOLUNTARY, due=AHEAD)
    leaving = await house.open(TerminationKind.VOLUNTARY, due=AHEAD)
    assert await house.rank(dismissed) == await house.rank(leaving) == SCHEDULED_PRIORITY

    assert await house.precedence.step() == 1

    assert await house.rank(dismissed) == TerminationKind.INVOLUNTARY.priority
    assert await house.rank(leaving) == SCHEDULED_PRIORITY


async def test_nothing_is_ranked_while_the_cutoff_is_more_than_moments_ahead(house):
    """A rank of its own would betray a coming dismissal."""
    dismissed = await house.open(TerminationKind.INVOLUNTARY, due=HOUR)
    assert await house.precedence.step() == 0
    assert await house.rank(dismissed) == SCHEDULED_PRIORITY


async def test_each_is_ranked_once_by_a_worker(house):
    """Each time is an event of its workflow."""
    await house.open(TerminationKind.INVOLUNTARY, due=AHEAD)
    assert [await house.precedence.step() for _ in range(2)] == [1, 0]


async def test_a_case_without_a_workflow_holds_up_no_other(house):
    """It is the comparison's to start it again."""
    lost = await house.open(TerminationKind.INVOLUNTARY, due=AHEAD / 2)
    await house.client.get_workflow_handle(lost.case_id).terminate("by hand")
    dismissed = await house.open(TerminationKind.INVOLUNTARY, due=AHEAD)
    assert await house.precedence.step() == 2
    assert await house.rank(dismissed) == TerminationKind.INVOLUNTARY.priority
