"""The workflow sandbox, without questions to it that our payload codec does not ask.

With a codec the SDK (1.35) asks the sandboxed workflow, several times for each payload, in which
context it is to be encoded; each question compiles and runs code in the sandbox, together a fifth
of a worker's processor time. Our codec encrypts alike in every context, and we use no external
storage of payloads, so the answer is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info


class ContextFreeRunner(WorkflowRunner):
    """Runs workflows in the SDK's default sandbox; payloads are encoded without a context."""

    def __init__(self, sandbox: SandboxedWorkflowRunner) -> None:
        self.sandbox = sandbox

    def prepare_workflow(self, defn: Any) -> None:
        self.sandbox.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ContextFreeInstance(self.sandbox.create_instance(det))

    def set_worker_level_failure_exception_types(
        self, types: Sequence[type[BaseException]]
    ) -> None:
        self.sandbox.set_worker_level_failure_exception_types(types)


class _ContextFreeInstance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner

    def activate(self, act: Any) -> Any:
        return self._inner.activate(act)

    def get_serialization_context(
        self,
        command_info: object,  # noqa: ARG002
    ) -> SerializationContext | None:
        return None

    def get_external_store_context(
        self,
        command_info: object,  # noqa: ARG002
    ) -> StorageDriverStoreContext:
        return _NOWHERE

    def get_info(self) -> Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()


_NOWHERE = StorageDriverStoreContext(target=None)


def sandboxed() -> WorkflowRunner:
    """The default sandbox; our pure packages pass through instead of being imported per case.

    The workflow's own module is imported anew for every case (temporal docs, "workflow sandbox").
    Where bytecode may not be written, each of these imports would compile it: 3 ms a case.
    """
    sys.dont_write_bytecode = False
    restrictions = SandboxRestrictions.default.with_passthrough_modules(
        "lockstep.contracts", "lockstep.domain", "workflows.door"
    )
    return ContextFreeRunner(SandboxedWorkflowRunner(restrictions=restrictions))
