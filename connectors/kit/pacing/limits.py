"""What a vendor's answer says of its limits: one table of how vendors spell it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from lockstep.domain.systems.pace import Told

# The end of a window of a limit, what is left in it, and how much it holds.
RESETS: Final = (
    "x-ratelimit-reset",
    "ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-retry-after",
)
_LEFT: Final = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
_LIMITS: Final = ("x-ratelimit-limit", "ratelimit-limit", "x-rate-limit-limit")
_POLICIES: Final = ("ratelimit-policy", "x-ratelimit-policy")
_BOTH: Final = "ratelimit"
"""One header for all of it, in the newer drafts of the IETF's RateLimit fields."""

_SECONDS = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*s?\s*", re.ASCII)
_WHOLE = re.compile(r"\s*([0-9]{1,12})(?:\.0+)?\s*(?:[,;].*)?", re.ASCII)
_WINDOW = re.compile(r";\s*w\s*=\s*([0-9]{1,9})", re.ASCII)
_PART = re.compile(r"\b(limit|remaining|reset|q|r|t)\s*=\s*([0-9]{1,12})", re.ASCII)
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
_TOO_MANY, _FORBIDDEN = 429, 403


def told_of(
    status: int, headers: Mapping[str, str], raw: Iterable[tuple[bytes, bytes]], now: datetime
) -> Told | None:
    """What an answer says of the limit; None for most answers, which say nothing.

    ``raw`` are the headers as bytes: to look for a word in them is all that other answers cost.
    """
    refused = status == _TOO_MANY or (status == _FORBIDDEN and is_throttling(headers, now))
    if not refused:
        names = b"\n".join([name for name, _ in raw]).lower()
        if b"ratelimit" not in names and b"rate-limit" not in names:
            return None
    policy = next((value for name in _POLICIES if (value := headers.get(name))), "")
    parts = dict(_PART.findall(headers.get(_BOTH, "")))
    stated = next((value for name in _LIMITS if (value := headers.get(name))), "")
    window = _WINDOW.search(policy) or _WINDOW.search(stated)
    limit = whole(stated) or _number(parts, "limit")
    if limit is None and window:
        quota = dict(_PART.findall(policy))
        limit = _number(quota, "q") or whole(policy)
    left = next((whole(value) for name in _LEFT if (value := headers.get(name))), None)
    reset = next((reset_wait(value, now) for name in RESETS if (value := headers.get(name))), None)
    wait = plain_wait(headers.get("retry-after"), now) if refused else None
    if refused and wait is None:
        wait = reset
    return Told(
        limit=limit,
        left=left if left is not None else _number(parts, "remaining", "r"),
        reset_s=_seconds(reset, _number(parts, "reset", "t")),
        per=float(window[1]) if window and int(window[1]) else None,
        refused=refused,
        wait_s=None if wait is None else max(0.0, wait.total_seconds()),
    )


def is_throttling(headers: Mapping[str, str], now: datetime) -> bool:
    """Whether a 403 is a limit that passes: many vendors answer so where others answer 429.

    A waiting time says so; a count of what is left says so when it is zero. The end of a window
    alone says so where no such count stands beside it.
    """
    if plain_wait(headers.get("retry-after"), now) is not None:
        return True
    left = [value.strip() for name in _LEFT if (value := headers.get(name))]
    if left:
        return any(value.split(",")[0].split(";")[0].strip() in {"0", "0.0"} for value in left)
    return any(reset_wait(headers.get(name), now) is not None for name in RESETS)


def plain_wait(value: str | None, now: datetime) -> timedelta | None:
    """The waiting time of a ``Retry-After``: seconds, or an HTTP date."""
    if value and (seconds := _SECONDS.fullmatch(value)):
        return _span(float(seconds[1]), now)
    try:
        return parsedate_to_datetime(value) - now if value else None
    except (ValueError, TypeError, OverflowError):
        return None


def reset_wait(value: str | None, now: datetime) -> timedelta | None:
    """Until the end of a window: seconds from now, the epoch second or millisecond, a date."""
    if value and (seconds := _SECONDS.fullmatch(value)):
        return _span(float(seconds[1]), now)
    return plain_wait(value, now)  # a few vendors write a date


def whole(text: str) -> int | None:
    """A count at the beginning of a header."""
    found = _WHOLE.fullmatch(text)
    return int(found[1]) if found else None


def _number(parts: Mapping[str, str], *names: str) -> int | None:
    return next((int(parts[name]) for name in names if name in parts), None)


def _seconds(reset: timedelta | None, otherwise: int | None) -> float | None:
    if reset is not None:
        return max(0.0, reset.total_seconds())
    return None if otherwise is None else float(otherwise)


def _span(seconds: float, now: datetime) -> timedelta | None:
    """Seconds from now or, where that would be thirty years, the second or millisecond itself."""
    try:
        if seconds >= _EPOCH_MS:
            seconds /= 1000
        if seconds >= _EPOCH_S:
            return datetime.fromtimestamp(seconds, tz=UTC) - now
        return timedelta(seconds=seconds)
    except (ValueError, OverflowError, OSError):
        return None
