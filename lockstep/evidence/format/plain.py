"""Instants and canonical bytes with the standard library alone.

The verifier runs where nothing but Python and `cryptography` is installed, so it cannot use
`lockstep.evidence.format.canonical`. What our entries are made of (text, numbers, lists, members)
needs no library: both modules write the same bytes, and a test holds them together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NoReturn

from lockstep.scorecard.numbers import instant_text

__all__ = ["PlainError", "instant_ms", "instant_text", "parse_canonical", "plain_bytes"]

MAX_INTEGER = 2**53 - 1
"""Beyond it not every language reads the same number (RFC 8785, section 3.2.2.3)."""

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.([0-9]{3})Z"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000


class PlainError(ValueError):
    """Text that is not an instant, or bytes that are not canonical."""


def instant_ms(text: str) -> int:
    """Milliseconds since the epoch of an instant such as ``2026-11-23T05:04:03.002Z``.

    Exactly this form: UTC, three decimals, no leap second.

    Raises:
        PlainError: for anything else.
    """
    match = _INSTANT.fullmatch(text) if type(text) is str else None
    if match is None:
        raise PlainError("not an instant in UTC with milliseconds")
    day, hours, minutes, seconds, milliseconds = match.groups()
    return (
        _day_ms(day)
        + int(hours) * 3_600_000
        + int(minutes) * 60_000
        + int(seconds) * 1000
        + int(milliseconds)
    )


@lru_cache(maxsize=4096)
def _day_ms(day: str) -> int:
    try:
        return (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * _DAY_MS
    except ValueError:
        raise PlainError("not a day of the calendar") from None


def plain_bytes(document: Mapping[str, Any]) -> bytes:
    """RFC 8785 bytes of a document without floats.

    Raises:
        PlainError: for floats, integers beyond 53 bits, and text that is no Unicode.
    """
    try:
        text = json.dumps(
            _ordered(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        return text.encode()
    except (UnicodeEncodeError, RecursionError):
        raise PlainError("not a document that has canonical bytes") from None


def _ordered(value: Any) -> Any:
    """Members in the order of their UTF-16 units (RFC 8785, section 3.2.3)."""
    match value:
        case str() | bool() | None:
            return value
        case int() if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
        case list() | tuple():
            return [_ordered(item) for item in value]
        case Mapping():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return {key: _ordered(value[key]) for key in keys}
        case _:
            raise PlainError("not a document that has canonical bytes")


def parse_canonical(raw: bytes) -> dict[str, Any]:
    """Read a JSON object and insist on its one canonical form.

    What is read and what was hashed are then the same: no member twice, no second spelling of a
    number, no blank between.

    Raises:
        PlainError: if it is no object, or not its canonical bytes.
    """
    try:
        document = _DECODER.decode(raw.decode())
        if type(document) is dict and raw.isascii():  # the common case, by the C encoder alone
            is_canonical = _ENCODER.encode(document).encode() == raw
        else:  # other alphabets may sort differently
            is_canonical = type(document) is dict and plain_bytes(document) == raw
    except (ValueError, RecursionError):
        is_canonical = False
    if not is_canonical:
        raise PlainError("not a JSON object in its canonical form")
    return document  # type: ignore[no-any-return] # a dict, as was checked


def _integer(literal: str) -> int:
    value = int(literal)
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise PlainError("a number beyond 53 bits")
    return value


def _refuse(_literal: str) -> NoReturn:
    raise PlainError("a number that is not whole")


# Made once: the functions of `json` would make a decoder and an encoder for every entry.
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
)
