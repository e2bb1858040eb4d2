"""One form in which two keys are compared: what a system holds with what HR sent.

Two values are one key if their comparable forms are equal. The form is made for comparing only:
what HR sent is what is stored and searched for.

- Unicode NFC: é as one character or as e and an accent is one letter. Not NFKC: ² and 2, or ﬁ and
  fi, are different user names somewhere, and intake lets no such letter in.
- Letters are folded one to one: A is a. ß stays ß, because strauß and strauss are two mailboxes.
- What nobody can see (zero width, direction marks, soft hyphen) is left out.
- The domain of an address is compared as its A-label: bücher.example is xn--bcher-kva.example.
- An address that a system holds as ``Ana <ana@x>`` or ``mailto:ana@x`` is the address in it.
- Account ids are compared exactly: some vendors tell two of them apart by case alone.
- Numbers are text: 007 is not 7. A caller that reads 7 or 7.0 from JSON makes it text first.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys

_ADDRESS_KINDS = frozenset({KeyKind.USERNAME, KeyKind.EMAIL})
"""Many systems use an address as the user name, so what has an @ is folded as an address."""
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
"""Letters without a shape that are not of category Cf: joiners, fillers, variation selectors."""


_SHOWN = re.compile(r"[^<>]*<([^<>]+@[^<>]+)>\s*")
_LINK = re.compile(r"(?:mailto:\s*)+")


def is_unseen(letter: str) -> bool:
    """Whether a character takes no room on a screen, or only that of a space."""
    if letter == " ":
        return False
    category = unicodedata.category(letter)
    return category in {"Cf", "Cc", "Zs", "Zl", "Zp"} or letter in _UNSEEN


def comparable(kind: KeyKind, value: str) -> str:
    """The form of ``value`` in which it is compared with another of its kind; may be "".

    User names and addresses share one form, so that one word under both is one key.
    """
    if kind is KeyKind.ACCOUNT_ID:
        return value.strip()
    folded = _folded(value)
    if kind in _ADDRESS_KINDS and "@" in folded:
        shown = _SHOWN.fullmatch(folded)
        bare = (shown[1] if shown else folded).strip()
        if link := _LINK.match(bare):
            bare = bare[link.end() :]
        local, _, domain = bare.rpartition("@")
        return f"{local.rstrip()}@{_domain(domain)}"
    return folded


def joined(later: LeaverKeys, earlier: LeaverKeys, *, by_person: bool = False) -> LeaverKeys:
    """All keys of both, the later ones first; one that only changed its spelling stands once.

    An account may still be known by the key that HR has corrected, so none is ever dropped. What a
    person has withdrawn stays so while HR's system goes on sending it: a person takes it back.
    """
    withdrawn = {_form(key): key for key in earlier.withdrawn}
    if by_person:
        for key in later.keys:
            withdrawn.pop(_form(key), None)
    found: dict[tuple[KeyKind, str, str | None], Key] = {}
    for key in (*later.keys, *earlier.keys):
        if _form(key) not in withdrawn:
            found.setdefault(_form(key), key)
    return LeaverKeys(tuple(found.values()), tuple(withdrawn.values()))


class WithdrawalError(ValueError):
    """A key that cannot be withdrawn; the text says why, and quotes none."""


def without(keys: LeaverKeys, key: Key) -> tuple[LeaverKeys, Key]:
    """The keys with one withdrawn, and that one as it was known.

    Raises:
        WithdrawalError: if it is not in force, or is what HR calls the leaver by.
    """
    known = next((one for one in keys.keys if _form(one) == _form(key)), None)
    if known is None:
        raise WithdrawalError("no such key is in force: `lockstep case show` lists them")
    rest = tuple(one for one in keys.keys if one != known)
    if known.kind is KeyKind.WORKER_ID and not any(one.kind is known.kind for one in rest):
        raise WithdrawalError(
            "HR speaks of the leaver by this worker id: if it is another person, call the case off"
        )
    return LeaverKeys(rest, (*keys.withdrawn, known)), known


def _form(key: Key) -> tuple[KeyKind, str, str | None]:
    return key.kind, comparable(key.kind, key.value), key.system


def local_part(value: str) -> str:
    """What stands before the last @ of an address or user name, comparable; all, without one."""
    folded = comparable(KeyKind.USERNAME, value)
    return folded.rpartition("@")[0] if "@" in folded else folded


def mail_domain(value: str) -> str:
    """The domain of an address or user name, comparable; "" where there is no @."""
    return comparable(KeyKind.USERNAME, value).rpartition("@")[2] if "@" in value else ""


def _folded(value: str) -> str:
    if value.isascii() and value.isprintable():  # nearly every value of a long directory
        return value.strip().lower()
    seen = "".join(letter for letter in value if not is_unseen(letter) or letter.isspace())
    folded = "".join(_small(letter) for letter in unicodedata.normalize("NFC", seen))
    return unicodedata.normalize("NFC", folded).strip()


def _small(letter: str) -> str:
    """Simple case folding of Unicode: one letter to one, or the letter itself."""
    for small in (letter.casefold(), letter.lower()):
        if len(small) == 1:
            return small
    return letter


@lru_cache(maxsize=4096)
def _domain(folded: str) -> str:
    """The A-label of a domain; one that no DNS could hold stays as it is written."""
    plain = folded.strip().rstrip(".")
    if plain.isascii():
        return plain
    try:
        return idna.encode(plain, uts46=True).decode()
    except idna.IDNAError:
        return plain
