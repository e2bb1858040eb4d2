"""The population as a spreadsheet: text in cells, never a formula; row by row to the disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

# The library carries no types.
from xlsxwriter import Workbook  # type: ignore[import-untyped]
from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

from lockstep.evidence.pack.archive import Tick

MAX_ROWS = 1_048_575
"""Below the header; the format ends at row 1,048,576."""

_WIDEST = 44
_PAD = 3
_TICK_ROWS = 500
_OPTIONS = {
    "constant_memory": True,
    "use_zip64": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet; further ones of the same name and a number follow where it is full.

    ``numbers`` are the columns of whole numbers, so that a reader can add them up.
    """

    name: str
    header: Sequence[str]
    rows: Iterable[Sequence[str]]
    numbers: Collection[str] = ()


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
        self._bold = book.add_format({"bold": True})

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
        page.freeze_panes(1, 0)
        numbers = [title in sheet.numbers for title in sheet.header]
        for column, title in enumerate(sheet.header):
            page.set_column(column, column, min(_WIDEST, len(title) + _PAD))
            page.write_string(0, column, title, self._bold)
        for at, row in enumerate(islice(rows, MAX_ROWS), start=1):
            if not at % _TICK_ROWS:
                self._tick()
            for column, text in enumerate(row):
                if text and numbers[column]:
                    page.write_number(at, column, int(text))
                elif text:
                    page.write_string(at, column, text)
        following = next(rows, None)
        return None if following is None else chain([following], rows)
