"""What may be decided about a system, and what it is that stands against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.decisions import Bar, DecisionKind, Standing, bar_to

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
OPEN = Standing(begun=True, settled=False, by_hand=False, due_at=NOW + timedelta(hours=1))
DOUBTFUL = replace(OPEN, in_doubt=True)
FOUND_LATER = replace(OPEN, settled=True, in_doubt=True)


@pytest.mark.parametrize(
    ("kind", "standing", "bar"),
    [
        (DecisionKind.RETRY, OPEN, None),
        (DecisionKind.ATTEST, OPEN, None),
        (DecisionKind.WAIVE, OPEN, None),
        (DecisionKind.PICK, OPEN, Bar.NOT_IN_DOUBT),
        (DecisionKind.PICK, DOUBTFUL, None),
        (DecisionKind.PICK, FOUND_LATER, None),
        (DecisionKind.PICK, replace(FOUND_LATER, watched=False), Bar.HIRED_AGAIN),
        (DecisionKind.PICK, replace(OPEN, settled=True), Bar.SETTLED),
        (DecisionKind.RETRY, FOUND_LATER, Bar.SETTLED),
        (DecisionKind.RETRY, replace(OPEN, by_hand=True), Bar.BY_HAND),
        (DecisionKind.ATTEST, replace(OPEN, by_hand=True), None),
        (DecisionKind.WAIVE, replace(OPEN, due_at=NOW), Bar.OVERDUE),
        (DecisionKind.ATTEST, replace(OPEN, due_at=NOW), None),
    ],
)
def test_what_can_be_decided(kind: DecisionKind, standing: Standing, bar: Bar | None) -> None:
    """Each kind has its own bar, and no other."""
    assert bar_to(kind, standing, now=NOW) is bar


@pytest.mark.parametrize("kind", DecisionKind)
@pytest.mark.parametrize(
    ("standing", "bar"),
    [
        (replace(DOUBTFUL, begun=False), Bar.NOT_BEGUN),
        (replace(DOUBTFUL, begun=False, called_off=True), Bar.CALLED_OFF),
    ],
)
def test_nothing_is_decided_before_the_cutoff(
    kind: DecisionKind, standing: Standing, bar: Bar
) -> None:
    """Until then only the dates can be changed; of a case that was called off nothing can."""
    assert bar_to(kind, standing, now=NOW) is bar
