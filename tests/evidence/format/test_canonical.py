"""Canonical bytes and hashes against vectors that other implementations publish."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format.canonical import canonical_bytes, instant_text, leaf_hash, reference

RFC8785_INPUT = r"""
{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}
"""
RFC8785_BYTES = bytes.fromhex(
    "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a"
    "5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d3237"
    "5d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d"
)
RFC8785_KEYS = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\U0001f600": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
}
RFC8785_ORDER = [
    "Carriage Return",
    "One",
    "Control",
    "Latin Small Letter O With Diaeresis",
    "Euro Sign",
    "Emoji: Grinning Face",
    "Hebrew Letter Dalet With Dagesh",
]
RFC8785_NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("41b3de4355555555", "333333333.3333333"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


def test_the_document_of_rfc_8785() -> None:
    """Section 3.2.4 of RFC 8785, byte by byte."""
    assert canonical_bytes(json.loads(RFC8785_INPUT)) == RFC8785_BYTES


def test_members_are_sorted_as_in_rfc_8785() -> None:
    """Section 3.2.3: by UTF-16 code units, not by code points and not by bytes."""
    ordered = json.loads(canonical_bytes(RFC8785_KEYS))
    assert list(ordered.values()) == RFC8785_ORDER


@pytest.mark.parametrize(("bits", "text"), RFC8785_NUMBERS)
def test_numbers_are_written_as_in_rfc_8785(bits: str, text: str) -> None:
    """Appendix B of RFC 8785."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert canonical_bytes({"n": number}) == b'{"n":' + text.encode() + b"}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53, -(2**53), "\ud800"])
def test_what_json_cannot_hold_exactly_is_refused(value: object) -> None:
    """Integers beyond 53 bits, not-a-number, and lone surrogates are no evidence."""
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_bytes({"n": value})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_bytes_survive_being_read_and_written_again(document: dict[str, object]) -> None:
    """A stranger who parses and serialises an entry gets the same bytes."""
    raw = canonical_bytes(document)
    assert canonical_bytes(json.loads(raw)) == raw
    assert json.loads(raw) == document


def test_the_leaf_hashes_of_rfc_6962() -> None:
    """The empty leaf and the first leaves of the certificate-transparency test tree."""
    known = {
        b"": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        b"\x00": "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        b"\x10": "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    }
    for leaf, digest in known.items():
        assert leaf_hash(leaf).hex() == digest


def test_a_leaf_never_passes_for_its_plain_hash() -> None:
    """The prefix separates leaves from everything else that is hashed."""
    assert leaf_hash(b"entry") != hashlib.sha256(b"entry").digest()
    assert leaf_hash(b"entry") == hashlib.sha256(b"\x00entry").digest()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 5, 4, 3, 2000, UTC), "2026-11-23T05:04:03.002Z"),
        (datetime(2026, 11, 23, 5, 4, 3, tzinfo=UTC), "2026-11-23T05:04:03.000Z"),
        (datetime(2026, 11, 23, 5, 4, 3, 999_999, UTC), "2026-11-23T05:04:03.999Z"),
        (
            datetime(2026, 11, 23, 5, 4, tzinfo=timezone(timedelta(hours=8))),
            "2026-11-22T21:04:00.000Z",
        ),
    ],
)
def test_an_instant_is_written_in_utc_to_the_millisecond(moment: datetime, text: str) -> None:
    """Cut, never rounded up: a moment is not written later than it was."""
    assert instant_text(moment) == text


def test_an_instant_without_a_zone_is_refused() -> None:
    """A naive time could be anybody's."""
    with pytest.raises(ValueError, match="zone"):
        instant_text(datetime(2026, 11, 23))  # noqa: DTZ001 - the naive one is the point


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_texts_of_instants_sort_like_instants(first: datetime, second: datetime) -> None:
    """So that a reader may compare entries as text."""
    try:
        early, late = sorted((first.astimezone(UTC), second.astimezone(UTC)))
    except OverflowError:  # outside the calendar of UTC
        return
    assert instant_text(early) <= instant_text(late)


SALT = b"s" * 16


def test_a_reference_is_a_known_commitment() -> None:
    """HMAC-SHA256 over the parts, joined by NUL and cut to 128 bits: public, never to change."""
    assert reference(SALT, "okta", "account", "00u1") == "cefb1a4799515471f192fffafefbc776"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.binary(min_size=16, max_size=16))
def test_a_reference_hides_what_it_refers_to(parts: list[str], salt: bytes) -> None:
    """Another salt gives another reference, so leavers cannot be linked or guessed."""
    assert reference(salt, *parts) != reference(bytes([salt[0] ^ 1]) + salt[1:], *parts)
    assert reference(salt, *parts) == reference(salt, *parts)


def test_parts_of_a_reference_do_not_run_together() -> None:
    """The same letters, cut elsewhere, are another thing."""
    assert reference(SALT, "ab", "c") != reference(SALT, "a", "bc")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_the_short_way_and_the_library_agree(value):
    """What is serialised by the standard library has the very bytes of the RFC 8785 library."""
    try:
        expected = rfc8785.dumps({"v": value})
    except rfc8785.CanonicalizationError:
        with pytest.raises(rfc8785.CanonicalizationError):
            canonical_bytes({"v": value})
    else:
        assert canonical_bytes({"v": value}) == expected
