"""What HR sends as a key, cleaned once at intake: by every way in, before anything is stored.

A key that nobody can type finds nobody: "not found" would be said of a search that could not
find. So display forms become the address that they show, and what cannot be seen or only looks
like another letter is refused with a message that shows it. Case and spelling stay as HR sent
them; they are folded where keys are compared (`lockstep.domain.systems.keys`).
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from email.utils import getaddresses
from urllib.parse import unquote

import idna

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.keys import is_unseen

_QUOTES = "\"'\u2018\u2019\u201c\u201d\u00ab\u00bb`"
_ALIKE = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET")
"""Scripts whose letters look like each other's."""
_BEFORE, _AFTER = 5, 4
"""How many letters around a bad one are shown: enough to find it, too few to name somebody."""
OPEN, CLOSE = "\u2039", "\u203a"
"""Around what is quoted of a value, so that it can be left out of what is stored."""
_LONGEST_LABEL = 63
_JOINERS = "\u200c\u200d"
_NAMED = re.compile(r"[^<>]*<([^<>]+)>[^<>@]*")
_SCHEMES = ("mailto:", "smtp:")
"""As browsers copy an address, and as Active Directory lists it."""


class KeyFormError(ValueError):
    """A key that cannot be used as it stands; the text shows where and says why."""


class NotAnAddressError(KeyFormError):
    """It has no form that an address has."""


def cleaned(kind: KeyKind, value: str) -> str:
    """``value`` as a key to store and to search by.

    Raises:
        KeyFormError: if it has letters that cannot be seen or told apart, or is no such key.
    """
    plain = unicodedata.normalize("NFC", value).strip()
    if kind is KeyKind.EMAIL:
        return _address(plain)
    if kind is KeyKind.USERNAME:
        try:
            return _address(plain)
        except NotAnAddressError:
            plain = _bare(plain)
    _check_seen(plain)
    if not plain:
        raise KeyFormError("nothing is left of it: it has no letters of its own")
    if kind not in {KeyKind.ACCOUNT_ID, KeyKind.EXTERNAL_ID}:  # these are a vendor's, as they are
        _check_form(plain)
        _check_scripts(plain)
    if kind in {KeyKind.WORKER_ID, KeyKind.EMPLOYEE_NUMBER}:
        _check_digits(plain)
    return plain


def label(value: str) -> str:
    """A name, partner or site as it is shown and compared: without what nobody can see."""
    plain = unicodedata.normalize("NFC", value)
    # Joiners belong to letters of some scripts; everything else that is unseen does not.
    kept = "".join(c for c in plain if c.isspace() or c in _JOINERS or not is_unseen(c))
    return " ".join(kept.split())


def check_letters(name: str) -> None:
    """Refuse letters of a name that nobody can see, or that pass for others.

    A word is of one script: words of several may stand side by side.

    Raises:
        KeyFormError: showing the first of them.
    """
    for word in name.split():
        for place, letter in enumerate(word):
            if letter not in _JOINERS or _joins_nothing(word, place):
                _check_seen_at(word, place, letter)
        _check_form(word, signs=True)
        for part in re.split(r"[-_/&.,'\u2019]", word):
            _check_scripts(part)


def _joins_nothing(word: str, place: int) -> bool:
    """Whether a joiner has nothing to join: it belongs between letters of some other scripts."""
    around = word[place - 1 : place] + word[place + 1 : place + 2]
    scripts = [unicodedata.name(letter, "").partition(" ")[0] for letter in around]
    return len(scripts) < 2 or any(  # noqa: PLR2004 - one on either side
        script in _ALIKE or unicodedata.category(letter)[0] not in "LM"
        for letter, script in zip(around, scripts, strict=True)
    )


def unquoted(problem: str) -> str:
    """A problem without the letters of a value that it shows: as it may be stored and logged."""
    return re.sub(f"{OPEN}[^{CLOSE}]*{CLOSE}", f"{OPEN}\u2026{CLOSE}", problem)


def usable(kind: KeyKind, values: Iterable[str]) -> list[str]:
    """Those of ``values`` that are such keys, cleaned: what older releases took may not be."""
    found: dict[str, None] = {}
    for value in values:
        with contextlib.suppress(KeyFormError):
            found[cleaned(kind, value)] = None
    return list(found)


def revealed(value: str) -> str:
    """``value`` with what cannot be seen written out: ``m.san<U+200B>tos``."""
    return "".join(f"<U+{ord(c):04X}>" if is_unseen(c) else c for c in value)


def _address(plain: str) -> str:
    """The one address that ``plain`` shows, in whatever form a mail program copies it."""
    _check_seen(plain)
    shown = _bare(plain)
    in_brackets = _NAMED.fullmatch(shown)
    if in_brackets:
        shown = in_brackets[1]
    if shown.casefold().startswith(_SCHEMES):
        shown = unquote(shown.partition(":")[2].partition("?")[0]).strip()
        _check_seen(shown)
    local, _, domain = shown.rpartition("@")
    if any(mark in shown for mark in ' ,;"()<>'):  # a name, a comment, or two addresses
        local, _, domain = _parsed(shown).rpartition("@")
    is_quoted = local[:1] == local[-1:] == '"' and len(local) > 2  # noqa: PLR2004 - two quotes
    if not local or (not is_quoted and any(mark in local for mark in '@ ,"()<>')):
        raise NotAnAddressError(
            "each e-mail needs one @, with a name before it and a domain behind it"
        )
    domain = domain.rstrip(".")
    _check_form(f"{local}@{domain}")
    _check_scripts(local)
    _check_domain(domain)
    return f"{local}@{domain}"


def _bare(plain: str) -> str:
    """Without what a list or a spreadsheet puts around a value."""
    shown = plain.rstrip(",; ")
    while len(shown) > 1 and shown[0] in _QUOTES and shown[-1] in _QUOTES:
        shown = shown[1:-1].strip().rstrip(",; ")
    return shown


def _parsed(shown: str) -> str:
    found = [address for _, address in getaddresses([shown]) if address]
    # The parser guesses where it cannot read: then it takes a name for a second address.
    if len(found) != 1 or found[0] not in shown:
        raise NotAnAddressError(
            "it is not one address: give each by itself, without commas and semicolons"
        )
    return found[0]


def _check_domain(domain: str) -> None:
    labels = domain.split(".")
    for part in labels:
        _check_scripts(part)
        if not part or len(part) > _LONGEST_LABEL or not (part[0].isalnum() and part[-1].isalnum()):
            raise NotAnAddressError("the domain behind the @ is none")
    if not domain.isascii():
        try:
            idna.encode(domain, uts46=True)
        except idna.IDNAError:
            raise NotAnAddressError(
                "the domain behind the @ is none that can be registered"
            ) from None
    elif not all(c.isalnum() or c in "-_." for c in domain):
        raise NotAnAddressError("the domain behind the @ is none")


def _check_seen(plain: str) -> None:
    for place, letter in enumerate(plain):
        _check_seen_at(plain, place, letter)


def _check_seen_at(plain: str, place: int, letter: str) -> None:
    if is_unseen(letter):
        name = unicodedata.name(letter, "a control character").lower()
        raise KeyFormError(
            f"{_around(plain, place)} has a character that cannot be seen: U+{ord(letter):04X},"
            f" {name}; send it without"
        )


def _check_form(plain: str, *, signs: bool = False) -> None:
    """Full-width letters, ligatures and raised digits pass for others on a screen.

    With ``signs`` those that are neither letter nor digit may stand there: ™ is nothing else.
    """
    for place, letter in enumerate(plain):
        if signs and not letter.isalnum():
            continue
        meant = unicodedata.normalize("NFKC", letter)
        if meant != unicodedata.normalize("NFC", letter):
            raise KeyFormError(
                f"{_around(plain, place)} has {_named(letter)}, which stands for {meant!r}:"
                " send the plain letters"
            )


def _check_scripts(plain: str) -> None:
    """Latin mixed with Cyrillic or Greek: one of the letters is not what it looks like."""
    places: dict[str, list[int]] = {}
    for place, letter in enumerate(plain):
        script = unicodedata.name(letter, "").partition(" ")[0]
        if letter.isalpha() and script in _ALIKE:
            places.setdefault(script, []).append(place)
    if len(places) > 1:
        odd, *_, usual = sorted(places, key=lambda script: len(places[script]))
        place = places[odd][0]
        raise KeyFormError(
            f"{_around(plain, place)} has {_named(plain[place])} among {usual.capitalize()}"
            " letters, which look alike: send the letter that is meant"
        )


def _check_digits(plain: str) -> None:
    for place, letter in enumerate(plain):
        if letter.isdigit() and not letter.isascii():
            raise KeyFormError(
                f"{_around(plain, place)} has {_named(letter)}: write digits as 0 to 9"
            )


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} ({unicodedata.name(letter, 'no name').lower()})"


def _around(plain: str, place: int) -> str:
    before, after = plain[max(0, place - _BEFORE) : place], plain[place : place + 1 + _AFTER]
    more = "\u2026" if place + 1 + _AFTER < len(plain) else ""
    less = "\u2026" if place > _BEFORE else ""
    return f"{OPEN}{less}{revealed(before + after)}{more}{CLOSE}"
