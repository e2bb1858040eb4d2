"""The population as a spreadsheet: text in cells, never a formula; row by row to the disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

# The library carries no types.
from xlsxwriter import Workbook  # type: ignore[import-untyped]
from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

from lockstep.evidence.pack.archive import Tick

MAX_ROWS = 1_048_575
"""Below the header; the format ends at row 1,048,576."""

_WIDEST = 40
_NARROWEST = 9
_PAD = 3
_HEADER_LINES = 2
"""A long title is broken over so many lines at most, so that it does not widen its column."""
_PAGE_WIDTH = 210
"""Letters that fit on a landscape page of A4 and can still be read."""
_TICK_ROWS = 500
_A4 = 9
_LINE = 15
"""Points from one line to the next."""
_DATE = 'yyyy-mm-dd hh:mm:ss.000"Z"'
"""Z is UTC, in every cell: a date without its zone is none."""
_DATE_WIDTH = 25
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")
_FIRST = datetime(1900, 3, 1, tzinfo=UTC)
"""Before it spreadsheets count a day that never was."""
_OPTIONS = {
    "constant_memory": True,
    "use_zip64": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet; further ones of the same name and a number follow where it is full.

    Args:
        numbers: columns of whole numbers, so that a reader can add them up.
        dates: columns of instants, which become dates in UTC; other text in them stays text.
        widths: of the columns of a page that is read from top to bottom, its long texts wrapped;
            none for a table, whose columns are as wide as what stands in them and can be filtered.
    """

    name: str
    header: Sequence[str]
    rows: Iterable[Sequence[str]]
    numbers: Collection[str] = ()
    dates: Collection[str] = ()
    widths: Sequence[int] = ()


def write_workbook(
    out: BinaryIO, sheets: Iterable[Sheet], *, created: datetime, folder: Path, tick: Tick
) -> None:
    """Write ``sheets`` to ``out``, row by row.

    ``created`` stands in the document's properties, so it must not be the clock's. In ``folder``
    rows wait until they are packed. ``tick`` is called often and raises when the work must stop.

    Raises:
        OSError: if it cannot be written.
    """
    with TemporaryDirectory(dir=folder, prefix=".xlsx-", suffix=".part") as waiting:
        book = Workbook(out, {**_OPTIONS, "tmpdir": waiting})
        book.set_properties({"created": created.replace(tzinfo=None), "author": "Lockstep"})
        pages = _Pages(book, tick)
        trouble: OSError | None = None
        try:
            for sheet in sheets:
                pages.add(sheet)
            book.close()
        except FileCreateError as error:  # the library's own word for any trouble with a file
            # Without its trace, which would keep a half-written archive alive beyond its file.
            trouble = error.args[0].with_traceback(None)
        finally:
            for page in book.worksheets():
                page.row_data_fh.close()
        if trouble is not None:
            raise trouble


class _Pages:
    def __init__(self, book: Workbook, tick: Tick) -> None:
        self._book = book
        self._tick = tick
        self._title = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self._date = book.add_format({"num_format": _DATE, "align": "left", "valign": "top"})
        self._text = book.add_format({"valign": "top"})
        self._number = book.add_format({"align": "right", "indent": 1, "valign": "top"})
        self._wrapped = book.add_format({"text_wrap": True, "valign": "top"})

    def add(self, sheet: Sheet) -> None:
        rows: Iterator[Sequence[str]] | None = iter(sheet.rows)
        number = 1
        while rows is not None:
            name = sheet.name if number == 1 else f"{sheet.name} {number}"
            rows = self._fill(name, sheet, rows)
            number += 1

    def _fill(
        self, name: str, sheet: Sheet, rows: Iterator[Sequence[str]]
    ) -> Iterator[Sequence[str]] | None:
        """Fill one page; what is left of the rows, None if nothing is."""
        page = self._book.add_worksheet(name)
        kinds = [_kind(sheet, title) for title in sheet.header]
        widths = [_title_width(title) for title in sheet.header]
        for column, title in enumerate(sheet.header):
            page.write_string(0, column, title, self._title)
        last = 0
        for at, row in enumerate(islice(rows, MAX_ROWS), start=1):
            last = at
            if not at % _TICK_ROWS:
                self._tick()
            if (lines := _lines(sheet, row)) > 1:  # before its cells: they go to the disk at once
                page.set_row(at, lines * _LINE)
            for column, text in enumerate(row):
                if text:
                    width = self._write(page, at, column, text, kinds[column])
                    widths[column] = max(widths[column], width)
        self._lay_out(page, sheet, widths, last)
        following = next(rows, None)
        return None if following is None else chain([following], rows)

    def _write(self, page: Any, at: int, column: int, text: str, kind: str) -> int:
        """Write one cell; how wide it wants to be."""
        if kind == "number":
            page.write_number(at, column, int(text), self._number)
        elif kind == "date" and (moment := _moment(text)) is not None:
            page.write_datetime(at, column, moment, self._date)
            return _DATE_WIDTH
        else:
            form = self._text if kind == "text" and len(text) <= _WIDEST else self._wrapped
            page.write_string(at, column, text, form)
        return len(text) + _PAD

    def _lay_out(self, page: Any, sheet: Sheet, widths: Sequence[int], last: int) -> None:
        """How the page is seen and printed: all of it, with its titles on every sheet of paper."""
        found = sheet.widths or [min(_WIDEST, max(_NARROWEST, width)) for width in widths]
        for column, width in enumerate(found):
            page.set_column(column, column, width)
        columns = len(sheet.header)
        page.freeze_panes(1, 0 if sheet.widths else 1)
        if not sheet.widths:
            page.autofilter(0, 0, last, columns - 1)
        page.set_landscape()
        page.set_paper(_A4)
        page.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
        page.fit_to_pages(max(1, -(-sum(found) // _PAGE_WIDTH)), 0)
        page.repeat_rows(0)
        if not sheet.widths:
            page.repeat_columns(0)
        page.print_area(0, 0, last, columns - 1)
        page.set_footer("&L&A&RPage &P of &N")


def _kind(sheet: Sheet, title: str) -> str:
    if title in sheet.numbers:
        return "number"
    if title in sheet.dates:
        return "date"
    return "wrapped" if sheet.widths else "text"


def _lines(sheet: Sheet, row: Sequence[str]) -> int:
    """How many lines the longest text of a row takes; a spreadsheet does not find out by itself."""
    widths = sheet.widths or [_WIDEST] * len(row)
    return max((-(-len(text) // width) for text, width in zip(row, widths, strict=True)), default=1)


def _title_width(title: str) -> int:
    """Titles may be broken at their underscores, which a spreadsheet does not do by itself."""
    return -(-len(title) // _HEADER_LINES) + _PAD


def _moment(text: str) -> datetime | None:
    """An instant as a spreadsheet holds it, in UTC and without a zone; None for other text."""
    if not _INSTANT.fullmatch(text):
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=None) if moment >= _FIRST else None
