"""What activities answer, or fail with, as a case takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from temporalio.exceptions import ActivityError, ApplicationError, RetryState
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from lockstep.domain.cases.outcomes import Outcome
from lockstep.domain.systems.faults import FaultCategory, rule_for
from workflows.door import Door

Result = TypeVar("Result")


def ours(kind: type[Result], given: object) -> Result:
    """An activity's result, unless somebody completed the activity with none at all.

    Whoever reaches Temporal's port can. What they write is not believed either: the task fails,
    visibly, and goes on failing (docs/security.md).
    """
    if not isinstance(given, kind):
        raise RuntimeError(f"an activity was completed without a {kind.__name__}")  # noqa: TRY004
    return given


def nobody_known(doors: Iterable[Door]) -> bool:
    """Whether every connector that has answered says that it has never heard of the person.

    An optional system that has not answered yet is no reason to believe the keys.
    """
    answered = [door for door in doors if door.is_settled and not door.plan.manual]
    return bool(answered) and all(door.outcome == Outcome.NOT_FOUND for door in answered)


def keeps_trying(error: ActivityError, category: FaultCategory) -> bool:
    """Whether the machine goes on by itself after ``error``.

    A failure that the server was told not to retry would fail again at once, whatever its
    category: starting the next round without a person would spin.
    """
    if error.retry_state is RetryState.NON_RETRYABLE_FAILURE:
        return False
    return rule_for(category).transient


def category_of(error: ActivityError) -> FaultCategory:
    """The fault category that an activity failed with; Temporal's own timeouts are timeouts."""
    cause = error.cause
    if isinstance(cause, TemporalTimeoutError):
        cause = cause.cause if isinstance(cause.cause, ApplicationError) else cause
    if isinstance(cause, ApplicationError) and cause.type:
        return known_category(cause.type)
    return FaultCategory.TIMEOUT


def known_category(name: str) -> FaultCategory:
    """A fault category by its value; anything else is a fault of ours."""
    try:
        return FaultCategory(name)
    except ValueError:
        return FaultCategory.INTERNAL
