"""Typed options: read once, refused by name, and never shown."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import ConnectorOptions
from connectors.kit import options as kit
from connectors.kit.options import Option, read_options


class Way(StrEnum):
    CALM = "calm"
    HARD = "hard"


ROWS: dict[str, Option[Any]] = {
    "text": kit.text("text", "any text"),
    "secret": kit.secret("secret", "a key"),
    "address": kit.address("address", "where", default="https://api.example.test/"),
    "other": kit.optional_address("other", "elsewhere"),
    "choice": kit.choice("choice", "which", ("one", "two"), default="two"),
    "way": kit.one_of("way", "how", Way),
    "flag": kit.flag("flag", "whether", default=True),
    "whole": kit.whole("whole", "how many", default="5"),
    "seconds": kit.seconds("seconds", "how long", default=60, least=1, most=90),
    "bound": kit.bound("bound", "how long at most"),
    "listing": kit.listing("listing", "which ones", default=("a",)),
}


def value_of(name: str, value: object) -> object:
    """What one row makes of one value."""
    return ROWS[name].read(ConnectorOptions("any", {name: value}, {name: str(value)}))


def test_what_is_not_said_is_the_default() -> None:
    """Every row has a value where nothing was given."""
    read = read_options(tuple(ROWS.values()), ConnectorOptions("any", {}), kind="any")

    assert {name: read[row] for name, row in ROWS.items()} == {
        "text": "",
        "secret": "",
        "address": "https://api.example.test",
        "other": "",
        "choice": "two",
        "way": Way.CALM,
        "flag": True,
        "whole": 5,
        "seconds": 60,
        "bound": None,
        "listing": ("a",),
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("address", "http://127.0.0.1:80/v1/", "http://127.0.0.1:80/v1"),
        ("address", "", "https://api.example.test"),
        ("other", "", ""),
        ("other", "https://a.example.test", "https://a.example.test"),
        ("choice", "one", "one"),
        ("way", "hard", Way.HARD),
        ("flag", "False", False),
        ("flag", False, False),
        ("whole", " 7 ", 7),
        ("whole", 0, 0),
        ("seconds", 90, 90),
        ("bound", "unknown", None),
        ("bound", "", None),
        ("bound", "60", 60),
        ("bound", 0, 0),
        ("listing", "b", ("b",)),
        ("listing", ["b", "c"], ("b", "c")),
        ("listing", [], ()),
    ],
)
def test_a_value_is_read_by_its_type(name: str, value: object, expected: object) -> None:
    """A value of the type is taken, as a number or as a word."""
    assert value_of(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 7),
        ("address", "http://api.example.test"),
        ("address", "https://user:word@api.example.test"),
        ("address", "nowhere"),
        ("other", "ftp://a.example.test"),
        ("choice", "three"),
        ("choice", ""),
        ("way", 1),
        ("flag", "yes"),
        ("flag", 1),
        ("whole", -1),
        ("whole", 1.5),
        ("whole", True),
        ("seconds", 0),
        ("seconds", 91),
        *(("bound", value) for value in ("soon", "-1", "1.5", "²", "٣", True, 1.5)),
        ("listing", 3),
        ("listing", ["a", ""]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    """The error begins with the option's name and says what is expected."""
    with pytest.raises(ValueError, match=f"^{name}: [a-z]"):
        value_of(name, value)


@given(st.sampled_from(sorted(set(ROWS) - {"secret", "choice", "way"})), st.text(min_size=9))
def test_a_refused_value_is_not_quoted(name: str, value: str) -> None:
    """A secret in the wrong place does not get into an error."""
    said = ""
    try:
        value_of(name, value)
    except ValueError as error:
        said = str(error)

    assert value not in said


@pytest.mark.parametrize("given_secrets", [{}, {"key": ""}])
def test_what_is_required_and_missing_is_named(given_secrets: dict[str, str]) -> None:
    """An empty value is as good as none."""
    rows = (kit.secret("key", "the API key", required=True),)
    with pytest.raises(ValueError, match=r"^key: missing: the API key$"):
        read_options(rows, ConnectorOptions("any", {}, given_secrets), kind="any")


def test_a_misspelt_option_is_refused() -> None:
    """An option that nobody reads would be ignored in silence."""
    with pytest.raises(ValueError, match=r"^flga: the any connector has no such option$"):
        read_options((ROWS["flag"],), ConnectorOptions("any", {"flga": True}), kind="any")


def test_a_secret_is_not_read_from_plain_settings() -> None:
    """What stands in the file as it is, is no credential."""
    with pytest.raises(ValueError, match=r"^secret: "):
        read_options((ROWS["secret"],), ConnectorOptions("any", {"secret": "s"}), kind="any")


def test_the_values_show_no_secret() -> None:
    """Their repr names nothing; all secrets are told to whoever must keep them out of faults."""
    rows = (ROWS["secret"], ROWS["text"])
    read = read_options(rows, ConnectorOptions("any", {}, {"secret": "s3cret"}), kind="any")

    assert "s3cret" not in repr(read)
    assert read.secrets == ("s3cret",)
    assert read.given(ROWS["secret"], ROWS["text"]) == ("secret",)


def test_an_own_check_says_what_it_expects() -> None:
    """A text may have a form of its own."""

    def plain(value: str) -> str:
        if not value.isalnum():
            raise ValueError("a plain name")
        return value

    row = kit.text("name", "a name", check=plain)

    assert row.read(ConnectorOptions("any", {"name": "ab"})) == "ab"
    assert row.read(ConnectorOptions("any", {"name": ""})) == ""
    with pytest.raises(ValueError, match=r"^name: a plain name$"):
        row.read(ConnectorOptions("any", {"name": "a b"}))
