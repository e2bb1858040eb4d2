"""The workflow sandbox, without questions to it whose answers are known outside.

With a codec the SDK (1.35) asks the sandboxed workflow, several times for each payload, in which
context it is to be encoded; each question compiles and runs code in the sandbox, together a fifth
of a worker's processor time. What belongs to which activity stands in the commands that leave the
sandbox, so it is read there; and we use no external storage of payloads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from temporalio.api.enums.v1 import CommandType
from temporalio.bridge.proto.workflow_commands import ScheduleActivity, ScheduleLocalActivity
from temporalio.converter import (
    ActivitySerializationContext,
    SerializationContext,
    StorageDriverStoreContext,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

_ELSEWHERE = {
    CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION,
}
"""What goes to another workflow or service: only the sandboxed workflow knows to which."""
_NOWHERE = StorageDriverStoreContext(target=None)


class PlacingRunner(WorkflowRunner):
    """Runs workflows in the SDK's default sandbox, and says itself where a payload belongs."""

    def __init__(self, sandbox: SandboxedWorkflowRunner) -> None:
        self.sandbox = sandbox

    def prepare_workflow(self, defn: Any) -> None:
        self.sandbox.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _PlacingInstance(self.sandbox.create_instance(det), det.info)

    def set_worker_level_failure_exception_types(
        self, types: Sequence[type[BaseException]]
    ) -> None:
        self.sandbox.set_worker_level_failure_exception_types(types)


class _PlacingInstance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance, info: Info) -> None:
        self._inner = inner
        self._info = info
        self._place = WorkflowSerializationContext(info.namespace, info.workflow_id)
        self._activities: dict[int, ActivitySerializationContext] = {}

    def activate(self, act: Any) -> Any:
        done = self._inner.activate(act)
        for job in act.jobs:
            if job.HasField("resolve_activity"):
                self._activities.pop(job.resolve_activity.seq, None)
        for command in done.successful.commands:
            match command.WhichOneof("variant"):
                case "schedule_activity":
                    self._note(command.schedule_activity, command.schedule_activity.task_queue)
                case "schedule_local_activity":
                    self._note(command.schedule_local_activity, self._info.task_queue)
        return done

    def _note(self, asked: ScheduleActivity | ScheduleLocalActivity, queue: str) -> None:
        self._activities[asked.seq] = ActivitySerializationContext(
            namespace=self._info.namespace,
            activity_id=asked.activity_id,
            activity_type=asked.activity_type,
            activity_task_queue=queue,
            workflow_id=self._info.workflow_id,
            workflow_type=self._info.workflow_type,
            is_local=isinstance(asked, ScheduleLocalActivity),
        )

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        if command_info is None:
            return self._place
        if command_info.command_type == CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
            return self._activities.get(command_info.command_seq, self._place)
        if command_info.command_type in _ELSEWHERE:
            return self._inner.get_serialization_context(command_info)
        return self._place

    def get_external_store_context(
        self,
        command_info: object,  # noqa: ARG002
    ) -> StorageDriverStoreContext:
        return _NOWHERE

    def get_info(self) -> Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()


def sandboxed() -> WorkflowRunner:
    """The default sandbox; our pure packages pass through instead of being imported per case.

    The workflow's own module is imported anew for every case (temporal docs, "workflow sandbox").
    Where bytecode may not be written, each of these imports would compile it: 3 ms a case.
    """
    sys.dont_write_bytecode = False
    restrictions = SandboxRestrictions.default.with_passthrough_modules(
        *("lockstep.contracts", "lockstep.domain"),
        *("workflows.answers", "workflows.door", "workflows.looks", "workflows.patches"),
    )
    return PlacingRunner(SandboxedWorkflowRunner(restrictions=restrictions))
