"""The first release's fault, planted on the real server: a case is wedged, and comes free."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from lockstep.contracts import payloads as p
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.keys.keyring import Keyring
from tests.support.refusing import refusing_converter
from tests.workflows.conftest import Case, Clinic, Server, plan
from tests.workflows.doubles import Always, Doubles
from workflows.case import CaseWorkflow

QUEUE = "cases-wedged"


@contextlib.asynccontextmanager
async def _worker(client: Client, doubles: Doubles) -> AsyncIterator[None]:
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[CaseWorkflow],
        activities=doubles.of_cases(),
        workflow_runner=sandboxed(),
    )
    async with worker:
        yield


async def _attempts(case: Case) -> int:
    described = (await case.handle.describe()).raw_description
    return int(described.pending_workflow_task.attempt)


@pytest.mark.real_server(alone=True)
async def test_a_wedged_case_comes_free_by_a_restart_with_this_release(
    real: Server, real_doubles: Doubles, temporal: TemporalDevServer, ring: Keyring
) -> None:
    """Retried by the first release it fails task after task; this one carries it to its end."""
    first = await Client.connect(temporal.address, data_converter=refusing_converter(ring))
    clinic = Clinic(real, real_doubles, QUEUE)
    async with _worker(first, real_doubles):
        case = await clinic.open(
            plan("okta"),
            plan("vpn", manual=True),
            steps={"okta": [Always(FaultCategory.UNREACHABLE)]},
        )
        await case.backs_off("okta")
        await case.decide("okta", DecisionKind.RETRY)  # it says that it is recorded, and it is
        async with asyncio.timeout(30):
            while await _attempts(case) < 3:  # noqa: ASYNC110 - a remote poll
                await asyncio.sleep(0.05)
    tried = len(case.world.of(p.RevokeInput))
    case.world.steps["okta"].clear()
    async with _worker(real.client, real_doubles):
        await case.world.until_asked(p.RevokeInput, times=tried + 1)
        assert (await case.decide("vpn", DecisionKind.ATTEST)).outcome == Outcome.ATTESTED
        assert await case.result() == CaseStatus.CLOSED
    assert [row.round for row in case.world.of(p.RevokeInput)][-1] == 2
