"""How the score has moved."""

from __future__ import annotations

from fractions import Fraction

from lockstep.scorecard.trend import Snapshot, trend
from tests.scorecard.population import DAY, NOW


def at(days: int, text: str | None, definition: str = "one") -> Snapshot:
    return Snapshot(NOW - days * DAY, None if text is None else Fraction(text), definition)


def test_changes_are_since_the_last_snapshot_before_each_span():
    """In any order; the snapshot of the very day counts, a later one does not."""
    rows = [at(0, "19.27"), at(40, "18.00"), at(7, "19.50"), at(6, "1.00"), at(31, "18.27")]
    changes = trend(rows).as_document()["changes"]

    assert [(row["days"], row["change"]) for row in changes] == [
        (7, "-0.23"),
        (30, "1.00"),
        (90, None),
    ]
    assert changes[1]["since"] == "2026-10-18T11:06:40.000Z"


def test_without_a_score_there_is_no_change():
    """Neither now nor then; the snapshot is still named."""
    for rows in ([at(0, None), at(8, "19")], [at(0, "19"), at(8, None)]):
        week = trend(rows).changes[0]

        assert week.change is None
        assert week.then == rows[1]


def test_another_definition_is_not_compared_in_silence():
    """The change is told, with the warning."""
    week = trend([at(0, "19", "two"), at(8, "18", "one")]).changes[0]

    assert (week.change, week.is_comparable) == (1, False)


def test_nothing_has_no_trend():
    """No snapshot, no changes."""
    assert trend([]).as_document() == {"as_of": None, "changes": []}
