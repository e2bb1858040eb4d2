"""Two keys are one if their comparable forms are equal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.keys import comparable, local_part, mail_domain

NFD = unicodedata.normalize("NFD", "josé.núñez@example.com")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("M.Santos@Example.COM", "m.santos@example.com"),
        ("Maria Santos <m.santos@example.com>", "M.Santos@example.com"),
        ("mailto:m.santos@example.com", "m.santos@example.com"),
        (" m.santos@example.com ", "m.santos@example.com"),
        ("m.santos@example.com.", "m.santos@example.com"),
        (NFD, "José.Núñez@example.com"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("ana@BÜCHER.example", "ana@XN--BCHER-KVA.example"),
        ("m.san\u200btos@example.com", "m.santos@example.com"),
        ("m.santos@exam\u00adple.com", "m.santos@example.com"),
        ("\ufeffm.santos@example.com", "m.santos@example.com"),
        ("ΝΊΚΟΣ@example.com", "νίκος@example.com"),
        ("STRAUẞ@example.com", "strauß@example.com"),
        ("m.santos\u00a0", "M.Santos"),
    ],
)
def test_one_key_in_two_spellings_is_one(one: str, other: str) -> None:
    """Case, normal form, invisible characters and the spelling of a domain make no second key."""
    assert comparable(KeyKind.EMAIL, one) == comparable(KeyKind.EMAIL, other)
    assert comparable(KeyKind.USERNAME, one) == comparable(KeyKind.EMAIL, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("strauß@example.com", "strauss@example.com"),
        ("jo2@example.com", "jo²@example.com"),
        ("m.santos@example.com", "m.santos+hr@example.com"),
        ("m.santos@example.com", "msantos@example.com"),
        ("ana@example.com", "аna@example.com"),  # noqa: RUF001 - the look-alike is the point
        ("josé@example.com", "jose@example.com"),
        ("ana@faß.example", "ana@fass.example"),
    ],
)
def test_two_mailboxes_stay_two(one: str, other: str) -> None:
    """Nothing is folded that a mail server could tell apart as two people."""
    assert comparable(KeyKind.EMAIL, one) != comparable(KeyKind.EMAIL, other)


def test_account_ids_are_compared_exactly() -> None:
    """A vendor may issue ids that differ by case alone; numbers of HR are folded, and stay text."""
    assert comparable(KeyKind.ACCOUNT_ID, "00uA") != comparable(KeyKind.ACCOUNT_ID, "00ua")
    assert comparable(KeyKind.EMPLOYEE_NUMBER, "W-7") == comparable(KeyKind.EMPLOYEE_NUMBER, "w-7 ")
    assert comparable(KeyKind.EMPLOYEE_NUMBER, "007") != comparable(KeyKind.EMPLOYEE_NUMBER, "7")


def test_an_address_has_a_local_part_and_a_domain() -> None:
    """Both are comparable; a name without an @ is all local part."""
    assert (local_part("Ana@BÜCHER.example"), mail_domain("Ana@BÜCHER.example")) == (
        "ana",
        "xn--bcher-kva.example",
    )
    assert (local_part("Jsmith"), mail_domain("Jsmith")) == ("jsmith", "")
    assert local_part('"a@b"@example.com') == '"a@b"'


@given(value=st.text(max_size=60), kind=st.sampled_from(list(KeyKind)))
def test_the_form_of_a_form_is_itself(value: str, kind: KeyKind) -> None:
    """Comparing needs no record of what was folded already, and no text makes it fail."""
    assert comparable(kind, comparable(kind, value)) == comparable(kind, value)
