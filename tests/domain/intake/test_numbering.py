"""Whose number a worker's id is."""

from __future__ import annotations

import pytest

from lockstep.domain.intake.numbering import Numbering, WhoseNumberError

TWO = Numbering(("a", "b"))
ONE = Numbering(("a",))
NONE = Numbering()
SHARED = Numbering(("a", "b", "c"), (("a", "b"),))
ALL = Numbering(("a", "b"), (("a", "b"),))


@pytest.mark.parametrize(
    ("numbering", "source", "peers"),
    [
        (TWO, "a", ("a",)),
        (ONE, "a", ("a", "cli")),
        (NONE, "cli", ("cli",)),
        (TWO, "cli", ("cli",)),
        (SHARED, "b", ("b", "a")),
        (SHARED, "c", ("c",)),
        (ALL, "b", ("b", "a", "cli")),
    ],
)
def test_under_whose_numbers_a_worker_can_be_known(numbering, source, peers):
    """One's own, those of who numbers alike, and nobody's where nobody else's could be meant."""
    assert numbering.peers(source) == peers


@pytest.mark.parametrize(
    ("numbering", "named", "known", "chosen"),
    [
        (TWO, "b", ["a"], "b"),
        (TWO, "cli", ["a"], "cli"),
        (TWO, "", ["b"], "b"),
        (TWO, "", ["cli"], "cli"),
        (ONE, "", [], "a"),
        (ONE, "", ["cli"], "a"),
        (ONE, "", ["a", "cli"], "a"),
        (NONE, "", [], "cli"),
        (NONE, "", ["cli"], "cli"),
        (SHARED, "", ["a", "b"], "a"),
        (ALL, "", [], "a"),
        (ALL, "", ["b"], "b"),
    ],
)
def test_whose_number_somebody_means(numbering, named, known, chosen):
    """The one named, else the only one that it can be."""
    assert numbering.choose(named, known) == chosen


@pytest.mark.parametrize(
    ("numbering", "named", "known"),
    [
        (TWO, "", []),
        (TWO, "", ["a", "b"]),
        (TWO, "", ["a", "cli"]),
        (SHARED, "", []),
        (SHARED, "", ["a", "c"]),
        (TWO, "x", ["a"]),
    ],
)
def test_what_could_be_several_peoples_must_be_named(numbering, named, known):
    """With the names to choose from."""
    with pytest.raises(WhoseNumberError, match="a or b"):
        numbering.choose(named, known)


@pytest.mark.parametrize(
    ("numbering", "is_one"),
    [
        (Numbering(), True),
        (Numbering(("hr-a",)), True),
        (Numbering(("hr-a", "hr-b")), False),
        (Numbering(("hr-a", "hr-b"), (("hr-a", "hr-b"),)), True),
        (Numbering(("hr-a", "hr-b", "hr-c"), (("hr-a", "hr-b"),)), False),
    ],
)
def test_one_range_is_one_people(numbering, is_one):
    """Where all sources number the same people, a number names one person."""
    assert numbering.is_one_range is is_one
