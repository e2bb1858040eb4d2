"""Exact numbers as text, and times as people read them. No floats anywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def parse_decimal(text: str) -> Fraction:
    """Read a plain decimal of at most six digits on each side.

    Raises:
        ValueError: if it is anything else; a sign and an exponent are refused too.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"not a plain decimal: {text[:20]!r}")
    return Fraction(text)


def rounded(value: Fraction, places: int) -> Fraction:
    """Round half to even (audit convention of the metric's definition)."""
    return Fraction(round(value * 10**places), 10**places)


def decimal_text(value: Fraction, places: int) -> str:
    """``value`` rounded half to even, always with ``places`` digits behind the point."""
    scaled = round(value * 10**places)
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def shortest_text(value: Fraction) -> str:
    """A terminating decimal of at most six places, without zeros at its end."""
    text = decimal_text(value, 6).rstrip("0")
    return text.rstrip(".")


def instant_text(at: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC, always with milliseconds.

    Beyond the years 1 to 9999 it is the calendar's end: a window may begin before it.
    """
    moment = _EPOCH + timedelta(milliseconds=min(max(at, _FIRST), _LAST))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration_text(duration: int) -> str:
    """Milliseconds as the two largest units: "3 d 4 h", "35 min", "12 s"."""
    units = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))
    for place, (size, name) in enumerate(units):
        whole, rest = divmod(duration, size)
        if not whole:
            continue
        if place + 1 < len(units):
            below, word = units[place + 1]
            if rest // below:
                return f"{whole} {name} {rest // below} {word}"
        return f"{whole} {name}"
    return "under 1 s"
