"""Instants as directories write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?(?:[.,](\d{1,6})\d*)?Z")
_FROM_1601 = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = 2**63 - 1


def generalized(text: str) -> datetime | None:
    """GeneralizedTime in UTC (RFC 4517, section 3.3.13); None where it is not understood."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction = found.groups()
    micro = int((fraction or "").ljust(6, "0"))
    try:
        return datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, UTC
        )
    except ValueError:
        return None


def written(moment: datetime) -> str:
    """The same, to the second."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def filetime(text: str) -> datetime | None:
    """Tenths of microseconds since 1601, as Windows counts; None for never and for nothing."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < _NEVER:
        return None
    try:
        return _FROM_1601 + timedelta(microseconds=int(text) // 10)
    except OverflowError:
        return None
