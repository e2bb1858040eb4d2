"""When an account was made, however a system writes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connectors.kit.instants import told_instant

NEW_YEAR = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        "2031-01-01T00:00:00Z",
        "2031-01-01T00:00:00.000+00:00",
        "2031-01-01T08:00:00+08:00",
        "2031-01-01T00:00:00",
        "2031-01-01 00:00:00 UTC",
        "2031-01-01",
        "20310101",
        "Wed, 01 Jan 2031 00:00:00 GMT",
        1924992000,
        1924992000000,
        "1924992000",
        "1924992000000",
        1924992000.0,
        datetime(2031, 1, 1),  # noqa: DTZ001 - as some libraries read what has no zone
        datetime(2031, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_an_instant_is_read_however_it_is_written(said: object) -> None:
    """One that is not understood would let a newer employee's account pass for the leaver's."""
    assert told_instant(said) == NEW_YEAR


@pytest.mark.parametrize(
    "said", [None, "", "never", True, 0, -1, "0001-01-01T00:00:00Z", 1e30, {}, [], "1"]
)
def test_what_is_no_instant_is_none(said: object) -> None:
    """Nothing is made up."""
    assert told_instant(said) is None
