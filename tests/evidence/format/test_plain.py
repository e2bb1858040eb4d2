"""Instants and canonical bytes without any library."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format import canonical
from lockstep.evidence.format.plain import (
    PlainError,
    instant_ms,
    instant_text,
    parse_canonical,
    plain_bytes,
)

MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=4)


@given(MOMENTS)
def test_an_instant_survives_its_text(moment: datetime) -> None:
    """Read and written it is the same, and both writers write it alike."""
    text = canonical.instant_text(moment)
    assert instant_text(instant_ms(text)) == text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2024-02-29T12:00:00.001Z", 1_709_208_000_001),
        ("2026-11-23T05:04:03.002Z", 1_795_410_243_002),
    ],
)
def test_known_instants(text: str, milliseconds: int) -> None:
    """Milliseconds since the epoch, before it too."""
    assert instant_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T05:04:03Z",
        "2026-11-23T05:04:03.02Z",
        "2026-11-23T05:04:03.0020Z",
        "2026-11-23T05:04:03.002",
        "2026-11-23T05:04:03.002+00:00",
        "2026-11-23t05:04:03.002z",
        "2026-11-23 05:04:03.002Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T05:04:60.000Z",
        "2026-02-29T05:04:03.002Z",
        "2026-W47-1T05:04:03.002Z",
        "0000-01-01T00:00:00.000Z",
        "2026-11-23T05:04:03,002Z",
        "٢026-11-23T05:04:03.002Z",
        "2026-11-23T05:04:03.002Z\n",
        20261123,
        None,
    ],
)
def test_another_spelling_of_an_instant_is_refused(text: object) -> None:
    """One instant, one text."""
    with pytest.raises(PlainError):
        instant_ms(text)


@given(DOCUMENTS)
def test_both_writers_write_the_same_bytes(document: dict[str, object]) -> None:
    """What the verifier calls canonical is what the ledger stores."""
    try:
        wanted = canonical.canonical_bytes(document)
    except ValueError:
        with pytest.raises(PlainError):
            plain_bytes(document)
        return
    assert plain_bytes(document) == wanted
    assert parse_canonical(wanted) == document


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b'{"a":1}\n',
        b' {"a":1}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"\xef\xac\xb3":1,"\xf0\x9f\x98\x80":2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_not_canonical_is_refused(raw: bytes) -> None:
    """A second spelling of the same document is another document."""
    with pytest.raises(PlainError):
        parse_canonical(raw)


@pytest.mark.parametrize("value", [1.5, {"a": 0.0}, [2**53], "\ud800", b"raw", {1}])
def test_what_has_no_canonical_bytes_is_refused(value: object) -> None:
    """No floats, no numbers beyond 53 bits, no half characters."""
    with pytest.raises(PlainError):
        plain_bytes({"a": value})


def test_a_document_nested_without_end_is_refused() -> None:
    """With the error that callers expect."""
    document: dict[str, object] = {}
    for _ in range(100_000):
        document = {"a": document}
    with pytest.raises(PlainError):
        plain_bytes(document)
    while document:  # taken apart here: destructors recurse too
        document = document.pop("a")  # type: ignore[assignment]


def test_names_of_members_sort_by_utf_16() -> None:
    """RFC 8785, section 3.2.3: a smiling face comes before a Hebrew letter."""
    raw = plain_bytes({"\ufb33": 1, "\U0001f600": 2})
    assert list(json.loads(raw)) == ["\U0001f600", "\ufb33"]
