"""Records a case that the first release wedged: ``python -m tests.replay.record_wedged``.

The kept history was recorded with that release itself; this does the same with its codec planted.
Run by hand. Payloads are encrypted, under a keyring that is no secret, because the fault was in
what stands among them unencrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.contracts.policies import WORKFLOW_TASK_TIMEOUT
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.temporal import find_temporal_binary
from lockstep.storage.keys.keyring import Keyring
from tests.replay.record_histories import IDENTITY
from tests.replay.scenarios import OKTA_VPN, Stage
from tests.support.refusing import refusing_converter
from tests.workflows.doubles import Always, Doubles, World
from workflows.case import CaseWorkflow

HISTORY = Path(__file__).parent / "wedged" / "retried-in-back-off.json"
CASE_ID = "c-wedged"
RING = Keyring("k1", {"k1": bytes(32)}, bytes(32), unbound=frozenset({"k1"}))
_FAILING = 3
"""Attempts of one workflow task."""


async def record() -> None:
    """A retry while the machine waits to try again, then HR's word; the task fails and fails."""
    doubles = Doubles()
    world = World(CASE_ID, datetime.now(UTC), steps={"okta": [Always(FaultCategory.UNREACHABLE)]})
    world.steps["vpn"] = []
    doubles.worlds[CASE_ID] = world
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_binary()),
        search_attributes=list(names.SEARCH_ATTRIBUTES),
        identity=IDENTITY,
        data_converter=refusing_converter(RING),
    )
    async with server, contextlib.AsyncExitStack() as stack:
        cases = Worker(
            server.client,
            task_queue=names.CASE_QUEUE,
            workflows=[CaseWorkflow],
            activities=doubles.of_cases(),
            workflow_runner=sandboxed(),
            identity=IDENTITY,
        )
        await stack.enter_async_context(cases)
        for plan in OKTA_VPN:
            queue = names.system_queue(plan.system)
            worker = Worker(
                server.client,
                task_queue=queue,
                activities=doubles.of_systems(),
                identity=IDENTITY,
            )
            await stack.enter_async_context(worker)
        given = p.CaseInput(CASE_ID, world.cutoff, True, list(OKTA_VPN), partner="partner-1")
        handle = await server.client.start_workflow(
            names.CASE_WORKFLOW,
            given,
            id=CASE_ID,
            task_queue=names.CASE_QUEUE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            result_type=p.CaseResult,
        )
        await _wedge(Stage(world, handle))
        history = await handle.fetch_history()
        HISTORY.write_text(json.dumps(plain(history.to_json_dict()), indent=1) + "\n")
        await handle.terminate()


async def _wedge(stage: Stage) -> None:
    await stage.world.until_asked(p.RevokeInput, "okta", times=2)
    while not await _waits_for_its_next_try(stage.handle):  # noqa: ASYNC110 - a remote poll
        await asyncio.sleep(0.05)
    await stage.decide("okta", DecisionKind.RETRY)
    await stage.change("e2")
    async with asyncio.timeout(60):
        while await _attempts(stage.handle) < _FAILING:  # noqa: ASYNC110 - a remote poll
            await asyncio.sleep(0.1)


async def _waits_for_its_next_try(handle: WorkflowHandle[Any, Any]) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    scheduled = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    return any(row.state == scheduled and row.attempt > 1 for row in pending)


async def _attempts(handle: WorkflowHandle[Any, Any]) -> int:
    return int((await handle.describe()).raw_description.pending_workflow_task.attempt)


def plain(document: Any) -> Any:
    """Without texts of failures: replay never reads them, and their stacks name a machine."""
    match document:
        case dict():
            dropped = {"stackTrace", "encodedAttributes"}
            return {key: plain(value) for key, value in document.items() if key not in dropped}
        case list():
            return [plain(item) for item in document]
        case _:
            return document


if __name__ == "__main__":
    asyncio.run(record())
