"""The part of BER (X.690) that LDAP uses: definite lengths, one byte of tag (RFC 4511, 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

INTEGER: Final = 0x02
OCTETS: Final = 0x04
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31
BOOLEAN: Final = 0x01
_LONG: Final = 0x80
_MOST_LENGTH_BYTES: Final = 4


class BerError(ValueError):
    """Bytes that are no BER of this form."""


def tlv(tag: int, content: bytes) -> bytes:
    """One element."""
    length = len(content)
    if length < _LONG:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(size))) + size + content


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """A string of octets; text travels as UTF-8."""
    return tlv(tag, value.encode() if isinstance(value, str) else value)


def number(value: int, tag: int = INTEGER) -> bytes:
    """A whole number."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def truth(value: bool, tag: int = BOOLEAN) -> bytes:  # noqa: FBT001 - a boolean is what it encodes
    """A boolean."""
    return tlv(tag, b"\xff" if value else b"\x00")


def several(*parts: bytes, tag: int = SEQUENCE) -> bytes:
    """Elements within one."""
    return tlv(tag, b"".join(parts))


def length_of(first: bytes) -> tuple[int, int] | None:
    """Bytes of an element's head, and of its content; None while the head is not whole.

    Raises:
        BerError: no length that LDAP allows.
    """
    if len(first) < 2:  # noqa: PLR2004 - a tag and a length
        return None
    if first[1] < _LONG:
        return 2, first[1]
    size = first[1] & ~_LONG
    if not 0 < size <= _MOST_LENGTH_BYTES:
        raise BerError("length")
    if len(first) < 2 + size:
        return None
    return 2 + size, int.from_bytes(first[2 : 2 + size], "big")


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element.

    Raises:
        BerError: the bytes end within one.
    """
    while content:
        sizes = length_of(content)
        if sizes is None or len(content) < sum(sizes):
            raise BerError("cut off")
        head, length = sizes
        yield content[0], content[head : head + length]
        content = content[head + length :]


def whole(content: bytes) -> int:
    """The number that an element holds."""
    return int.from_bytes(content, "big", signed=True)
