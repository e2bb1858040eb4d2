"""A key is cleaned once, at intake; what cannot be seen or told apart is refused and shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.intake.key_cleaning import KeyFormError, cleaned, label, unquoted, usable
from lockstep.domain.systems.keys import comparable

EMAIL, USERNAME = KeyKind.EMAIL, KeyKind.USERNAME


@pytest.mark.parametrize(
    "given",
    [
        "m.santos@example.com",
        "Maria Santos <m.santos@example.com>",
        '"Santos, Maria" <m.santos@example.com>',
        "Santos, Maria <m.santos@example.com>",
        "m.santos@example.com (Maria)",
        "mailto:m.santos@example.com",
        "MAILTO:m.santos%40example.com?subject=x",
        "<mailto:m.santos@example.com>",
        "smtp:m.santos@example.com",
        "m.santos@example.com,",
        "m.santos@example.com; ",
        '"m.santos@example.com"',
        "<m.santos@example.com>",
        " m.santos@example.com\u00a0",
        "m.santos@example.com.",
    ],
)
def test_what_a_mail_program_shows_is_the_address(given: str) -> None:
    """HR copies from where it can; the address is in it."""
    assert cleaned(EMAIL, given) == "m.santos@example.com"
    assert cleaned(USERNAME, given) == "m.santos@example.com"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("m.san\u200btos@example.com", "m.san<U+200B>tos@"),
        ("m.san\u00adtos@example.com", "m.san<U+00AD>tos@"),
        ("\ufeffm.santos@example.com", "<U+FEFF>m.sa"),
        ("m.santos@example.com\u200e", "<U+200E>"),
        ("m\u00a0santos@example.com", "m<U+00A0>sant"),
        ("m\u202esantos@example.com", "m<U+202E>sant"),
        ("m.santos@exam\u2060ple.com", "@exam<U+2060>ple"),
        ("m\uff0esantos@example.com", "U+FF0E (fullwidth full stop)"),
        ("jo\u00b2@example.com", "U+00B2 (superscript two)"),
        ("m.s\u0430ntos@example.com", "U+0430 (cyrillic small letter a) among Latin letters"),
        ("ana@ex\u0430mple.com", "U+0430 (cyrillic small letter a) among Latin letters"),
    ],
)
def test_what_deceives_the_eye_is_refused_and_shown(given: str, shown: str) -> None:
    """The message says which character it is and where it stands."""
    with pytest.raises(KeyFormError) as refused:
        cleaned(EMAIL, given)
    assert shown in str(refused.value)
    assert "santos@example.com" not in unquoted(str(refused.value))


@pytest.mark.parametrize(
    "given",
    [
        *("x", "@x", "a@", "a@b@c", "a@x.com, b@x.com", "a@x.com b@x.com", "a b@x.com"),
        *("m@x..com", "m@-x.com", "m@[10.0.0.1]", "Maria m@x.com", "<>", ""),
        "alice@example.org)bob@example.com",
    ],
)
def test_what_is_no_one_address_is_refused(given: str) -> None:
    """Neither is guessed which of two is meant."""
    with pytest.raises(KeyFormError):
        cleaned(EMAIL, given)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("jsmith;", "jsmith"),
        ("CORP\\jsmith", "CORP\\jsmith"),
        ("'jsmith'", "jsmith"),
        ("John Smith", "John Smith"),
        ("@jsmith", "@jsmith"),
        (unicodedata.normalize("NFD", "josé"), "josé"),
    ],
)
def test_a_user_name_need_be_no_address(given: str, stored: str) -> None:
    """It keeps its case; only its normal form and what a list put around it are changed."""
    assert cleaned(USERNAME, given) == stored


@pytest.mark.parametrize("given", ["\u0661\u0662", "\uff11\uff12", "12\u00b2", "W-\u200b1"])
def test_a_number_is_written_with_plain_digits(given: str) -> None:
    """A number in digits that no system holds finds nobody."""
    for kind in (KeyKind.EMPLOYEE_NUMBER, KeyKind.WORKER_ID):
        with pytest.raises(KeyFormError):
            cleaned(kind, given)


@pytest.mark.parametrize("given", ["иван@пример.рф", "田中@例え.jp", "josé@bücher.example"])
def test_an_address_in_one_script_is_good(given: str) -> None:
    """Not everybody's name is Latin."""
    assert cleaned(EMAIL, given) == given


def test_an_account_id_is_the_vendors_and_stays() -> None:
    """Only what cannot be seen is refused; its letters are nobody's but the vendor's."""
    assert cleaned(KeyKind.ACCOUNT_ID, " 00uA²а ") == "00uA²а"  # noqa: RUF001 - as a vendor might
    with pytest.raises(KeyFormError):
        cleaned(KeyKind.ACCOUNT_ID, "00u\u200ba")


def test_a_name_loses_what_nobody_can_see() -> None:
    """Of two partners that look the same, one would be outside of everybody's scope."""
    assert label("\ufeffNorthwind\u00a0 BPO\u200b ") == "Northwind BPO"
    assert label("a\u200cb") == "a\u200cb", "a joiner belongs to the letters beside it"


def test_keys_of_older_releases_are_used_as_far_as_they_can_be() -> None:
    """A case that was opened with a key of another form is not stuck on it."""
    assert usable(EMAIL, ["a@x.com", "b\u200b@x.com", "A <a@x.com>"]) == ["a@x.com"]


@given(value=st.text(max_size=40), kind=st.sampled_from(list(KeyKind)))
def test_what_was_cleaned_is_clean(value: str, kind: KeyKind) -> None:
    """Whatever is sent, it is refused with the one error or taken in its last form."""
    try:
        once = cleaned(kind, value)
    except KeyFormError:
        return
    assert cleaned(kind, once) == once
    assert comparable(kind, once)
