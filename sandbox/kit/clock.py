"""The sandbox's only look at the clock, and the three ways it writes an instant."""

import time
from datetime import UTC, datetime
from email.utils import formatdate

__all__ = ["http_date", "iso", "now", "now_ms"]

_date_cache: tuple[int, str] = (0, "")


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def now_ms() -> int:
    """Whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso(at_ms: int | None = None) -> str:
    """Write an instant as the vendors do, in UTC with milliseconds (now, when none is given)."""
    millis = now_ms() if at_ms is None else at_ms
    seconds, rest = divmod(millis, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def http_date() -> str:
    """The value of a `Date` header, computed once per second."""
    global _date_cache  # noqa: PLW0603 - one formatted date per second is worth a module cache
    second = int(time.time())
    if _date_cache[0] != second:
        _date_cache = (second, formatdate(second, usegmt=True))
    return _date_cache[1]
