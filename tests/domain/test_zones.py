"""A zone is a place; what is none is refused with the place that is likely meant."""

from __future__ import annotations

import contextlib
from zoneinfo import available_timezones

import pytest

from lockstep.domain.zones import ZoneError, canonical_zone, places, zone_names


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Asia/Manila", "Asia/Manila"),
        ("Europe/Oslo", "Europe/Oslo"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
        ("US/Pacific", "America/Los_Angeles"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("Singapore", "Asia/Singapore"),
        ("PRC", "Asia/Shanghai"),
        ("GB", "Europe/London"),
        ("asia/manila", "Asia/Manila"),
        ("America/New York", "America/New_York"),
        (" Asia/Tokyo ", "Asia/Tokyo"),
        ("UTC", "UTC"),
    ],
)
def test_a_place_is_known_by_every_name_that_it_has(given: str, stored: str) -> None:
    """HR systems send old names for decades; one name is stored."""
    assert canonical_zone(given) == stored
    assert canonical_zone(stored) == stored


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("EST", "America/New_York"),
        ("EST5EDT", "America/New_York"),
        ("PST8PDT", "America/Los_Angeles"),
        ("CET", "Europe/Berlin"),
        ("HST", "Pacific/Honolulu"),
        ("GMT", "Europe/London"),
        ("Etc/GMT", "Europe/London"),
        ("Greenwich", "Europe/London"),
        ("IST", "Asia/Kolkata"),
        ("PST", "Asia/Manila"),
        ("Etc/GMT+8", "Asia/Manila"),
        ("Etc/GMT-8", "Asia/Manila"),
        ("UTC+8", "Asia/Manila"),
        ("+05:30", "Asia/Kolkata"),
        ("-05:00", "America/New_York"),
        ("Asia/Manilla", "Asia/Manila"),
        ("Etc/UTC", "write 'UTC'"),
        ("Zulu", "write 'UTC'"),
        ("localtime", "set to"),
        ("Factory", "set to"),
        ("posixrules", "set to"),
        ("right/Asia/Manila", "no place"),
        ("../passwd", "no IANA time zone"),
        ("America", "no IANA time zone"),
        ("", "no IANA time zone"),
    ],
)
def test_what_is_no_place_is_refused_with_the_likely_one(given: str, meant: str) -> None:
    """A fixed offset or an abbreviation is hours wrong for half of the year."""
    with pytest.raises(ZoneError, match=meant.replace("+", r"\+")):
        canonical_zone(given)


def test_an_inverted_sign_is_told() -> None:
    """The tz database counts Etc/GMT+8 to the west, and nobody expects that."""
    with pytest.raises(ZoneError, match="means UTC-8"):
        canonical_zone("Etc/GMT+8")


def test_every_name_of_the_database_is_a_place_or_refused() -> None:
    """No name slips through as itself, however many a new release of the database has."""
    for name in available_timezones():
        with contextlib.suppress(ZoneError):
            assert canonical_zone(name) in {*places(), "UTC"}


def test_a_form_offers_places_and_utc() -> None:
    """What is offered is taken as it is."""
    assert [canonical_zone(name) for name in zone_names()] == list(zone_names())


@pytest.mark.parametrize("text", ["Maria Santos", "Etc/Maria", "posix/Maria", "Maria's", "“Maria”"])
def test_what_is_no_name_of_a_zone_is_not_quoted(text):
    """It may be anybody's name: what is refused is stored and logged."""
    with pytest.raises(ZoneError) as refused:
        canonical_zone(text)
    assert "maria" not in str(refused.value).lower()
