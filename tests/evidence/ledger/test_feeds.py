"""Which sources of HR are expected and when they were heard, as the entries tell it."""

from __future__ import annotations

import json

import pytest

from lockstep.evidence.ledger.feeds import MAX_SOURCES
from lockstep.evidence.ledger.history import History, HistoryError
from lockstep.scorecard.facts import Feed
from tests.evidence.ledgers import AS_OF, DAY, HOUR, START, Book


def read(book: Book) -> History:
    history = History()
    for leaf, raw in enumerate(book.entries):
        history.add(leaf, json.loads(raw))
    return history


def test_without_a_word_about_sources_none_is_expected() -> None:
    """Whoever is heard without being expected is not measured."""
    book = Book().begin()
    book.hear("workday", START)
    book.run("c1", START + DAY)
    assert read(book).feeds.feeds() == ()


def test_a_source_is_as_old_as_the_last_time_it_was_heard() -> None:
    """In whatever order the entries stand; each source by itself, by name."""
    book = Book().begin()
    book.expect("workday", "agency", at=START)
    book.hear("workday", START + 2 * DAY)
    book.hear("workday", START + DAY)
    assert read(book).feeds.feeds() == (
        Feed("agency", START, None),
        Feed("workday", START, START + 2 * DAY),
    )


@pytest.mark.parametrize("first", ["case:opened", "case:rescinded"])
def test_a_case_says_that_its_source_was_heard(first: str) -> None:
    """When the event was received; what follows in the case says nothing of HR."""
    book = Book().begin()
    book.expect("workday", at=START)
    book.open("c1", START + 20 * DAY, noticed=START + 5 * DAY, first=first)
    book.say("case:rescinded", case="c1", at=START + 9 * DAY, data={"revision": 2})
    assert read(book).feeds.feeds() == (Feed("workday", START, START + 5 * DAY + 1000),)


def test_the_future_is_not_heard() -> None:
    """An entry cannot say more than was known when it was written down."""
    book = Book().begin()
    book.expect("workday", at=START + 9 * DAY, recorded=START)
    book.hear("workday", START + 99 * DAY, recorded=START + DAY)
    opened = {"noticed": START + 50 * DAY, "systems": ()}
    book.open("c1", START, **opened)
    late = json.loads(book.entries[-1]) | {"recorded_at": "2026-07-03T00:00:00.000Z"}
    book.entries[-1] = json.dumps(late).encode()
    assert read(book).feeds.feeds() == (Feed("workday", START, START + 2 * DAY),)


def test_taking_a_source_out_for_a_while_does_not_make_it_young() -> None:
    """It is expected since the first time, and what was heard stays heard."""
    book = Book().begin()
    book.expect("agency", "workday", at=START)
    book.hear("agency", START + HOUR)
    book.expect("workday", at=START + DAY)
    without = read(book).feeds
    book.expect("agency", "workday", at=START + 30 * DAY)
    again = read(book).feeds

    assert without.feeds() == (Feed("workday", START, None),)
    assert without.dropped(since=START) == [("agency", START + DAY)]
    assert without.dropped(since=START + DAY + 1) == []
    assert again.feeds() == (
        Feed("agency", START, START + HOUR),
        Feed("workday", START, None),
    )
    assert again.dropped(since=START) == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("feed:expected", None),
        ("feed:expected", {"sources": "workday"}),
        ("feed:expected", {"sources": {"workday": 1}}),
        ("feed:expected", {"sources": [1]}),
        ("feed:expected", {"sources": ["a", "a"]}),
        ("feed:expected", {"sources": ["Workday"]}),
        ("feed:expected", {"sources": [f"s{n}" for n in range(MAX_SOURCES + 1)]}),
        ("feed:heard", None),
        ("feed:heard", {"source": None}),
        ("feed:heard", {"source": ""}),
        ("feed:heard", {"source": "x" * 41}),
        ("feed:heard", {"source": "a\n"}),
    ],
)
def test_entries_that_say_nothing_are_refused(kind: str, data: dict | None) -> None:
    """With the leaf's number."""
    book = Book().begin()
    book.say(kind, at=AS_OF, data=data)
    with pytest.raises(HistoryError, match="entry 3"):
        read(book)


def test_a_ledger_cannot_hear_sources_without_end() -> None:
    """They are held in memory; the thousand that are known are heard on."""
    book = Book().begin()
    for number in range(MAX_SOURCES):
        book.hear(f"s{number}", START)
    book.hear("s7", START + HOUR)
    read(book)
    book.hear("one-more", START)
    with pytest.raises(HistoryError, match="more than 1000 sources"):
        read(book)
