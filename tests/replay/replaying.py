"""Replays one history and fails where its workflow cannot take it, for whatever reason.

The SDK's replayer tells of an order of commands that has changed. A task that fails otherwise, by
a payload that is refused or by a bug, passes there unseen when it is the last.
"""

from __future__ import annotations

import logging

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer

from lockstep.control.runtime.sandboxing import sandboxed

_SAYS = logging.getLogger("temporalio.worker._workflow")


class TaskFailedError(Exception):
    """A workflow task failed while a history was replayed; the text is its error's."""


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.found.append(str(error or record.getMessage()))


async def replay(
    history: WorkflowHistory, workflow: type, converter: DataConverter = DataConverter.default
) -> None:
    """With the sandbox of the real worker.

    Raises:
        NondeterminismError: from the SDK, if the order of the commands has changed.
        TaskFailedError: if a workflow task fails for another reason.
    """
    failures = _Failures()
    _SAYS.addHandler(failures)
    try:
        replayer = Replayer(
            workflows=[workflow], workflow_runner=sandboxed(), data_converter=converter
        )
        await replayer.replay_workflow(history)
    finally:
        _SAYS.removeHandler(failures)
    if failures.found:
        raise TaskFailedError(failures.found[0])
