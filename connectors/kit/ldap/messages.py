"""What is said in LDAP: requests as bytes, answers as values (RFC 4511, RFC 2696)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from connectors.kit.ldap import ber
from connectors.kit.ldap.ber import BerError
from connectors.kit.ldap.filters import Filter

PAGED: Final = "1.2.840.113556.1.4.319"
START_TLS: Final = "1.3.6.1.4.1.1466.20037"
WHO_AM_I: Final = "1.3.6.1.4.1.4203.1.11.3"
_CONTROLS: Final = 0xA0


class Scope(IntEnum):
    """How far a search reaches below its base."""

    BASE = 0
    SUBTREE = 2


class Change(IntEnum):
    """What is done with the values of one attribute."""

    ADD = 0
    DELETE = 1
    REPLACE = 2


class Answer(IntEnum):
    """Tags of the server's answers."""

    BOUND = 0x61
    ENTRY = 0x64
    FOUND = 0x65
    CHANGED = 0x67
    ELSEWHERE = 0x73
    EXTENDED = 0x78


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; names of attributes in small letters, values as octets."""

    dn: str = field(repr=False)
    values: Mapping[str, tuple[bytes, ...]] = field(repr=False)

    def all(self, name: str) -> tuple[str, ...]:
        """The values of an attribute as text."""
        return tuple(each.decode(errors="replace") for each in self.raw(name))

    def one(self, name: str) -> str:
        """Its first value, "" for none."""
        return next(iter(self.all(name)), "")

    def raw(self, name: str) -> tuple[bytes, ...]:
        """Its values as they came."""
        return self.values.get(name.lower(), ())


@dataclass(frozen=True, slots=True)
class Done:
    """How an operation ended: the code of RFC 4511, and the server's words about it."""

    code: int
    words: str = field(default="", repr=False)
    cookie: bytes = b""
    value: bytes = b""


def message(number: int, operation: bytes, controls: bytes = b"") -> bytes:
    """One message, as it travels."""
    also = (ber.tlv(_CONTROLS, controls),) if controls else ()
    return ber.several(ber.number(number), operation, *also)


def bind(name: str, password: str) -> bytes:
    """Simple bind."""
    return ber.several(ber.number(3), ber.octets(name), ber.octets(password, 0x80), tag=0x60)


UNBIND: Final = ber.tlv(0x42, b"")


def extended(name: str) -> bytes:
    """An extended request without a value."""
    return ber.several(ber.octets(name, 0x80), tag=0x77)


def search(
    base: str, scope: Scope, wanted: Filter, attributes: Sequence[str], *, time_s: int, most: int
) -> bytes:
    """A search; aliases are never followed."""
    return ber.several(
        ber.octets(base),
        ber.number(scope, ber.ENUMERATED),
        ber.number(0, ber.ENUMERATED),
        ber.number(most),
        ber.number(time_s),
        ber.truth(False),
        wanted,
        ber.several(*map(ber.octets, attributes)),
        tag=0x63,
    )


def paged(size: int, cookie: bytes) -> bytes:
    """The control for the next page; a server that pages not answers whole."""
    value = ber.several(ber.number(size), ber.octets(cookie))
    return ber.several(ber.octets(PAGED), ber.octets(value))


Edit = tuple[Change, str, tuple[bytes, ...]]


def modify(dn: str, edits: Sequence[Edit]) -> bytes:
    """Changes of one entry: all of them or none."""
    items = (
        ber.several(
            ber.number(what, ber.ENUMERATED),
            ber.several(ber.octets(attribute), ber.several(*map(ber.octets, values), tag=ber.SET)),
        )
        for what, attribute, values in edits
    )
    return ber.several(ber.octets(dn), ber.several(*items), tag=0x66)


def read(content: bytes) -> tuple[int, int, bytes, bytes]:
    """Number, tag, content and controls of an answer.

    Raises:
        BerError: it is none.
    """
    (kind, number), (tag, told), *rest = ber.elements(content)
    if kind != ber.INTEGER:
        raise BerError("no message")
    controls = next((each for name, each in rest if name == _CONTROLS), b"")
    return ber.whole(number), tag, told, controls


def entry(content: bytes) -> Entry:
    """An entry that a search returned.

    Raises:
        BerError: it is none.
    """
    (_, dn), (_, attributes) = ber.elements(content)
    values: dict[str, tuple[bytes, ...]] = {}
    for _, attribute in ber.elements(attributes):
        (_, name), (_, held) = ber.elements(attribute)
        values[name.decode().lower()] = tuple(each for _, each in ber.elements(held))
    return Entry(dn.decode(), values)


def done(content: bytes, controls: bytes) -> Done:
    """The end of an operation.

    Raises:
        BerError: it is none.
    """
    (_, code), _, (_, words), *rest = ber.elements(content)
    value = next((each for tag, each in rest if tag == 0x8B), b"")  # noqa: PLR2004 - responseValue
    return Done(ber.whole(code), words.decode(errors="replace"), _cookie(controls), value)


def _cookie(controls: bytes) -> bytes:
    for _, control in ber.elements(controls):
        (_, name), *rest = ber.elements(control)
        if name == PAGED.encode() and rest:
            [(_, held)] = ber.elements(rest[-1][1])
            _, (_, cookie) = ber.elements(held)
            return cookie
    return b""
