"""Bearer tokens: nothing is allowed that no right allows."""

from __future__ import annotations

import pytest

from lockstep.control.people.tokens import Denied, TokenError, Tokens
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission

READER = "reader-" + "r" * 40
LOADER = "loader-" + "l" * 40
BOOK = {
    "reader": (READER, [Permission.SCORE]),
    "loader": (LOADER, [Permission.REPORT, Permission.EXPORT]),
}


def status_of(tokens: Tokens, header: str | None, right: Permission) -> int:
    try:
        tokens.check(header, right)
    except Denied as denied:
        return denied.status
    return 200


@pytest.mark.parametrize("right", list(Permission))
@pytest.mark.parametrize("name", sorted(BOOK))
def test_a_token_may_what_its_rights_say_and_nothing_else(name, right):
    """Every token against every right."""
    secret, rights = BOOK[name]

    assert status_of(Tokens(BOOK), f"Bearer {secret}", right) == (200 if right in rights else 403)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        READER,
        f"Basic {READER}",
        f"Bearer {READER}x",
        f"Bearer {READER[:-1]}",
        f"Bearer {READER.upper()}",
        f"Bearer {READER} {READER}",
        "Bearer \udcff" + READER,
        "Bearer " + "é" * 100_000,
        "\x00",
    ],
)
def test_without_a_known_token_the_answer_is_401(header):
    """Whatever stands in the header."""
    assert status_of(Tokens(BOOK), header, Permission.SCORE) == 401
    assert status_of(Tokens({}), header, Permission.SCORE) == 401


def test_the_name_of_the_token_is_returned():
    """For the log; the scheme is not case-sensitive (RFC 9110, 11.1)."""
    assert Tokens(BOOK).check(f"bearer  {LOADER} ", Permission.REPORT).name == "loader"


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "shorter"),
        ("a" * 31, "shorter"),
        ("a" * 513, "longer"),
        ("a" * 40 + " b", "blank"),
        ("a" * 40 + "\n", "blank"),
        ("é" * 40, "ASCII"),
        (LOADER, "the same as that of loader"),
    ],
)
def test_a_weak_or_ambiguous_token_is_refused_without_quoting_it(secret, says):
    """Length, alphabet, and one name for one token."""
    with pytest.raises(TokenError, match=says) as refused:
        Tokens({**BOOK, "zz": (secret, [Permission.SCORE])})

    assert not secret or secret not in str(refused.value)


def test_tokens_show_nowhere():
    """Neither the object nor a refusal holds the secret in its text."""
    tokens = Tokens(BOOK)
    with pytest.raises(Denied) as denied:
        tokens.check(f"Bearer {READER}", Permission.EXPORT)

    for shown in (repr(tokens), repr(tokens.__dict__), str(denied.value), repr(denied.value)):
        assert READER not in shown
        assert LOADER not in shown
    assert denied.value.name == "reader"


def test_a_token_of_the_settings_is_of_its_partners_only():
    """Left out, of every one; what it may report is of the sites that it is given."""
    remit = Remit(frozenset({"contoso"}), frozenset({"cebu"}))
    tokens = Tokens(BOOK, remits={"loader": remit})
    bound = tokens.find(LOADER)
    assert bound is not None
    assert (bound.partners, bound.scope.partners, bound.remit) == (
        remit.partners,
        remit.partners,
        remit,
    )
    free = [found for found in map(tokens.find, (row[0] for row in BOOK.values())) if found]
    assert {each.remit.is_bound for each in free} == {True, False}
