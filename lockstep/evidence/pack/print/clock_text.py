"""Instants and durations as a person reads them, from whole milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000


def duration_text(duration: int) -> str:
    """The two largest units, cut and not rounded up: ``1.3 s``, ``12 min 5 s``, ``10 d 3 h``."""
    if duration < _MINUTE:
        return f"{duration // _SECOND}.{duration % _SECOND // 100} s"
    for size, name, below, word in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", _SECOND, "s"),
    ):
        if duration >= size:
            rest = duration % size // below
            return (
                f"{duration // size} {name} {rest} {word}" if rest else f"{duration // size} {name}"
            )
    raise AssertionError("a minute is the smallest unit above")


def exact_text(duration: int) -> str:
    """All of a duration: ``10 d 03:04:05.006``, or ``00:00:01.300``."""
    days, rest = divmod(duration, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    clock = f"{hours:02}:{minutes:02}:{rest // _SECOND:02}.{rest % _SECOND:03}"
    return f"{days} d {clock}" if days else clock


def utc_text(at: int) -> str:
    """``2026-11-20 10:00:01.300``; the reader is told once that it is UTC."""
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.replace(tzinfo=None).isoformat(" ", timespec="milliseconds")


def local_text(at: int, zone: str) -> str:
    """The same instant on the wall of ``zone`` (IANA), with its offset; "" for an unknown zone."""
    try:
        place = ZoneInfo(zone)
    except (LookupError, ValueError, OSError):  # how a name fails depends on its characters
        return ""
    moment = (_EPOCH + timedelta(milliseconds=at)).astimezone(place)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.isoformat()[-6:]}"
