"""Names of partners and sites: which there are, and which only look like one of them.

People read them on pages and choose by them who may see and say what. A second name that looks
like a first would be a partner of its own, with its own people and its own score.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lockstep.domain.intake.key_cleaning import KeyFormError, check_letters
from lockstep.domain.systems.keys import is_unseen

_ALIKE = {
    "a": "ɑαΑаАⲁᎪꓮᴀ",
    "b": "ЬьвВβΒᏴꓐʙƀƃɓƁ",
    "c": "сСϲϹⲥᏟꓚᴄƈƇ",
    "d": "ԁԀꓓᎠᴅđĐɖðɗƊ",
    "e": "еЕεΕҽєᎬꓰᴇ℮ɛ",
    "f": "ϝϜꓝƒғ",
    "g": "ɡցԍԌᏀꓖɢɠƓ",
    "h": "һҺнНηΗհᎻꓧⲏʜħĦɦ",
    "j": "јЈϳͿꓙᎫᴊ",
    "k": "кКκΚⲕᏦꓗᴋƙƘ",
    "l": "iIlL1|!ıіІιΙӏӀɩᎥꓲᏞꓡǀʟłŁɪɨɭƖ",
    "m": "мМΜμᎷꓟⲙᴍɱ",
    "n": "Νոռꓠɴŋɲɳƞ",
    "o": "0оОοΟσօⲟꓳᎾᴏøØɵƟ〇০०๐໐",
    "p": "рРρΡⲣᏢꓑᴘƥƤ",
    "q": "ԛԚգզ",
    "r": "гꓣᏒʀᴦɽɼ",
    "s": "ѕЅᏚꓢꜱʂȿ",
    "t": "тТτΤⲧᎢꓔᴛŧŦƭƬʈ",
    "u": "υսʋᴜꓴ",
    "v": "νѵѴᴠꓦᏙʌ",
    "w": "ԝԜѡωᴡᎳꓪա",
    "x": "хХχΧⲭꓫ",
    "y": "уУүҮγΥʏꓬƴƳ",
    "z": "ΖᴢꓜᏃʐƶƵȥ",
    "-": "‐‑‒–—―−﹣－ー_",
    "'": "‘’‛′`´ʼʹ＇",
}
"""Letters of one shape in usual type, most of them from what Unicode calls confusable (UTS #39).

By what they look like in their own case: a capital Greek nu is an N, a small one a v.
"""
_SHAPES = {letter: shape for shape, letters in _ALIKE.items() for letter in letters}
_PAIRS = (("rn", "m"), ("vv", "w"))


def tidy(name: str) -> str:
    """``name`` with single spaces, in one spelling of each letter; nothing is left out."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def trouble_of(name: str) -> str:
    """What is wrong with the letters of a name; "" where nothing is."""
    try:
        check_letters(name)
    except KeyFormError as error:
        return str(error)
    return ""


def shape(name: str) -> str:
    """Equal for names that can be taken for each other: whatever their case, marks and scripts."""
    found = []
    for letter in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name)):
        if letter.isspace() or unicodedata.category(letter) == "Mn" or is_unseen(letter):
            continue
        known = _SHAPES.get(letter)
        if known is None:
            digit = unicodedata.decimal(letter, None)
            folded = letter.casefold() if digit is None else str(digit)
            known = "".join(_SHAPES.get(each, each) for each in folded)
        found.append(known)
    shown = "".join(found)
    for pair, single in _PAIRS:
        shown = shown.replace(pair, single)
    return shown


@dataclass(frozen=True, slots=True)
class Seen:
    """Names that are in use: partners, and each partner's sites."""

    sites: Mapping[str, Collection[str]] = field(default_factory=dict)

    def of(self, what: str, partner: str) -> Collection[str]:
        """Known partners; or the known sites of ``partner``."""
        return self.sites.keys() if what == "partner" else self.sites.get(partner, ())


@dataclass(frozen=True, slots=True)
class PlaceList:
    """The partners and sites that there are, by policy.

    Where a list is empty, any name is one, but none that looks like another that is in use.
    """

    partners: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()

    def named(self, what: str) -> tuple[str, ...]:
        """The list of partners, or that of sites."""
        return self.partners if what == "partner" else self.sites

    @property
    def is_complete(self) -> bool:
        """Whether what is in use need not be looked up."""
        return bool(self.partners and self.sites)

    def problem(
        self,
        what: str,
        name: str,
        *,
        partner: str = "",
        seen: Seen | None = None,
        mine: Collection[str] | None = None,
    ) -> str:
        """Why ``name`` is no ``partner`` or ``site``; "" where it is one, or none is given.

        Args:
            what: ``partner`` or ``site``.
            name: as it was sent.
            partner: of whom it is a site.
            seen: names in use.
            mine: those for which the sender speaks, and of others it is told nothing; None is all.
        """
        plain, listed = tidy(name), self.named(what)
        in_use = seen.of(what, partner) if seen else ()
        if not plain or plain in (listed or in_use):
            return ""
        if trouble := trouble_of(plain):
            return f"{what}: {trouble}"
        if mine is not None and plain not in mine:  # whether it is theirs is asked elsewhere
            return ""
        if listed:
            likely = "" if mine is not None else _likely(plain, listed)
            return f"{what}: none has this name{likely}"
        if alike := _alike(plain, in_use):
            known = "a name that is known" if mine is not None else f"{alike!r}, which is known"
            return (
                f"{what}: this looks like {known}: send exactly that; if it is another, both belong"
                f" into the settings ([policy] {what}s)"
            )
        return ""


def _alike(name: str, names: Collection[str]) -> str:
    looks = shape(name)
    return next((each for each in sorted(names) if shape(each) == looks), "")


def _likely(name: str, listed: Collection[str]) -> str:
    if alike := _alike(name, listed):
        return f": is {alike!r} meant? Send exactly that"
    folded = {each.casefold(): each for each in listed}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f": is {folded[near[0]]!r} meant? Send exactly that"
    return ": the settings list those that there are ([policy])"
