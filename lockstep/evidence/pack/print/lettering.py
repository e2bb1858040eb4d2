"""Text as printed pages can show it: which letters there are, how wide they are, where lines break.

Two families of fonts. The first ships with the PDF library and draws the alphabets of western
Europe; the second, drawn on the same outlines, is here for what the first lacks. It is read from
the disk when the first such letter comes, once per process, so that packs without any neither wait
for it nor change. Both are registered with the library under names of the whole process; what one
document uses of them, the library keeps with that document. Lengths are points.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

# The library carries no types.
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]

_FONTS = Path(__file__).with_name("fonts")

# Alphabets of the second family: one letter after the other, from left to right. What must be
# shaped or turned round would be wrong if it were drawn so; marks would stand beside their letters.
_ALPHABETS = (
    (0x00A0, 0x02FF),  # Latin, and what stands for an apostrophe in a name
    (0x0370, 0x058F),  # Greek, Cyrillic, Armenian
    (0x10A0, 0x10FF),  # Georgian
    (0x1E00, 0x1FFF),  # Latin of Vietnam, Greek with all accents
    (0x2010, 0x2027),  # hyphens, dashes, quotation marks
    (0x2116, 0x2116),  # the sign for a number in names of places
    (0x2C60, 0x2C7F),  # Latin
    (0xA640, 0xA69F),  # Cyrillic
    (0xA720, 0xA7FF),  # Latin
)
_ACCENTED = re.compile("[^\u0300-\u036f][\u0300-\u036f]+")
"""A letter with marks of its own behind it, as some systems store names."""

_NARROWEST = 0.16
"""Width of the fonts' narrowest letter, as a part of its size."""


@dataclass(frozen=True, slots=True)
class _Family:
    """Names of two registered fonts, and the characters that both can draw."""

    regular: str
    bold: str
    glyphs: frozenset[str]

    def font(self, *, bold: bool) -> str:
        return self.bold if bold else self.regular


@cache
def _western() -> _Family:
    glyphs = _registered("Vera", "Vera.ttf") & _registered("VeraBd", "VeraBd.ttf")
    # Its only two Greek letters are a formula's, and look astray in a name.
    return _Family("Vera", "VeraBd", glyphs - set("\u03a9\u03c0"))


@cache
def _wider() -> _Family:
    regular = _registered("DejaVuSans", str(_FONTS / "DejaVuSans.ttf"), only_used=True)
    bold = _registered("DejaVuSans-Bold", str(_FONTS / "DejaVuSans-Bold.ttf"), only_used=True)
    letters = {chr(code) for first, last in _ALPHABETS for code in range(first, last + 1)}
    letters = {char for char in letters if not unicodedata.category(char).startswith("M")}
    return _Family("DejaVuSans", "DejaVuSans-Bold", regular & bold & letters)


def _registered(name: str, file: str, *, only_used: bool = False) -> frozenset[str]:
    """Register a font; the visible characters that it has.

    ``only_used``: a document holds the letters that stand in it, and not all of ASCII as well.
    """
    font = TTFont(name, file, asciiReadable=0 if only_used else None)
    pdfmetrics.registerFont(font)
    # A font may list letters that it lacks: their place is 0, and that is drawn as an empty box.
    chars = (chr(code) for code, place in font.face.charToGlyph.items() if place)
    return frozenset(char for char in chars if char.isprintable())


@cache
def _glyphs() -> frozenset[str]:
    return _western().glyphs | _wider().glyphs


def first_font() -> str:
    """Name of the font in which nearly everything is written, ready for use."""
    return _western().regular


def printable(text: str) -> str:
    """``text`` with every character that no font has, or that hides, as its code point.

    Latin, Greek, Cyrillic, Armenian and Georgian letters are drawn. A name in another script stays
    readable to a machine and visible to a person: ``東`` becomes ``[U+6771]``. Letters with marks
    of their own become the one letter that Unicode has for both; a mark without any is a code
    point. What was returned once is returned unchanged.
    """
    if _western().glyphs.issuperset(text):  # nearly always, and at once
        return text
    glyphs = _glyphs()
    composed = _ACCENTED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text)
    if glyphs.issuperset(composed):
        return composed
    return "".join(char if char in glyphs else f"[U+{ord(char):04X}]" for char in composed)


def runs(text: str, *, bold: bool = False) -> list[tuple[str, str]]:
    """Pieces of text that has passed `printable`, each with the name of the font that draws it."""
    western = _western()
    first = western.font(bold=bold)
    if western.glyphs.issuperset(text):
        return [(first, text)]
    second = _wider().font(bold=bold)
    return [
        (first if is_western else second, "".join(chars))
        for is_western, chars in groupby(text, western.glyphs.__contains__)
    ]


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width in points of text that has passed `printable`."""
    return float(
        sum(pdfmetrics.stringWidth(part, font, size) for font, part in runs(text, bold=bold))
    )


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """``text`` on one line of ``width``; what is too long ends in an ellipsis."""
    shown = printable(text)
    if text_width(shown, size, bold=bold) <= width:
        return shown
    shown = shown[: int(width / (size * _NARROWEST)) + 1]  # a long name is measured but once
    while shown and text_width(shown + "…", size, bold=bold) > width:
        shown = shown[:-1]
    return shown + "…"


def wrapped(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """``text`` on as many lines of ``width`` as it needs; nothing is cut."""
    lines: list[str] = []
    line = ""
    for word in printable(text).split(" "):
        joined = f"{line} {word}" if line else word
        if text_width(joined, size, bold=bold) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, width, size, bold=bold)
        lines.extend(full)
    return [*lines, line]


def _broken(word: str, width: float, size: float, *, bold: bool) -> list[str]:
    """A word in pieces that fit; a digest is such a word."""
    pieces = [""]
    for char in word:
        if pieces[-1] and text_width(pieces[-1] + char, size, bold=bold) > width:
            pieces.append("")
        pieces[-1] += char
    return pieces
