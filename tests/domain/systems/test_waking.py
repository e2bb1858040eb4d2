"""Whoever is woken is woken at a pace, and rests for longer each time that it was in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.systems.waking import rest_after, turns

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("last_s", "per_minute", "expected"),
    [
        (None, 60, 1),
        (0, 60, 0),
        (0.9, 60, 0),
        (1, 60, 1),
        (3600, 60, 1),
        (30, 1, 0),
        (60, 1, 1),
        (None, 600, 10),
        (0.5, 600, 5),
        (-5, 60, 0),
    ],
)
def test_turns_keep_the_pace(last_s: float | None, per_minute: int, expected: int) -> None:
    """At most a tick's worth at once: an hour of quiet is not saved up."""
    last = None if last_s is None else NOW - timedelta(seconds=last_s)
    assert turns(last, NOW, per_minute=per_minute, tick=SECOND) == expected


def test_in_a_minute_no_more_than_the_pace() -> None:
    """Whatever the pace, over ten minutes of looking each second."""
    for per_minute in (1, 7, 60, 90, 600, 6000):
        last, woken = None, 0
        for second in range(600):
            now = NOW + second * SECOND
            found = turns(last, now, per_minute=per_minute, tick=SECOND)
            last, woken = (now, woken + found) if found else (last, woken)
        assert per_minute * 4 <= woken <= per_minute * 10 + 1


def test_the_rest_grows_and_is_bounded() -> None:
    """Ten minutes at first, an hour at last, however often it was in vain."""
    minutes = [rest_after(times) // timedelta(minutes=1) for times in (1, 2, 3, 4, 5, 5000)]
    assert minutes == [10, 20, 40, 60, 60, 60]
