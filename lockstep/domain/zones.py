"""Which time zone a name means: only places count, because only places have a summer time.

An abbreviation is a fixed offset: EST stays at UTC-5 in July, when nobody in New York does, so a
cutoff in it is an hour late. Somebody who writes it means a place, which is told, not guessed.

`UTC` alone is accepted beside the places. It is nobody's summer time and cannot be mistaken for
one, it is what an instant is given in, and our own commands say it where no zone was given.

The places are those of the tz database's zone.tab, and older names of places (Asia/Calcutta,
US/Pacific) are taken as what they are called today. Both come from the installed `tzdata`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

WITHOUT_PLACE = "UTC"

_LIKELY: Mapping[str, tuple[str, ...]] = {
    "EST": ("America/New_York",),
    "EDT": ("America/New_York",),
    "EST5EDT": ("America/New_York",),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "CDT": ("America/Chicago",),
    "CST6CDT": ("America/Chicago",),
    "MST": ("America/Denver", "America/Phoenix"),
    "MDT": ("America/Denver",),
    "MST7MDT": ("America/Denver",),
    "PST": ("America/Los_Angeles", "Asia/Manila"),
    "PDT": ("America/Los_Angeles",),
    "PST8PDT": ("America/Los_Angeles",),
    "HST": ("Pacific/Honolulu",),
    "GMT": ("Europe/London",),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "WET": ("Europe/Lisbon",),
    "CET": ("Europe/Berlin", "Europe/Madrid"),
    "CEST": ("Europe/Berlin", "Europe/Madrid"),
    "MET": ("Europe/Berlin",),
    "EET": ("Europe/Athens", "Africa/Cairo"),
    "EEST": ("Europe/Athens",),
    "MSK": ("Europe/Moscow",),
    "SAST": ("Africa/Johannesburg",),
    "EAT": ("Africa/Nairobi",),
    "WAT": ("Africa/Lagos",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "PKT": ("Asia/Karachi",),
    "ICT": ("Asia/Bangkok", "Asia/Ho_Chi_Minh"),
    "WIB": ("Asia/Jakarta",),
    "SGT": ("Asia/Singapore",),
    "MYT": ("Asia/Kuala_Lumpur",),
    "HKT": ("Asia/Hong_Kong",),
    "PHT": ("Asia/Manila",),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "AEDT": ("Australia/Sydney",),
    "NZST": ("Pacific/Auckland",),
    "BRT": ("America/Sao_Paulo",),
    "COT": ("America/Bogota",),
}
"""What people mean by an abbreviation. The tz database has some of these as names of zones."""
_BY_OFFSET = (
    *("Pacific/Honolulu", "America/Los_Angeles", "America/Denver", "America/Chicago"),
    *("America/New_York", "America/Bogota", "America/Sao_Paulo", "Europe/London", "Africa/Lagos"),
    *("Europe/Berlin", "Africa/Johannesburg", "Europe/Athens", "Europe/Moscow", "Asia/Dubai"),
    *("Asia/Karachi", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Jakarta"),
    *("Asia/Manila", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"),
)
"""Places to name for a fixed offset: where call centres are, from west to east."""
_IN_WINTER = datetime(2026, 1, 15, tzinfo=UTC)
_OFFSET = re.compile(
    r"(?:(?P<etc>Etc/)?(?:GMT|UTC|UT|Z)?)(?P<sign>[+\-\u2212])(?P<h>\d{1,2})(?::?(?P<m>\d{2}))?",
    re.IGNORECASE,
)
_NO_PLACE = ("etc/", "posix/", "right/", "systemv/")
_OF_MACHINES = frozenset({"localtime", "factory", "posixrules"})


class ZoneError(ValueError):
    """A name that is no place; the text says why, and which place is likely meant."""


@lru_cache(maxsize=1)
def places() -> frozenset[str]:
    """The canonical names of places, of the tz database's zone.tab."""
    rows = (line.split("\t") for line in _lines("zone.tab") if not line.startswith("#"))
    return frozenset(row[2].strip() for row in rows if len(row) > 2)  # noqa: PLR2004 - its columns


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Every name to offer in a form."""
    return (*sorted(places()), WITHOUT_PLACE)


@lru_cache(maxsize=1024)
def canonical_zone(name: str) -> str:
    """The canonical name of the zone that ``name`` means.

    Raises:
        ZoneError: if it means no place.
    """
    given = name.strip()
    known = _spellings().get(_plain(given), given)
    if known in places() or known == WITHOUT_PLACE:
        return known
    target = _links().get(known, "")
    if target in places() and known.upper() not in _LIKELY:
        return target
    raise ZoneError(_refusal(given, known, target))


def _refusal(given: str, known: str, target: str) -> str:
    """Why it is no place; quotes what means something, and of any other text not a letter.

    It may be anybody's name, and what is refused is stored and logged.
    """
    shown = repr(given[:64])
    plain = known.casefold()
    offset = _OFFSET.fullmatch(known)
    if offset:
        return f"{shown} is a fixed offset, not a place{_inverted(offset)}{_meant(_near(offset))}"
    if target == "Etc/UTC" or plain == "etc/utc":
        return f"{shown} is no place: write 'UTC', or better the zone of the dates"
    if plain in _OF_MACHINES:
        return (
            f"{shown} is whatever a machine is set to, not a place: name one, as in 'Asia/Manila'"
        )
    likely = _LIKELY.get(known.upper().removeprefix("ETC/"), ())
    if target == "Etc/GMT":
        likely = _LIKELY["GMT"]
    if likely:
        return f"{shown} is a fixed offset or an abbreviation, not a place{_meant(likely)}"
    if plain.startswith(_NO_PLACE):
        return "this is no place: name one, as in 'Asia/Manila'"
    near = get_close_matches(given, places(), n=2, cutoff=0.75)
    return f"no IANA time zone has this name{_meant(near) or ': name a place, as Asia/Manila'}"


def _meant(likely: tuple[str, ...] | list[str]) -> str:
    return f"; did you mean {' or '.join(likely)}?" if likely else ""


def _inverted(offset: re.Match[str]) -> str:
    """The tz database writes these the other way round, which hardly anybody expects."""
    if not offset["etc"]:
        return ""
    sign = "-" if offset["sign"] == "+" else "+"
    return f" (and means UTC{sign}{int(offset['h'])})"


def _near(offset: re.Match[str]) -> list[str]:
    """Places with this offset in January; of one with an inverted sign, both ways."""
    size = timedelta(hours=int(offset["h"]), minutes=int(offset["m"] or 0))
    east = offset["sign"] == "+"
    wanted = [size if east else -size]
    if offset["etc"]:
        wanted = [-wanted[0], wanted[0]]
    found: dict[str, None] = {}
    for each in wanted:
        likely = [name for name in _BY_OFFSET if _offset_of(name) == each]
        found |= dict.fromkeys(likely[: 2 // len(wanted)])
    return list(found)


def _offset_of(name: str) -> timedelta | None:
    return _IN_WINTER.astimezone(ZoneInfo(name)).utcoffset()


@lru_cache(maxsize=1)
def _links() -> Mapping[str, str]:
    """Older and other names by what they are links to."""
    rows = (line.split() for line in _lines("tzdata.zi") if line.startswith("L "))
    return {row[2]: row[1] for row in rows}


@lru_cache(maxsize=1)
def _spellings() -> Mapping[str, str]:
    """Every name in the spelling of the tz database: 'asia/manila' and 'America/New York' too."""
    return {_plain(name): name for name in (*_links(), *places(), WITHOUT_PLACE)}


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_")


def _lines(name: str) -> list[str]:
    text = resources.files("tzdata").joinpath("zoneinfo", name).read_text(encoding="utf-8")
    return text.splitlines()
