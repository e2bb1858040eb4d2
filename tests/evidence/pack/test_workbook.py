"""The workbook: the rows of the CSV files, in cells that are never formulas."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest

from lockstep.evidence.pack.print import workbook
from lockstep.evidence.pack.print.workbook import Sheet, write_workbook

CREATED = datetime(2026, 10, 1, 6, tzinfo=UTC)
NASTY = ("=1+1", "+SUM(A1)", "-2", "@x", "\tx", "http://evil.example.com", "{=1}", "'", "a\x00b")


def written(folder: Path, *sheets: Sheet, tick=lambda: None) -> bytes:
    out = io.BytesIO()
    write_workbook(out, sheets, created=CREATED, folder=folder, tick=tick)
    return out.getvalue()


def test_no_cell_is_ever_a_formula_or_a_link(tmp_path):
    """Whatever a partner or a site is called, a spreadsheet shows it and does nothing."""
    raw = written(tmp_path, Sheet("One", ("a", "b"), [(text, "x") for text in NASTY]))
    page = openpyxl.load_workbook(io.BytesIO(raw))["One"]
    cells = [row[0] for row in page.iter_rows(min_row=2)]

    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells[:5]] == list(NASTY[:5])
    assert all(cell.hyperlink is None for cell in cells)
    with ZipFile(io.BytesIO(raw)) as archive:
        parts = b"".join(archive.read(name) for name in archive.namelist())
    assert b"<f>" not in parts


def test_columns_of_numbers_can_be_added_up(tmp_path):
    """And what only looks like a number stays the text that it is."""
    sheet = Sheet("One", ("late_ms", "seed"), [("12", "007"), ("", "")], numbers={"late_ms"})
    page = openpyxl.load_workbook(io.BytesIO(written(tmp_path, sheet)))["One"]
    assert [[cell.value for cell in row] for row in page.iter_rows(min_row=2)] == [[12, "007"]]


def test_instants_are_dates_with_their_zone(tmp_path):
    """They can be sorted, filtered and reckoned with; what is no instant stays text."""
    rows = [("2026-10-01T06:00:00.123Z", "2026-10-01T06:00:00Z"), ("", "x"), ("pending", "y")]
    sheet = Sheet("One", ("due_at", "note"), rows, dates={"due_at"})
    page = openpyxl.load_workbook(io.BytesIO(written(tmp_path, sheet)))["One"]
    assert page["A2"].value == datetime(2026, 10, 1, 6, 0, 0, 123000)  # noqa: DTZ001 - as cells are
    assert page["A2"].number_format.endswith('"Z"')
    assert (page["A4"].value, page["B2"].value) == ("pending", "2026-10-01T06:00:00Z")


def test_a_table_can_be_filtered_and_printed(tmp_path):
    """Filters and frozen titles on the screen; landscape, whole width and titles on paper."""
    raw = written(tmp_path, Sheet("One", ("id", "b"), [("c1", "x" * 100)] * 3))
    page = openpyxl.load_workbook(io.BytesIO(raw))["One"]
    assert page.auto_filter.ref == "A1:B4"
    assert page.freeze_panes == "B2"
    assert (page.page_setup.orientation, page.page_setup.fitToHeight) == ("landscape", 0)
    assert page.page_setup.fitToWidth in {None, 1}, "one is the default"
    assert page.print_title_rows == "$1:$1"
    assert page.print_area == "'One'!$A$1:$B$4"
    assert page.row_dimensions[2].height == 45, "a text of three lines is not cut"


def test_a_page_to_read_is_wrapped_and_not_cut(tmp_path):
    """Its columns are as wide as it says, and long texts go on below."""
    sheet = Sheet("One", ("what", "value"), [("Query", "word " * 60)], widths=(20, 60))
    page = openpyxl.load_workbook(io.BytesIO(written(tmp_path, sheet)))["One"]
    assert page["B2"].alignment.wrap_text
    assert 60 <= page.column_dimensions["B"].width < 62
    assert page.auto_filter.ref is None


def test_the_same_rows_give_the_same_bytes(tmp_path, monkeypatch):
    """Wherever they are packed, and whatever time zone the machine is in."""
    rows = [(str(number), "x") for number in range(2000)]
    first = written(tmp_path, Sheet("One", ("a", "b"), rows))
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("TZ", "Asia/Manila")
    assert written(other, Sheet("One", ("a", "b"), rows)) == first
    assert list(other.iterdir()) == []


def test_a_full_sheet_goes_on_in_another(tmp_path, monkeypatch):
    """The format has a last row; the population may have more."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    raw = written(tmp_path, Sheet("Many", ("n",), ((str(n),) for n in range(7))))
    book = openpyxl.load_workbook(io.BytesIO(raw))

    assert book.sheetnames == ["Many", "Many 2", "Many 3"]
    values = [[row[0].value for row in page.iter_rows()] for page in book]
    assert values == [["n", "0", "1", "2"], ["n", "3", "4", "5"], ["n", "6"]]


def test_a_sheet_that_is_just_full_has_no_empty_follower(tmp_path, monkeypatch):
    """The last row fits."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    raw = written(tmp_path, Sheet("Many", ("n",), ((str(n),) for n in range(3))))
    assert openpyxl.load_workbook(io.BytesIO(raw)).sheetnames == ["Many"]


def test_a_workbook_that_must_stop_leaves_nothing(tmp_path):
    """Rows that wait on the disk go with it."""

    def tick() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        written(tmp_path, Sheet("One", ("n",), ((str(n),) for n in range(5000))), tick=tick)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_told(tmp_path):
    """As the error that every other file gives."""

    class Full(io.BytesIO):
        is_full = True

        def write(self, data: bytes) -> int:
            if self.is_full:
                self.is_full = False  # the library tries again when its archive is thrown away
                raise OSError(28, "No space left on device")
            return super().write(data)

    out = Full()
    sheets = [Sheet("One", ("n",), [])]
    with pytest.raises(OSError, match="No space left") as told:
        write_workbook(out, sheets, created=CREATED, folder=tmp_path, tick=lambda: None)
    assert told.value.errno == 28
