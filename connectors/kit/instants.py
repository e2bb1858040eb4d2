"""When an account was made or last used, as systems write it: read kindly, because it only warns.

An account made after the cutoff is not taken by an address alone, so an instant that is not
understood would let a newer employee's account be closed. What proves anything is read strictly,
by `connectors.http.vendor_instant`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MILLISECONDS = 100_000_000_000
"""As seconds this would be the year 5138, as milliseconds it is 1973."""


def told_instant(said: object) -> datetime | None:
    """An instant (UTC); one without a zone is taken for UTC. None where nothing can be read.

    ISO 8601 with whatever stands between date and time, RFC 5322, and seconds or milliseconds
    since 1970.
    """
    match said:
        case bool() | None:
            return None
        case datetime():
            return _in_utc(said)
        case int() | float():
            return _since_1970(said)
        case _:
            return _read(str(said).strip())


def _read(text: str) -> datetime | None:
    if text.isascii() and text.isdecimal():
        moment = _since_1970(int(text)) if len(text) > len("20261130") else None
    else:
        moment = None
    for reading in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = moment or _in_utc(reading(text.removesuffix(" UTC")))
        except ValueError:
            continue
    # Go writes no instant as one of year 1, others as the first of 1970.
    return moment if moment is not None and moment.timestamp() > 0 else None


def _since_1970(number: float) -> datetime | None:
    seconds = number / 1000 if number >= _MILLISECONDS else number
    try:
        return datetime.fromtimestamp(seconds, UTC) if number > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
