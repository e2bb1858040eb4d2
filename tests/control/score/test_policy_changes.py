"""Differences between policies: every place, whatever its kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockstep.control.score.policy_changes import changes, span_text
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import Policy, Tier
from tests.support.casework import two_systems

OLD = two_systems().policy


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (replace(OLD, version="2"), [("version", "1", "2")]),
        (replace(OLD, warn_at=0.75), [("warn at percent", "50", "75")]),
        (
            replace(OLD, sla={(TerminationKind.INVOLUNTARY, Tier.ZERO): timedelta(minutes=90)}),
            [("sla, involuntary.0", "1 h", "1 h 30 min")],
        ),
        (replace(OLD, watch=()), [("watch", "1 h, 1 d, 7 d, 30 d", "–")]),
        (
            replace(OLD, systems=tuple(reversed(OLD.systems))),
            [],
        ),
        (
            replace(OLD, systems=(replace(OLD.systems[0], required=False), OLD.systems[1])),
            [("systems, memory-1, required", "yes", "no")],
        ),
    ],
)
def test_each_place_that_differs_is_named(new: Policy, expected: list[tuple[str, str, str]]):
    """With what stood there before and after."""
    found = changes(OLD.as_document(), new.as_document())
    assert [(row.place, row.before, row.after) for row in found] == expected


def test_a_system_that_came_or_went_is_absent_on_one_side():
    """All of its places."""
    found = changes(replace(OLD, systems=OLD.systems[:1]).as_document(), OLD.as_document())
    assert {row.before for row in found} == {"–"}
    assert all("memory-2" in row.place for row in found)


def test_durations_are_told_in_their_units():
    """Zero too."""
    assert (span_text(0), span_text(93600), span_text(61)) == ("0 s", "1 d 2 h", "1 min 1 s")
