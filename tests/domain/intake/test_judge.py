"""What a further statement about a spell does: order and repetition must not matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import (
    EndDates,
    Termination,
    TerminationAction,
    TerminationKind,
)
from lockstep.domain.intake.judging import KnownCase, Verdict, concerned, judge

TERMINATED, AMENDED, RESCINDED, REHIRED = TerminationAction
OF_A_LEAVING = (TERMINATED, AMENDED, RESCINDED)
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def statement(revision: int, action: TerminationAction, **more: object) -> Termination:
    base = Termination(
        tenant="acme",
        source="hr",
        event_id=f"e{revision}",
        action=action,
        revision=revision,
        worker_id="W-1",
        spell="1",
        kind=TerminationKind.VOLUNTARY,
        recorded_at=NOW,
        dates=EndDates(zone="Asia/Manila", access_ends_at=NOW),
        keys=LeaverKeys((Key(KeyKind.WORKER_ID, "W-1"),)),
    )
    return replace(base, **more)


def _apply(known: KnownCase | None, said: Termination, *, cutoff_passed: bool) -> KnownCase | None:
    """What intake makes of a verdict (`Dispatcher._change`), with the database left out."""
    verdict = judge(said, known)
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
        case _:
            raise AssertionError(verdict)


def _end(statements: list[Termination]) -> KnownCase | None:
    known: KnownCase | None = None
    for said in statements:
        known = _apply(known, said, cutoff_passed=False)
    return known


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[list[Termination], list[Termination]]:
    """HR's statements in order, and their deliveries: shuffled, repeated, none lost."""
    actions = draw(st.lists(st.sampled_from(OF_A_LEAVING), min_size=1, max_size=6))
    said = [statement(number, action) for number, action in enumerate(actions, start=1)]
    again = draw(st.lists(st.sampled_from(said), max_size=8))
    return said, draw(st.permutations(said + again))


@given(_deliveries())
def test_any_order_and_repetition_ends_in_the_same_state(
    given_: tuple[list[Termination], list[Termination]],
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
    given_: tuple[list[Termination], list[Termination]],
) -> None:
    """A second delivery of all events, in any order, is a duplicate or outdated."""
    said, delivered = given_
    end = _end(said)
    for again in delivered:
        verdict = judge(again, end)
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
    assert judge(statement(revision, action, event_id=event_id), known) is verdict


@given(action=st.sampled_from(TerminationAction), revision=st.integers(0, 10))
def test_after_the_cutoff_nothing_is_ever_taken_back(
    action: TerminationAction, revision: int
) -> None:
    """No statement rescinds a case that runs and whose cutoff has passed."""
    assert judge(statement(revision, action), PASSED) is not Verdict.RESCIND


CLOSED = replace(PASSED, cutoff_at=NOW, closed_at=NOW + HOUR)
AGAIN = replace(CLOSED, is_rehired=True)
LATER, EARLIER = NOW + 30 * DAY, NOW + HOUR / 2
THE_DAY = date(2026, 11, 23)  # the day of the cutoff, in Manila


@pytest.mark.parametrize(
    ("said", "known", "cutoff", "verdict"),
    [
        # The known revision with another content is a conflict, and never a repetition.
        (statement(3, TERMINATED, event_id="x"), KNOWN, LATER, Verdict.CONFLICT),
        (statement(3, RESCINDED, event_id="x"), STOPPED, LATER, Verdict.CONFLICT),
        # A second termination of a closed case needs another employment.
        (statement(3, TERMINATED, event_id="x"), CLOSED, LATER, Verdict.CLOSED),
        (statement(4, TERMINATED), CLOSED, LATER, Verdict.CLOSED),
        (statement(1, TERMINATED), CLOSED, LATER, Verdict.OUTDATED),
        (statement(4, TERMINATED), CLOSED, EARLIER, Verdict.AMEND),
        (statement(4, AMENDED), CLOSED, LATER, Verdict.AMEND),
        (statement(1, TERMINATED, hired_at=NOW + DAY), CLOSED, LATER, Verdict.OPEN),
        (statement(4, TERMINATED, hired_at=THE_DAY + DAY), CLOSED, LATER, Verdict.OPEN),
        (statement(4, TERMINATED, hired_at=THE_DAY), CLOSED, LATER, Verdict.OPEN),
        (statement(4, TERMINATED, hired_at=THE_DAY), CLOSED, EARLIER, Verdict.AMEND),
        (statement(4, TERMINATED, hired_at=THE_DAY - DAY), CLOSED, LATER, Verdict.CLOSED),
        (statement(4, TERMINATED, hired_at=NOW - HOUR), CLOSED, LATER, Verdict.CLOSED),
        (statement(4, AMENDED, hired_at=NOW + DAY), CLOSED, LATER, Verdict.AMEND),
        # Said to be rehired, they may leave again without `hired_at`; not by an old statement.
        (statement(4, TERMINATED), AGAIN, LATER, Verdict.OPEN),
        (statement(2, TERMINATED), AGAIN, LATER, Verdict.OUTDATED),
        # Another employment, and the case of the earlier one is open.
        (statement(4, TERMINATED, hired_at=LATER), replace(KNOWN, cutoff_at=NOW), LATER,
         Verdict.STILL_OPEN),
        (statement(4, TERMINATED, hired_at=THE_DAY), replace(KNOWN, cutoff_at=NOW), LATER,
         Verdict.AMEND),
        # Rehired: ends the watch of who has left, and nothing else.
        (statement(1, REHIRED), None, NOW, Verdict.NOBODY),
        (statement(4, REHIRED), KNOWN, NOW, Verdict.NOT_LEFT),
        (statement(4, REHIRED), STOPPED, NOW, Verdict.NOT_LEFT),
        (statement(4, REHIRED), PASSED, NOW, Verdict.STILL_OPEN),
        (statement(4, REHIRED), CLOSED, NOW, Verdict.REHIRED),
        (statement(5, REHIRED), AGAIN, NOW, Verdict.REHIRED),
        (statement(2, REHIRED), CLOSED, NOW, Verdict.OUTDATED),
    ],
)  # fmt: skip
def test_what_is_not_carried_out_says_so(
    said: Termination, known: KnownCase | None, cutoff: datetime, verdict: Verdict
) -> None:
    """Conflicts, second terminations and rehirings, where the content is known to differ."""
    assert judge(said, known, cutoff=cutoff, is_same=False) is verdict
    assert verdict.is_refusal is (
        verdict.value in {"conflict", "closed", "still_open", "nobody", "not_left"}
    )


def test_where_nothing_is_kept_of_a_revision_its_cutoff_tells() -> None:
    """A cutoff after the closing is no repetition of what was carried out before it."""
    again = statement(3, TERMINATED, event_id="x")
    assert judge(again, CLOSED, cutoff=LATER) is Verdict.CLOSED
    assert judge(again, CLOSED, cutoff=EARLIER) is Verdict.DUPLICATE
    assert judge(again, CLOSED, cutoff=LATER, is_same=True) is Verdict.DUPLICATE


FIRST = replace(CLOSED, employment=1)
SECOND = replace(
    KNOWN, employment=2, cutoff_at=LATER, closed_at=None, last_event_id="s", revision=1
)


@pytest.mark.parametrize(
    ("said", "index"),
    [
        (statement(2, AMENDED, recorded_at=NOW + 3 * HOUR), 1),
        (statement(2, AMENDED, recorded_at=NOW - HOUR), 0),  # said before the first one closed
        (statement(2, AMENDED, hired_at=NOW - 90 * DAY), 0),
        (statement(2, AMENDED, hired_at=NOW + DAY), 1),
        (statement(2, AMENDED, hired_at=THE_DAY + 2 * DAY), 1),
        (statement(2, REHIRED, hired_at=NOW + DAY), 0),
        (statement(2, REHIRED, hired_at=LATER + DAY), 1),
    ],
)
def test_two_employments_of_one_spell_are_told_apart(said: Termination, index: int) -> None:
    """By `hired_at`; and without it by when HR recorded the statement."""
    assert concerned(said, [FIRST, SECOND]) == index
    assert concerned(said, []) is None
