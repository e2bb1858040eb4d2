"""Counts with their words."""

from __future__ import annotations

import pytest

from lockstep.domain.counting import counted, noun


@pytest.mark.parametrize(
    ("count", "says"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (1204, "1,204 entries")]
)
def test_a_count_agrees_with_its_word(count, says):
    """One is one; nothing and many are many."""
    assert counted(count, "entry", "entries") == says


def test_a_regular_word_needs_no_second_form():
    """An s is all that most words take."""
    assert (noun(1, "case"), noun(3, "case")) == ("case", "cases")
