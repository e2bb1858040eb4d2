"""Why a case is stalled, in words: its workflow's task fails at every try."""

from __future__ import annotations

from enum import StrEnum


class TaskFault(StrEnum):
    """What kind of failure Temporal tells of a workflow's task."""

    ORDER = "order"
    WORKER = "worker"
    TIMEOUT = "timeout"
    OTHER = "other"

    @property
    def reason(self) -> str:
        return _REASONS[self]

    @property
    def suggestion(self) -> str:
        return _SUGGESTIONS[self]


_REASONS = {
    TaskFault.ORDER: "The case cannot go on: the workers' release does not follow what an earlier"
    " one did.",
    TaskFault.WORKER: "The case cannot go on: its workflow fails at every try.",
    TaskFault.TIMEOUT: "The case cannot go on: no worker finishes its workflow's task in time.",
    TaskFault.OTHER: "The case cannot go on: Temporal refuses what its workflow does.",
}
_LOG = "The worker's log names the error (`Failed handling activation`)."
_SUGGESTIONS = {
    TaskFault.ORDER: "Start the release that ran before, or a newer one, and keep all workers on"
    " one release.",
    TaskFault.WORKER: f"{_LOG} Bring all workers to the newest release; report it if it stays.",
    TaskFault.TIMEOUT: "Look whether workers die, or the machine is too slow; then restart them.",
    TaskFault.OTHER: f"{_LOG} Temporal's own page shows the case's newest events.",
}


def fault_of(problems: list[str]) -> TaskFault:
    """The kind, from Temporal's search attribute ``TemporalReportedProblems``.

    It holds ``category=WorkflowTaskFailed`` or ``category=WorkflowTaskTimedOut``, and
    ``cause=WorkflowTaskFailedCause...``; other values may come with other servers.
    """
    told = " ".join(problems)
    if "NonDeterministic" in told:
        return TaskFault.ORDER
    if "TimedOut" in told:
        return TaskFault.TIMEOUT
    if "UnhandledFailure" in told:
        return TaskFault.WORKER
    return TaskFault.OTHER
