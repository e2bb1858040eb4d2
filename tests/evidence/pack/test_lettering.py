"""Names of the whole Latin, Greek and Cyrillic world on paper: readable, searchable, never lost."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path

import pdfplumber
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfbase import pdfmetrics

from lockstep.evidence.pack.cases.timeline import timeline_pdf
from lockstep.evidence.pack.print import lettering
from lockstep.evidence.pack.print.lettering import fitted, printable, runs, text_width, wrapped
from lockstep.evidence.pack.print.sheet import LEFT, RIGHT, Column, Sheet
from tests.evidence import samples
from tests.evidence.samples import CUTOFF, DAY, ms

NAMES = {
    "Vietnamese": "Công ty Đặng Thị Ánh Tuyết, TRẦN QUỐC VƯỢNG",
    "Polish": "Łódź Śródmieście, ŚWIĘTOCHŁOWICE",
    "Czech": "Kůň a ďábel Žďár, ĽUBOŠ Ďurčo",
    "Romanian": "Ștefan Țurcanu, Brăila",
    "Turkish": "Iğdır Şırnak İstanbul, ĞÜŞİÖÇ",  # noqa: RUF001 - a dotless i is meant
    "Greek": "Παπαδόπουλος Θεσσαλονίκη, ΩΔΗ",
    "Russian": "Служба № 3, Магнитогорск",
    "Ukrainian": "Марʼяна Ґалаґан, Київ",
    "Serbian": "Ђорђе Љубић, Ниш",
    "Uzbek": "Oʻzbekiston, Ўзбекистон",  # noqa: RUF001 - not a grave accent
    "Armenian": "Երևան",
    "Georgian": "თბილისი",
}
CODE_POINT = re.compile(r"\[U\+([0-9A-F]{4,6})\]")

TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from([*"".join(NAMES.values()), *"\u0300\u0323\u0301"]),
    ),
    max_size=60,
)


def timeline(partner: str, site: str = "cebu") -> bytes:
    tale = samples.named(partner, site)
    as_of = ms(CUTOFF + DAY)
    return timeline_pdf(tale.line(DAY), tale.leaves, as_of=as_of, tenant=samples.TENANT)


def sheet_of(*lines: str) -> bytes:
    """A page with a line of each text, in both weights."""
    sheet = Sheet("t", header="h", footer="f")
    for bold in (False, True):
        for line in lines:
            sheet.y -= 12
            sheet.text(LEFT, sheet.y, line, bold=bold)
    return sheet.finish()


@cache
def lines_of(raw: bytes) -> list[str]:
    with pdfplumber.open(io.BytesIO(raw)) as document:
        return document.pages[0].extract_text(y_tolerance=0.4).splitlines()


@pytest.mark.parametrize("alphabet", NAMES)
def test_a_name_is_drawn_and_can_be_searched(alphabet):
    """In both weights its letters are the text of the page, and none is a code point."""
    name = NAMES[alphabet]

    lines = lines_of(sheet_of(name))

    assert lines[:2] == [name, name]


def test_partner_and_site_are_readable_on_the_timeline():
    """What HR calls them, in any of these alphabets, stands on the first page."""
    page = lines_of(timeline("Công ty Đặng Thị Ánh Tuyết", NAMES["Ukrainian"]))

    for words in ("Partner Công ty Đặng Thị Ánh Tuyết", f"Site {NAMES['Ukrainian']}"):
        assert any(line.startswith(words) for line in page)


def test_one_line_can_hold_every_alphabet():
    """Letters of both families and of none, in their order and on one line."""
    mixed = "Acme Київ Ltd. “Łódź–Ωmega” 東 No. 3"

    assert lines_of(sheet_of(mixed))[0] == "Acme Київ Ltd. “Łódź–Ωmega” [U+6771] No. 3"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("東京", "[U+6771][U+4EAC]"),
        ("مرح", "[U+0645][U+0631][U+062D]"),
        ("אב", "[U+05D0][U+05D1]"),
        ("देव", "[U+0926][U+0947][U+0935]"),
        ("a\u202eb", "a[U+202E]b"),
        ("Ł\u00a0ż", "Ł[U+00A0]ż"),
        ("\u0301x", "[U+0301]x"),
        ("q\u0301", "q[U+0301]"),
        ("\ufa19", "[U+FA19]"),
        ("\U0001f600", "[U+1F600]"),
    ],
)
def test_what_cannot_be_drawn_right_is_a_code_point(text, shown):
    """Other scripts, what is hidden, and marks that no letter takes up: as the ledger has them."""
    assert printable(text) == shown


@pytest.mark.parametrize("alphabet", NAMES)
def test_a_letter_and_its_marks_are_one_letter(alphabet):
    """Some systems send letter and mark apart: the same name gives the same bytes."""
    name = NAMES[alphabet]

    assert sheet_of(unicodedata.normalize("NFD", name)) == sheet_of(name)


@pytest.mark.parametrize("name", NAMES.values())
def test_a_line_ends_where_it_should(name):
    """Right and middle hold for a text of several fonts too."""
    sheet = Sheet("t", header="h", footer="f")
    sheet.text(RIGHT, 300, f"a {name}", right=True)
    sheet.text(RIGHT / 2, 200, f"a {name}", middle=True)

    with pdfplumber.open(io.BytesIO(sheet.finish())) as document:
        chars = document.pages[0].chars
    right, middle = (
        [char for char in chars if abs(char["y0"] - baseline) < 5] for baseline in (300, 200)
    )

    assert right[-1]["x1"] == pytest.approx(RIGHT, abs=0.01)
    assert (middle[0]["x0"] + middle[-1]["x1"]) / 2 == pytest.approx(RIGHT / 2, abs=0.01)


def test_cells_of_a_table_wrap_in_every_alphabet():
    """No letter of a cell is lost, or stands beyond its column."""
    sheet = Sheet("t", header="h", footer="f")
    name = " · ".join(NAMES.values())
    sheet.table([Column("Имя", 90), Column("B", 60)], [(name, "x")])

    with pdfplumber.open(io.BytesIO(sheet.finish())) as document:
        cell = document.pages[0].crop((0, 0, LEFT + 90, 500))
    assert name.replace(" ", "") in "".join(cell.extract_text().split())


def test_every_letter_has_a_shape():
    """None is drawn as the empty box that fonts hold for what they lack."""
    for family in (lettering._western(), lettering._wider()):
        for font in (family.regular, family.bold):
            face = pdfmetrics.getFont(font).face
            places = {char: face.charToGlyph[ord(char)] for char in family.glyphs - {" "}}

            assert [char for char, place in places.items() if place == 0] == []
            blank = [c for c, place in places.items() if not _outline(face, place)]
            assert blank == []


def _outline(face, place: int) -> int:
    """Bytes of a letter's shape."""
    return face.glyphPos[place + 1] - face.glyphPos[place]


def test_no_letter_is_narrower_than_a_cut_line_assumes():
    """Else a long name of thin letters would be cut before its line is full."""
    thinnest = min(
        text_width(char, 1, bold=bold) for char in lettering._glyphs() for bold in (False, True)
    )

    assert thinnest >= lettering._NARROWEST


def test_another_process_gives_the_same_bytes():
    """Neither hash seeds nor what was drawn before change a document of several fonts."""
    script = (
        "import hashlib, sys; from tests.evidence.pack import test_lettering as t;"
        "[t.sheet_of(name) for name in list(t.NAMES.values())[:int(sys.argv[1])]];"
        "raw = t.sheet_of(*t.NAMES.values()) + t.timeline(t.NAMES['Polish'], t.NAMES['Greek']);"
        "sys.stdout.write(hashlib.sha256(raw).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script, drawn_before],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed, zone, drawn_before in (("1", "UTC", "0"), ("2", "Asia/Manila", "5"))
    }

    assert len(made) == 1


def test_western_documents_hold_western_fonts_only():
    """They neither grow nor change because another document needed more letters."""
    before = timeline("northwind")
    other = timeline(NAMES["Greek"])

    assert timeline("northwind") == before
    assert before.count(b"/FontFile2") == 2
    assert other.count(b"/FontFile2") == 3


def test_a_document_holds_the_letters_that_stand_in_it():
    """Subsets: a few kilobytes for a name, of fonts of 700."""
    assert len(timeline(NAMES["Vietnamese"])) < len(timeline("northwind")) + 20_000


@pytest.mark.parametrize(
    ("file", "digest"),
    [
        ("DejaVuSans.ttf", "7da195a74c55bef988d0d48f9508bd5d849425c1770dba5d7bfc6ce9ed848954"),
        ("DejaVuSans-Bold.ttf", "e6476c1b80502924294eed40894c5b18e06c181444ca953e5334262df9c27724"),
    ],
)
def test_the_fonts_are_those_of_the_release(file, digest):
    """DejaVu 2.37 as dejavu-fonts-ttf 2.37.3 has it: with other files packs get other bytes."""
    folder = Path(lettering.__file__).with_name("fonts")

    assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert "Bitstream Vera Fonts Copyright" in (folder / "LICENSE-dejavu.txt").read_text()


@given(TEXTS)
def test_no_text_fails_or_vanishes(text):
    """Every character is drawn, or stands as its code point; and what is shown stays as it is."""
    shown = printable(text)

    assert _composed(shown) == _composed(text)
    assert printable(shown) == shown
    assert "".join(part for _, part in runs(shown)) == shown
    assert text_width(shown, 8) >= 0
    sheet = Sheet(text, header=text, footer=text)
    sheet.text(LEFT, 100, text)
    sheet.next_page()
    assert sheet.finish().startswith(b"%PDF")


def _composed(text: str) -> str:
    """Code points as characters again, each letter with its marks in one spelling."""
    plain = CODE_POINT.sub(lambda found: chr(int(found[1], 16)), text)
    return unicodedata.normalize("NFC", plain)


@given(TEXTS.filter(bool), st.floats(20, 200))
def test_wrapping_loses_nothing(text, width):
    """Lines fit, and together they are the text, but for the blanks where it broke."""
    lines = wrapped(text, width, 7)

    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")
    assert all(text_width(line, 7) <= width or len(line) == 1 for line in lines)


@pytest.mark.parametrize("name", ["okta-prod", "Київ"])
def test_what_must_stay_on_one_line_ends_in_an_ellipsis(name):
    """A label that is too long is cut visibly, and quickly however long it is."""
    assert fitted(name, 100, 8) == name

    cut = fitted(name * 100_000, 100, 8)

    assert cut.endswith("…")
    assert 80 < text_width(cut, 8) <= 100
