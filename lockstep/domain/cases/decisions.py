"""What a person may decide about one system now: asked by workflow, ways in and pages alike.

The workflow has the last word, because only it knows its own instant; all others ask the same
question of what they have read, so that nobody is offered what would be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DecisionKind(StrEnum):
    """What a person may decide about one system of a case."""

    RETRY = "retry"
    ATTEST = "attest"
    WAIVE = "waive"
    PICK = "pick"
    """Said which accounts in doubt are the leaver's; then the system is tried again."""


class Bar(StrEnum):
    """Why something cannot be decided now."""

    NOT_BEGUN = "the cutoff has not come yet: until then only the dates can be changed"
    CALLED_OFF = "the case was called off"
    SETTLED = "it is settled already"
    NOT_IN_DOUBT = "no account is in doubt there"
    HIRED_AGAIN = "they are said to work here again: nothing is taken any more"
    BY_HAND = "it is worked by hand and cannot be retried: attest it"
    OVERDUE = "a waiver must come before the deadline: it has passed"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision depends on.

    Args:
        begun: whether the cutoff has come.
        called_off: whether the case was, before its cutoff.
        settled: whether the system is.
        by_hand: whether it has no connector.
        in_doubt: whether a person has to say whose some of its accounts are.
        due_at: when it must be settled, aware.
        watched: whether later looks go on; they end where the leaver works here again.
    """

    begun: bool
    settled: bool
    by_hand: bool
    due_at: datetime
    in_doubt: bool = False
    called_off: bool = False
    watched: bool = True


def bar_to(kind: DecisionKind, standing: Standing, *, now: datetime) -> Bar | None:
    """Why ``kind`` cannot be decided at ``now`` (aware); None where it can.

    A later look may find accounts in doubt in a system that is settled: these can be picked.
    """
    picks = kind is DecisionKind.PICK
    bars = (
        (Bar.CALLED_OFF, standing.called_off),
        (Bar.NOT_BEGUN, not standing.begun),
        (Bar.SETTLED, standing.settled and not (picks and standing.in_doubt)),
        (Bar.HIRED_AGAIN, standing.settled and not standing.watched),
        (Bar.NOT_IN_DOUBT, picks and not standing.in_doubt),
        (Bar.BY_HAND, kind is DecisionKind.RETRY and standing.by_hand),
        (Bar.OVERDUE, kind is DecisionKind.WAIVE and now >= standing.due_at),
    )
    return next((bar for bar, stands in bars if stands), None)
