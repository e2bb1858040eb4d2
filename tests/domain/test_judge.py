"""What a further statement about a spell does: order and repetition must not matter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.terminations import KnownCase, TerminationAction, Verdict, judge

TERMINATED, AMENDED, RESCINDED = TerminationAction


@dataclass(frozen=True)
class Statement:
    revision: int
    action: TerminationAction

    @property
    def event_id(self) -> str:
        return f"e{self.revision}"


def _apply(known: KnownCase | None, said: Statement, *, cutoff_passed: bool) -> KnownCase | None:
    """What intake makes of a verdict (`Dispatcher._change`), with the database left out."""
    verdict = judge(said.action, said.revision, said.event_id, known)
    fresh = KnownCase(said.revision, said.event_id, False, cutoff_passed)
    match verdict:
        case Verdict.OPEN:
            return fresh
        case Verdict.TOMBSTONE:
            return replace(fresh, is_rescinded=True)
        case Verdict.DUPLICATE | Verdict.OUTDATED:
            return known
        case Verdict.AMEND | Verdict.TOO_LATE:
            assert known is not None
            return replace(known, revision=said.revision, last_event_id=said.event_id)
        case Verdict.RESCIND:
            assert known is not None
            return KnownCase(said.revision, said.event_id, True, known.cutoff_passed)


def _end(statements: list[Statement]) -> KnownCase | None:
    known: KnownCase | None = None
    for said in statements:
        known = _apply(known, said, cutoff_passed=False)
    return known


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[list[Statement], list[Statement]]:
    """HR's statements in order, and their deliveries: shuffled, repeated, none lost."""
    actions = draw(st.lists(st.sampled_from(TerminationAction), min_size=1, max_size=6))
    said = [Statement(number, action) for number, action in enumerate(actions, start=1)]
    again = draw(st.lists(st.sampled_from(said), max_size=8))
    return said, draw(st.permutations(said + again))


@given(_deliveries())
def test_any_order_and_repetition_ends_in_the_same_state(
    given_: tuple[list[Statement], list[Statement]],
) -> None:
    """Before the cutoff, only what HR said last decides: open or rescinded, and its revision."""
    said, delivered = given_
    end = _end(delivered)
    assert end == _end(said)
    assert end is not None
    assert end.revision == said[-1].revision
    assert end.is_rescinded is (said[-1].action is RESCINDED)


@given(_deliveries())
def test_a_repetition_of_everything_changes_nothing(
    given_: tuple[list[Statement], list[Statement]],
) -> None:
    """A second delivery of all events, in any order, is a duplicate or outdated."""
    said, delivered = given_
    end = _end(said)
    for statement in delivered:
        verdict = judge(statement.action, statement.revision, statement.event_id, end)
        assert verdict in {Verdict.DUPLICATE, Verdict.OUTDATED}


KNOWN = KnownCase(revision=3, last_event_id="e3", is_rescinded=False, cutoff_passed=False)
PASSED = replace(KNOWN, cutoff_passed=True)
STOPPED = replace(KNOWN, is_rescinded=True)


@pytest.mark.parametrize(
    ("action", "revision", "event_id", "known", "verdict"),
    [
        (TERMINATED, 1, "e1", None, Verdict.OPEN),
        (AMENDED, 2, "e2", None, Verdict.OPEN),
        (RESCINDED, 2, "e2", None, Verdict.TOMBSTONE),
        (TERMINATED, 3, "other", KNOWN, Verdict.DUPLICATE),
        (AMENDED, 4, "e3", KNOWN, Verdict.DUPLICATE),
        (RESCINDED, 2, "e2", KNOWN, Verdict.OUTDATED),
        (AMENDED, 4, "e4", KNOWN, Verdict.AMEND),
        (TERMINATED, 4, "e4", KNOWN, Verdict.AMEND),
        (RESCINDED, 4, "e4", KNOWN, Verdict.RESCIND),
        (RESCINDED, 4, "e4", PASSED, Verdict.TOO_LATE),
        (AMENDED, 4, "e4", PASSED, Verdict.AMEND),
        (TERMINATED, 4, "e4", STOPPED, Verdict.OPEN),
        (TERMINATED, 2, "e2", STOPPED, Verdict.OUTDATED),
        (TERMINATED, 3, "x", STOPPED, Verdict.DUPLICATE),
    ],
)
def test_each_verdict(
    action: TerminationAction,
    revision: int,
    event_id: str,
    known: KnownCase | None,
    verdict: Verdict,
) -> None:
    """A table of every way through the decision."""
    assert judge(action, revision, event_id, known) is verdict


@given(action=st.sampled_from(TerminationAction), revision=st.integers(0, 10))
def test_after_the_cutoff_nothing_is_ever_taken_back(
    action: TerminationAction, revision: int
) -> None:
    """No statement rescinds a case that runs and whose cutoff has passed."""
    assert judge(action, revision, f"e{revision}", PASSED) is not Verdict.RESCIND
