"""How a pack spells its CSV and JSON files, byte by byte. Only the standard library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Cell = str | int
Row = dict[str, Cell]
"""A row by its columns; "" where there is nothing to say."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = frozenset(',"\r\n')


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before what could begin one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def cell_text(cell: Cell) -> str:
    """A cell as it stands in the CSV files; numbers stay numbers."""
    return str(cell) if isinstance(cell, int) else neutral(cell)


def csv_line(cells: Iterable[str]) -> bytes:
    """One record by RFC 4180: UTF-8, quotes where needed and only there, CR LF at its end."""
    quoted = [
        '"' + cell.replace('"', '""') + '"' if not _QUOTED.isdisjoint(cell) else cell
        for cell in cells
    ]
    return (",".join(quoted) + "\r\n").encode()


def csv_head(columns: Sequence[str]) -> bytes:
    """The first record: the columns' names."""
    return csv_line(columns)


def csv_row(columns: Sequence[str], row: Row) -> bytes:
    """One row as a record."""
    return csv_line(cell_text(row[column]) for column in columns)


def json_bytes(document: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """A JSON file of a pack: sorted members, one blank of indent, ASCII, a newline at its end.

    Raises:
        TypeError: for a float; figures are whole numbers, or text.
    """
    _refuse_floats(document)
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise TypeError("a float in a file of a pack")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
