"""A file of leavers: what only wraps the values is understood, what mangles them is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.intake.sheets import LONGEST_LINE, MOST_LINES, SheetLine, read_sheet

HEAD = "worker_id,name,emails,kind,zone,last_working_day"
GOOD = "W-1,Ana,ana@example.com,voluntary,Asia/Manila,2027-01-05"


def sheet(*lines: str, head: str = HEAD) -> bytes:
    return "\r\n".join([head, *lines, ""]).encode()


def problems(raw: bytes) -> dict[int, str]:
    """By line, what is wrong with it."""
    return {line.number: "; ".join(line.problems) for line in read_sheet(raw) if line.problems}


def cells(raw: bytes) -> list[dict[str, str]]:
    found = read_sheet(raw)
    assert [line.problems for line in found] == [()] * len(found)
    return [line.cells for line in found if not line.is_empty]


PLAIN = cells(sheet(GOOD))


@pytest.mark.parametrize(
    "raw",
    [
        sheet(GOOD),
        b"\xef\xbb\xbf" + sheet(GOOD),
        sheet(GOOD).decode().encode("utf-16"),
        sheet(GOOD).decode().encode("utf-16-le"),
        sheet(GOOD).decode().encode("utf-16-be"),
        sheet(GOOD).replace(b",", b";"),
        sheet(GOOD).replace(b",", b"\t"),
        b"sep=;\r\n" + sheet(GOOD).replace(b",", b";"),
        sheet(GOOD).replace(b"\r\n", b"\n"),
        sheet(GOOD).replace(b"\r\n", b"\r"),
        sheet(GOOD, head="Worker ID, Name ,E-Mails".replace("E-Mails", "emails") + HEAD[21:]),
        sheet(GOOD + ",,", head=HEAD + ",,"),
        b"\r\n,,,,,\r\n" + sheet(GOOD),
        sheet(GOOD.replace("Ana", '"Ana"')),
        sheet(GOOD, "", ",,,,,", ""),
    ],
)
def test_what_only_wraps_the_values_is_understood(raw: bytes) -> None:
    """Whatever a spreadsheet saves as CSV, the cells are the same."""
    assert cells(raw) == PLAIN


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("worker_id", "1.2E+11", "rounded"),
        ("worker_id", "1,20E+11", "rounded"),
        ("worker_id", "#N/A", "spreadsheet's error"),
        ("emails", "#REF!", "spreadsheet's error"),
        ("name", "########", "spreadsheet's error"),
        ("worker_id", "TRUE", "truth value"),
        ("worker_id", "'007", "begins with '"),
        ("worker_id", "=A1", "begins with ="),
        ("worker_id", "10442.0", "decimals"),
        ("worker_id", "n/a", "stands for nothing"),
        ("last_working_day", "45992", "write 2025-12-01"),
        ("emails", "a@x.com;#N/A", "spreadsheet's error"),
    ],
)
def test_what_a_spreadsheet_has_mangled_is_named(column: str, cell: str, says: str) -> None:
    """Nobody can know what stood there; the line and the column are told."""
    row = dict(zip(HEAD.split(","), GOOD.split(","), strict=True)) | {column: cell}
    quoted = ",".join(f'"{each}"' for each in row.values())
    found = problems(sheet(GOOD.replace("W-1", "W-0"), quoted))
    assert set(found) == {3}
    assert found[3].startswith(f"{column}: ")
    assert says in found[3]


def test_a_cell_that_looks_like_a_mark_elsewhere_is_a_value() -> None:
    """A name may begin with an apostrophe, and a worker may be called 12E5 or TRUE-1."""
    rows = [
        GOOD.replace("Ana", "'Aziz"),
        GOOD.replace("W-1", "12E5"),
        GOOD.replace("W-1", "TRUE-1"),
    ]
    assert problems(sheet(*rows)) == {}


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (HEAD + ",emails", "the column emails stands twice: columns 3 and 7"),
        (HEAD + ",Emails ", "the column emails stands twice"),
        (HEAD + ",e_mail", "unknown column 'e_mail'; did you mean emails?"),
        (HEAD + ",colour", "unknown column 'colour'; known are"),
        (HEAD.replace("kind,", ""), "missing column kind"),
        (HEAD.replace("name,", ","), "column 2 has no name"),
        (GOOD, "this is no header"),
        ('worker_id,"name', "a quote is opened and not closed"),
    ],
)
def test_a_header_that_is_none_is_told_at_its_line(head: str, says: str) -> None:
    """Nothing of such a file is taken: a column could mean something else."""
    found = problems(sheet(GOOD, head=head))
    assert set(found) == {1}
    assert says in found[1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (GOOD + ",x", "7 cells where the header has 6: is a value with a comma"),
        ("W-2,Ana", "2 cells where the header has 6"),
        (GOOD.replace("Ana", '"Ana'), "a quote is opened and not closed"),
        (GOOD.replace("Ana", '"A"na"x"'), "cannot be read"),
        (GOOD.replace("Ana", "A" * LONGEST_LINE), "more than 10,000 characters"),
        (GOOD.replace("Ana", "A\0"), "NUL"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_line(line: str, says: str) -> None:
    """What comes after it is read: nothing is swallowed, and every line is told."""
    found = read_sheet(sheet(line, GOOD))
    assert [each.number for each in found] == [2, 3]
    assert says in found[0].problems[0]
    assert found[1].problems == ()


def test_two_lines_of_one_worker_are_both_named() -> None:
    """The later does not win, and the earlier is not dropped; another employment is another."""
    other = GOOD.replace("W-1", "W-2")
    assert problems(sheet(GOOD, other, GOOD.replace("2027", "2028"))) == {
        2: "lines 2 and 4 are about one worker: say it in one line",
        4: "lines 2 and 4 are about one worker: say it in one line",
    }
    spells = [f"{GOOD},{number}" for number in (1, 2)]
    assert problems(sheet(*spells, head=HEAD + ",spell")) == {}


def test_an_empty_line_says_nothing_and_is_counted() -> None:
    """Lines are numbered as an editor numbers them."""
    found = read_sheet(sheet(GOOD, ",,,,,", GOOD.replace("W-1", "W-2")))
    assert [(each.number, each.is_empty) for each in found] == [(2, False), (3, True), (4, False)]


@pytest.mark.parametrize(
    ("raw", "line", "says"),
    [
        (b"", 1, "empty"),
        (b"\r\n,,,\r\n", 1, "empty"),
        (sheet(), 1, "no leaver"),
        (sheet(",,,,,"), 1, "no leaver"),
        (sheet(GOOD, GOOD.replace("Ana", "Jos\xe9")).decode().encode("latin-1"), 3, "0xE9 is not"),
        (sheet(GOOD).decode().encode("utf-16")[:-1], None, "cut in two"),
        (sheet(GOOD).decode().encode("utf-32"), 1, "UTF-32"),
        (sheet(*[GOOD] * (MOST_LINES + 1)), MOST_LINES + 2, "more than 10,000 lines"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(raw: bytes, line: int | None, says: str) -> None:
    """Nothing of it is taken."""
    [(number, why)] = problems(raw).items()
    assert line in {None, number}
    assert says in why


def test_a_reader_may_take_fewer_lines() -> None:
    """A page shows fewer than a command takes."""
    raw = sheet(GOOD, GOOD.replace("W-1", "W-2"))
    [line] = read_sheet(raw, most_lines=1)
    assert "more than 1 lines" in line.problems[0]
    assert len(read_sheet(raw, most_lines=2)) == 2


@given(st.binary(max_size=300) | st.text(max_size=200).map(sheet))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    """Every file has lines or problems, each with a number."""
    found = read_sheet(raw)
    assert found
    assert all(isinstance(line, SheetLine) and line.number > 0 for line in found)
