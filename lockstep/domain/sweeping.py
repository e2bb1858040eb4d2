"""What may become of a case's workflow, and what follows.

The database says what a case is; Temporal only runs it. So cases are compared with workflows for
ever, and whatever was lost there is taken up again from the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from lockstep.domain.cases.outcomes import CaseStatus

PATIENCE = timedelta(seconds=60)
"""How long a workflow that runs may be seen not to do what it should before it is replaced."""


class Loss(StrEnum):
    """What is wrong. Public: the ledger names these, but for the last."""

    MISSING = "missing"
    TERMINATED = "terminated"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    ENDED = "ended"
    """As if all were done, which the database does not say."""
    BEHIND = "behind"
    """The cutoff has come, and it does not begin."""
    ASTRAY = "astray"
    """It is further than the case is in the database, or not as far."""
    STILL = "still"
    """It waits for nobody, and nothing moves."""
    UNKNOWN = "unknown"
    """A workflow of a case that the database does not have."""

    @property
    def is_gone(self) -> bool:
        """Whether no workflow runs."""
        return self not in {Loss.BEHIND, Loss.ASTRAY, Loss.STILL, Loss.UNKNOWN}

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Loss.MISSING: "Temporal knows no workflow of this case",
    Loss.TERMINATED: "its workflow was terminated",
    Loss.FAILED: "its workflow failed",
    Loss.TIMED_OUT: "its workflow timed out",
    Loss.CANCELED: "its workflow was canceled",
    Loss.ENDED: "its workflow ended before the case did",
    Loss.BEHIND: "its cutoff has come, and its workflow does not begin",
    Loss.ASTRAY: "its workflow is not where the case is in the database",
    Loss.STILL: "its workflow waits for nobody, and nothing moves",
    Loss.UNKNOWN: "Temporal runs a workflow of a case that the database does not have",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """A case that must have a workflow, as the database has it.

    Args:
        is_late: its cutoff came a while ago, and it has not begun.
        is_still: it waits for nobody, and nothing was written about it for long.
    """

    case_id: str
    status: CaseStatus
    is_late: bool = False
    is_still: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found.

    Args:
        absent: cases whose workflow was not seen among those that run, the urgent first. What is
            seen lags behind, so each is asked for by its id before anything is done.
        astray: cases whose workflow runs and does not do what it should.
        strangers: workflows that run and are of no case that must have one.
    """

    absent: tuple[str, ...] = ()
    astray: Mapping[str, Loss] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()


_SHOWN: Mapping[CaseStatus, frozenset[str]] = {
    CaseStatus.SCHEDULED: frozenset({""}),
    CaseStatus.REVOKING: frozenset({CaseStatus.REVOKING, CaseStatus.NEEDS_PERSON}),
    CaseStatus.CLOSED: frozenset({CaseStatus.CLOSED}),
}
"""What a workflow may show of a case. It shows anything else for a moment, while it follows; for
longer where one of the two databases was restored."""


def compare(expected: list[Expected], running: Mapping[str, str]) -> Compared:
    """Compare cases with workflows; ``running`` is what each shows as its case's status."""
    astray = {}
    for case in expected:
        shown = running.get(case.case_id)
        if shown is None:
            continue
        if case.is_late:
            astray[case.case_id] = Loss.BEHIND
        elif shown not in _SHOWN[case.status]:
            astray[case.case_id] = Loss.ASTRAY
        elif case.is_still:
            astray[case.case_id] = Loss.STILL
    known = {case.case_id for case in expected}
    return Compared(
        tuple(case.case_id for case in expected if case.case_id not in running),
        astray,
        tuple(name for name in running if name not in known),
    )


def rest_after(loss: Loss, restarts: int) -> timedelta:
    """How long a case that was taken up for the ``restarts``-th time is left alone then.

    What somebody does to a workflow is undone within seconds, however often they do it; what fails
    by itself would fail again.
    """
    if loss in {Loss.MISSING, Loss.TERMINATED, Loss.CANCELED}:
        return timedelta(seconds=5)
    if not loss.is_gone:
        return timedelta(hours=1)
    return min(timedelta(seconds=5) * (1 << min(restarts, 10)), timedelta(minutes=10))
