"""Leavers in a file that a spreadsheet or an HR system wrote: bytes to lines of named cells.

One reader for the command line and the console. Pure. It guesses nothing about a leaver: what a
spreadsheet has mangled is named with its line, because whoever reads the file back cannot know
what stood there. What only wraps the values (byte order mark, UTF-16, semicolons or tabs, a line
`sep=;`, blanks around names, empty lines) is understood.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from difflib import get_close_matches

COLUMNS = (
    "worker_id", "name", "employee_number", "usernames", "emails", "accounts", "kind", "zone",
    "last_working_day", "access_ends_at", "spell", "hired_at", "revision", "partner", "site",
    "source",
)  # fmt: skip
REQUIRED = ("worker_id", "kind", "zone")
MOST_LINES = 10_000
MOST_BYTES = 20 * 1024 * 1024
LONGEST_LINE = 10_000

_DELIMITERS = ",;\t"
_IDS = frozenset({"worker_id", "employee_number", "usernames", "emails", "accounts", "spell"})
_LISTS = frozenset({"usernames", "emails", "accounts"})
_DAYS = frozenset({"last_working_day", "hired_at", "access_ends_at"})
_ERROR = re.compile(
    r"#(?:N/A|NAME\?|REF!|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!|FIELD!|#+)", re.IGNORECASE
)
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]\d+", re.IGNORECASE)
_DECIMAL = re.compile(r"\d+[.,]0+")
_SERIAL = re.compile(r"\d{5}(?:[.,]\d+)?")
_BLANK_WORDS = frozenset({"n/a", "null", "none", "nan", "undefined", "-", "\u2013", "?"})
_TRUTH = frozenset({"true", "false"})
_EPOCH = date(1899, 12, 30)
"""Day 0 of spreadsheets."""


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line below the header, or what is wrong with the file at that line.

    Args:
        number: as an editor counts lines, from 1; the header is 1.
        cells: by column; empty where the line cannot be read.
        is_empty: nothing stands in it; it says nothing and loses nothing.
        is_of_file: what is wrong is the file as a whole, and no leaver stands in it for us.
    """

    number: int
    cells: dict[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    is_empty: bool = False
    is_of_file: bool = False


class _UnreadableError(Exception):
    """The file as a whole cannot be read: the line at which that shows, and why."""

    def __init__(self, number: int, *problems: str) -> None:
        super().__init__()
        self.line = SheetLine(number, problems=problems, is_of_file=True)


def read_sheet(raw: bytes, *, most_lines: int = MOST_LINES) -> list[SheetLine]:
    """Every line of a file, in order; never raises, whatever the bytes are."""
    try:
        lines = _read(raw, most_lines)
    except _UnreadableError as error:
        return [error.line]
    if all(line.is_empty for line in lines):
        none = "there is no leaver below the header"
        return [*lines, SheetLine(1, problems=(none,), is_of_file=True)]
    return _told_once(lines)


def _read(raw: bytes, most_lines: int) -> list[SheetLine]:
    if len(raw) > MOST_BYTES:
        raise _UnreadableError(1, f"the file is larger than {MOST_BYTES // 2**20} MiB: split it")
    physical = _decoded(raw).rstrip("\n").split("\n")
    first, delimiter = _told_delimiter(physical)
    while first < len(physical) and not physical[first].strip(" ,;\t"):
        first += 1
    if first == len(physical):
        raise _UnreadableError(1, "the file is empty: its first line names the columns")
    if len(physical) - first > most_lines + 1:
        raise _UnreadableError(
            first + most_lines + 2, f"more than {most_lines:,} lines: split the file"
        )
    header, *below = _rows(physical, first, delimiter or _delimiter(physical[first]))
    columns = _columns(header)
    return [_line(row, columns) for row in below]


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cells: list[str]
    problem: str = ""


def _at(number: int, problem: str) -> SheetLine:
    return SheetLine(number, problems=(problem,))


def _decoded(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _UnreadableError(1, "the file is in UTF-32: save it as CSV UTF-8")
    encoding = "utf-8-sig"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif raw[1:2] == b"\0":
        encoding = "utf-16-le"
    elif raw[:1] == b"\0":
        encoding = "utf-16-be"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        if encoding != "utf-8-sig":
            raise _UnreadableError(line, "the file is damaged: a character is cut in two") from None
        raise _UnreadableError(
            line,
            f"the byte 0x{raw[error.start]:02X} is not UTF-8, as when a file is saved as ANSI or"
            " Latin-1: save it as CSV UTF-8",
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _told_delimiter(physical: Sequence[str]) -> tuple[int, str]:
    """Where the header is, and the delimiter that spreadsheets may name in a line of its own."""
    told = re.fullmatch(r'"?sep=([,;\t|])"?', physical[0].strip(" "))
    return (1, told[1]) if told else (0, "")


def _delimiter(header: str) -> str:
    """The one by which the header names most columns."""

    def known(delimiter: str) -> int:
        return sum(_name(cell) in COLUMNS for cell in header.split(delimiter))

    return max(_DELIMITERS, key=lambda each: (known(each), header.count(each)))


def _rows(physical: Sequence[str], first: int, delimiter: str) -> Iterator[_Row]:
    """Lines as cells. No cell of ours runs over lines, so a quote that does was never closed."""
    for number, text in enumerate(physical[first:], start=first + 1):
        if len(text) > LONGEST_LINE:
            yield _Row(number, [], f"the line has more than {LONGEST_LINE:,} characters")
        elif "\0" in text:
            yield _Row(number, [], "the line has a NUL character: the file is damaged")
        elif text.count('"') % 2:
            yield _Row(number, [], "a quote is opened and not closed in this line")
        else:
            try:
                cells = next(csv.reader([text], delimiter=delimiter, strict=True), [])
                yield _Row(number, [cell.strip() for cell in cells])
            except csv.Error as error:
                yield _Row(number, [], f"the line cannot be read: {error}")


def _name(cell: str) -> str:
    """A column's name however a person writes it: `Worker ID` is worker_id."""
    plain = cell.strip().strip('"').strip().casefold()
    return re.sub(r"[\s\-]+", "_", plain)


def _columns(header: _Row) -> list[str]:
    """The columns' names; or everything that is wrong with them is raised."""
    if header.problem:
        raise _UnreadableError(header.number, header.problem)
    names = [_name(cell) for cell in header.cells]
    while names and not names[-1]:
        names.pop()
    if not any(name in COLUMNS for name in names):
        there = f"the first line names the columns, such as {', '.join(REQUIRED)}"
        raise _UnreadableError(
            header.number, f"this is no header: {there}; known are {', '.join(COLUMNS)}"
        )
    problems = []
    for place, name in enumerate(names, start=1):
        if not name:
            problems.append(f"column {place} has no name")
        elif name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(COLUMNS)}"
            problems.append(f"unknown column {header.cells[place - 1][:40]!r}{hint}")
        elif name in names[: place - 1]:
            before = names.index(name) + 1
            problems.append(f"the column {name} stands twice: columns {before} and {place}")
    problems += [f"missing column {name}" for name in REQUIRED if name not in names]
    if problems:
        raise _UnreadableError(header.number, *problems)
    return names


def _line(row: _Row, columns: Sequence[str]) -> SheetLine:
    if row.problem:
        return _at(row.number, row.problem)
    cells = list(row.cells)
    if not any(cells):
        return SheetLine(row.number, is_empty=True)
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) != len(columns):
        there = f"{len(cells)} cells where the header has {len(columns)}"
        hint = ": is a value with a comma or semicolon without quotes?"
        return _at(row.number, f"the line has {there}{hint if len(cells) > len(columns) else ''}")
    named = dict(zip(columns, cells, strict=True))
    problems = [
        f"{name}: {why}"
        for name, cell in named.items()
        for item in (cell.split(";") if name in _LISTS else [cell])
        for why in _mangled(name, item.strip())
    ]
    return SheetLine(row.number, named, tuple(problems))


def _mangled(column: str, cell: str) -> Iterator[str]:
    """What a spreadsheet has made of a value that it took for something else."""
    as_text = "format the column as text in the spreadsheet and export it again"
    if _ERROR.fullmatch(cell):
        yield f"{cell} is a spreadsheet's error, not a value"
    elif column in _DAYS and _SERIAL.fullmatch(cell):
        day = _EPOCH + timedelta(days=int(cell[:5]))
        yield f"{cell} is a spreadsheet's number of a day: write {day.isoformat()}"
    elif column in _IDS | _DAYS | {"zone", "kind", "revision"}:
        if _EXPONENT.fullmatch(cell):
            yield f"{cell} is a long number that a spreadsheet has rounded: {as_text}"
        elif cell.casefold() in _TRUTH:
            yield f"{cell} is a spreadsheet's truth value: {as_text}"
        elif cell.startswith("="):
            yield f"it begins with =, as a formula does: {as_text}"
        elif cell.startswith("'"):
            yield "it begins with ', by which a spreadsheet marks text: remove it"
        elif column in _IDS and cell.casefold() in _BLANK_WORDS:
            yield f"{cell} stands for nothing: leave the cell empty"
        elif column in {"worker_id", "employee_number", "revision"} and _DECIMAL.fullmatch(cell):
            yield f"{cell} is a number with decimals: {as_text}"


def _told_once(lines: Sequence[SheetLine]) -> list[SheetLine]:
    """Lines about one employment of one worker: which of them HR means, nobody here can know."""
    places: dict[tuple[str, ...], list[int]] = {}
    for line in lines:
        if line.cells.get("worker_id"):
            key = tuple(line.cells.get(name, "") for name in ("source", "worker_id", "hired_at"))
            places.setdefault((*key, line.cells.get("spell") or "1"), []).append(line.number)
    twice = {number: found for found in places.values() if len(found) > 1 for number in found}
    return [
        SheetLine(
            line.number,
            line.cells,
            (
                *line.problems,
                f"lines {_listed(twice[line.number])} are about one worker: say it in one line",
            ),
        )
        if line.number in twice
        else line
        for line in lines
    ]


def _listed(numbers: Sequence[int]) -> str:
    shown = [str(number) for number in numbers[:5]]
    more = len(numbers) - len(shown)
    return (
        f"{', '.join(shown)} and {more} more"
        if more
        else " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    )
