"""Who is told what, and when a route keeps quiet."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from lockstep.domain.notices import Fact, NoticeKind, Quiet, Route

NIGHT = Quiet(time(22), time(6), "Asia/Manila", frozenset({NoticeKind.BREACHED}))
DAY = Quiet(time(9), time(17), "UTC")
SPRING = Quiet(time(1), time(3), "Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2026-11-23T21:59:59+08:00", None),
        (NIGHT, "2026-11-23T22:00:00+08:00", "2026-11-24T06:00:00+08:00"),
        (NIGHT, "2026-11-24T05:59:59+08:00", "2026-11-24T06:00:00+08:00"),
        (NIGHT, "2026-11-24T06:00:00+08:00", None),
        (DAY, "2026-11-24T08:59:59+00:00", None),
        (DAY, "2026-11-24T12:00:00+00:00", "2026-11-24T17:00:00+00:00"),
        # Clocks go from 2:00 to 3:00: the quiet of that night lasts one hour.
        (SPRING, "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"),
        (SPRING, "2026-03-29T03:00:00+02:00", None),
        # Clocks go back from 3:00 to 2:00: three hours pass between 1:00 and 3:00.
        (SPRING, "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"),
    ],
)
def test_a_notice_waits_until_the_quiet_ends(quiet, now, until):
    """Quiet hours are civil hours of their zone, over midnight and over a change of clocks."""
    expected = at(until) if until else None
    assert quiet.until(at(now), NoticeKind.STUCK) == expected


def test_what_is_excepted_is_told_at_night():
    """Some things cannot wait for the morning."""
    assert NIGHT.until(at("2026-11-24T02:00:00+08:00"), NoticeKind.BREACHED) is None


def fact(**changes: object) -> Fact:
    given = {"partner": "northwind", "tier": "0", "kind": NoticeKind.STUCK, **changes}
    return Fact(key="k", at=at("2026-11-23T00:00:00+00:00"), **given)


@pytest.mark.parametrize(
    ("route", "told", "wanted"),
    [
        (Route("r", frozenset(NoticeKind)), fact(), True),
        (Route("r", frozenset({NoticeKind.BRAKE})), fact(), False),
        (Route("r", frozenset(NoticeKind), partners=frozenset({"contoso"})), fact(), False),
        (Route("r", frozenset(NoticeKind), partners=frozenset({"northwind"})), fact(), True),
        (Route("r", frozenset(NoticeKind), tiers=frozenset({"1"})), fact(), False),
        (Route("r", frozenset(NoticeKind), tiers=frozenset({"1"})), fact(tier=""), True),
        # What is about the whole installation is no business of one partner's people.
        (
            Route("r", frozenset(NoticeKind), partners=frozenset({"northwind"})),
            fact(partner=""),
            False,
        ),
    ],
)
def test_a_route_takes_what_it_is_for(route, told, wanted):
    """Kind, partner and tier decide, and each must allow."""
    assert route.wants(told) is wanted
