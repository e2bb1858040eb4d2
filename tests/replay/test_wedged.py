"""A case that the first release wedged goes on with this one."""

from __future__ import annotations

import json

import pytest
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from lockstep.control.runtime.payloads import data_converter
from tests.replay.record_wedged import CASE_ID, HISTORY, RING
from tests.replay.replaying import TaskFailedError, replay
from tests.support.refusing import refusing_converter
from workflows.case import CaseWorkflow


async def _replay(converter: DataConverter) -> None:
    history = WorkflowHistory.from_json(CASE_ID, HISTORY.read_text())
    await replay(history, CaseWorkflow, converter)


async def test_a_case_that_was_wedged_comes_free() -> None:
    """Its history, recorded before the mend, is taken up to its end, and no task fails."""
    await _replay(data_converter(RING))


async def test_the_release_that_wedged_it_still_would() -> None:
    """The proof can fail: with the first release's codec the same task fails."""
    with pytest.raises(TaskFailedError, match="did not write"):
        await _replay(refusing_converter(RING))


def test_the_history_is_of_a_wedged_case() -> None:
    """Temporal's own payload stands in it, plain, and after it only tasks that fail."""
    events = json.loads(HISTORY.read_text())["events"]
    kinds = [event["eventType"].removeprefix("EVENT_TYPE_") for event in events]
    cancelled = kinds.index("ACTIVITY_TASK_CANCELED")
    [detail] = events[cancelled]["activityTaskCanceledEventAttributes"]["details"]["payloads"]
    assert detail["data"] == "IkFDVElWSVRZX0lEX05PVF9TVEFSVEVEIg=="
    after = kinds[cancelled + 1 :]
    assert after.count("WORKFLOW_TASK_FAILED") == 2
    assert "WORKFLOW_TASK_COMPLETED" not in after
