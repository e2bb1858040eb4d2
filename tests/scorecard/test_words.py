"""A score in words."""

from __future__ import annotations

from lockstep.scorecard.words import period_text, score_text

NONE = {"value": None, "max": "20", "n": 0, "label": "indicative", "unscored": ["no_leavers"]}
SOME = {"value": "17.81", "max": "20", "n": 3, "label": "indicative", "unscored": []}


def test_a_score_is_said_with_what_it_stands_on():
    """Value, n and label; nobody's is no number."""
    assert score_text(SOME) == "17.81 of 20 (n 3, indicative)"
    assert score_text(NONE) == "none: no leaver's time was up (n 0)"


def test_an_empty_period_earns_nothing_by_itself():
    """What is open from before it is said to be from before it."""
    assert period_text(NONE, leavers=0) == "none: no leaver's time was up (n 0)"
    assert period_text(SOME, leavers=3) == "17.81 of 20 (n 3, indicative)"
    assert period_text(SOME, leavers=0).endswith("3 of them from before it and still open")
