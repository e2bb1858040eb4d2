"""On which line of a TOML document each key and each element stands.

The standard library reads TOML and forgets where it stood. This walk knows nothing of values: it
is for documents that `tomllib` has read already.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Place = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}\n#]*")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:\\.|[^\\])*?"""(?:"{0,2})',
        r"'''.*?'''(?:'{0,2})",
        r'"(?:\\.|[^"\\])*"',
        r"'[^']*'",
    )
)


class Lines:
    """Lines of one document, by the place of a key; the nearest that is known where it is not."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._rows: dict[Place, int] = {(): 1}
        self._tables: dict[Place, int] = {}
        self._read()

    @property
    def rows(self) -> Mapping[Place, int]:
        return self._rows

    def of(self, place: Place) -> tuple[Place, int]:
        """The part of ``place`` that stands in the document, and its line."""
        known: Place = ()
        for step in place:
            if (*known, step) in self._rows:
                known = (*known, step)
        return known, self._rows[known]

    def _read(self) -> None:
        table: Place = ()
        while self._blank() < len(self._text):
            is_many = self._text.startswith("[[", self._pos)
            if is_many or self._text[self._pos] == "[":
                self._pos += 1 + is_many
                table = self._header(self._keys(), is_many=is_many)
                self._pos += 1 + is_many
            else:
                self._pair(table)

    def _header(self, keys: list[str], *, is_many: bool) -> Place:
        place: Place = ()
        for number, key in enumerate(keys):
            place = (*place, key)
            self._note(place)
            if is_many and number == len(keys) - 1:
                self._tables[place] = self._tables.get(place, -1) + 1
            if place in self._tables:
                place = (*place, self._tables[place])
                self._note(place)
        return place

    def _pair(self, table: Place) -> None:
        place = table
        for key in self._keys():
            place = (*place, key)
            self._note(place)
        self._pos += 1  # the sign between key and value
        self._value(place)

    def _keys(self) -> list[str]:
        """A key, dotted or not; the walk stands at the sign after it."""
        keys = []
        while True:
            self._blank()
            bare = _BARE.match(self._text, self._pos)
            if bare:
                self._pos = bare.end()
                keys.append(bare[0])
            else:
                keys.append(tomllib.loads(f"{self._string()} = 0").popitem()[0])
            if self._text[self._blank()] != ".":
                return keys
            self._pos += 1

    def _value(self, place: Place) -> None:
        match self._text[self._blank()]:
            case "{":
                self._pos += 1
                while self._text[self._blank()] != "}":
                    self._pair(place)
                    self._pos += self._text[self._blank()] == ","
                self._pos += 1
            case "[":
                self._pos, number = self._pos + 1, 0
                while self._text[self._blank()] != "]":
                    self._note((*place, number))
                    self._value((*place, number))
                    self._pos, number = self._pos + (self._text[self._blank()] == ","), number + 1
                self._pos += 1
            case '"' | "'":
                self._string()
            case _:
                self._pos = _PLAIN.match(self._text, self._pos).end()  # type: ignore[union-attr] # it fits nothing too

    def _string(self) -> str:
        found = next(each for rx in _STRINGS if (each := rx.match(self._text, self._pos)))
        self._pos = found.end()
        return found[0]

    def _blank(self) -> int:
        self._pos = _BLANK.match(self._text, self._pos).end()  # type: ignore[union-attr] # it fits nothing too
        return self._pos

    def _note(self, place: Place) -> None:
        self._rows.setdefault(place, self._text.count("\n", 0, self._pos) + 1)
