"""A pack against the rows, against the score as served, and against the verifier."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

import openpyxl

from lockstep.control.packs.export import Pack
from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.pack.text_files import neutral
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Level, Report, Verdict
from lockstep.scorecard.definition import DEFAULT
from tests.agreement.checks import Asked, Served, Told, same
from tests.agreement.reckoning import Document
from tests.agreement.sheets import Period, Sheets, sample_of, sheets_of
from tests.agreement.stage import Stage
from tests.support.exporting import Reader
from tests.support.ledgers import ORIGIN

SAMPLE = 2
STRANGER = FileSigner.generate(ORIGIN).verifier
"""A key of the right name, by which nothing was signed."""
_SHEETS = {
    "Leavers": "population/leavers.csv",
    "LeaverSystems": "population/leaver_systems.csv",
    "Exceptions": "population/exceptions.csv",
    "Systems in scope": "population/systems.csv",
    "Not in population": "population/not_in_population.csv",
}


async def export(stage: Stage, told: Told, asked: Asked, *, identified: bool = False) -> Pack:
    """A pack at the head that the rows were read at."""
    return await stage.packing.export(
        first=asked.first,
        last=asked.last,
        partner=asked.partner or "",
        sample=SAMPLE,
        identified=identified,
        reason="audit" if identified else "",
        checkpoint=told.size,
    )


def pack_agrees(pack: Pack, told: Told, asked: Asked, served: Served) -> None:
    """Every file with figures says what rows and served scores say."""
    read = Reader(pack.path)
    counted = pack.summary.counts
    withheld = counted["leaves"] - counted["entries_disclosed"]
    for file, wanted in (("score.json", served.official), ("period.json", served.period)):
        _score_agrees(file, read.json(f"score/{file}"), wanted, withheld)
    period = Period(asked.start, asked.end, told.as_of)
    sheets = sheets_of(told.of(asked.partner), period, told.rows)
    for name, lines in sheets.by_file.items():
        same(f"{name} and rows", read.rows(name), [_spreadsheet(line) for line in lines])
    drawn = sample_of(sheets.leavers, SAMPLE, told.root)
    same("sample", [row["case_id"] for row in read.rows("population/sample.csv")], drawn)
    for case_id in drawn:
        _detail_agrees(read.json(f"leavers/{case_id}/case.json"), case_id, sheets)
    same(
        "counts and rows",
        {name: counted[name] for name in ("leaves", "leavers", "leaver_systems")},
        {
            "leaves": told.size,
            "leavers": len(sheets.leavers),
            "leaver_systems": len(sheets.systems),
        },
    )
    cases = len(sheets.leavers) + len(sheets.excluded)
    same("cases with event", counted["cases_with_event"] + counted["cases_without_event"], cases)
    same("cases without event", counted["cases_without_event"], 0)
    same("metric", pack.summary.metric, DEFAULT.digest)


def _score_agrees(file: str, found: Document, served: Document, withheld: int) -> None:
    """The same figures; where entries are withheld, what they could be, and no name for them."""
    limits = found.pop("withheld")
    if withheld:
        same(f"{file}: withheld", limits["entries"], withheld)
        said = Fraction(served["value"] or 0)
        holds = Fraction(limits["lowest"]) <= said <= Fraction(limits["highest"])
        same(f"{file}: within its bounds", holds or served["value"] is None, right=True)
        unnamed = {"label": "partial", "reading": None, "audit_proof_allowed": False}
        same(f"{file} and served", found, {**served, **unnamed})
        return
    same(f"{file} and served", found, served)
    same(f"{file}: withheld", limits, None)


def workbook_agrees(pack: Pack, stage: Stage) -> None:
    """The spreadsheet has the same cells as the CSV files."""
    read = Reader(pack.path)
    path = stage.packing.folder / "population.xlsx"
    path.write_bytes(read.files["population/population.xlsx"])
    book = openpyxl.load_workbook(path, read_only=True)
    for sheet, name in _SHEETS.items():
        head, *cells = book[sheet].iter_rows(values_only=True)
        lines = [dict(zip(head, map(_text, row), strict=True)) for row in cells]
        same(f"sheet {sheet}", lines, read.rows(name))
    book.close()


def verifies(pack: Pack, stage: Stage, *, identified: bool = False) -> None:
    """PASS in every step that has something to check; refuted by another key."""
    report = verify_pack(pack.path, keys=stage.book.trusted())
    verdicts = {step.number: step.verdict for step in report.steps}
    expected = dict.fromkeys(range(1, 14), Verdict.PASS)
    expected[7] = Verdict.NOT_CHECKED  # nobody else vouches for a test's ledger
    if not identified:
        expected[13] = Verdict.NOT_CHECKED
    if report.caveat:
        expected[11] = Verdict.WARN
    same("verifier: remarks", _remarks(report), [])
    same("verifier: verdicts", verdicts, expected)
    same("verifier: result", (report.exit_code, report.level), (0, Level.UNANCHORED))
    refuted = verify_pack(pack.path, keys=[STRANGER])
    same("verifier: another key", (refuted.exit_code, refuted.level), (1, Level.NONE))


def _remarks(report: Report) -> list[str]:
    """What the steps that failed, or have something to say, say."""
    calm = {Verdict.PASS, Verdict.NOT_CHECKED}
    steps = [step for step in report.steps if step.verdict not in calm]
    if report.caveat:  # that a score is of a part is what a pack of a part must say
        steps = [step for step in steps if report.caveat not in step.sentence]
    return [line for step in steps for line in (step.sentence, *step.details)]


def _detail_agrees(detail: Document, case_id: str, sheets: Sheets) -> None:
    found = [*detail["systems"], *detail["exceptions"]]
    wanted = [row for row in (*sheets.systems, *sheets.exceptions) if row["case_id"] == case_id]
    [leaver] = [row for row in sheets.leavers if row["case_id"] == case_id]
    same(f"case.json of {case_id}", _texts(detail["leaver"]), leaver)
    same(f"case.json of {case_id}: rows", [_texts(row) for row in found], wanted)


def _texts(row: Document) -> dict[str, str]:
    return {name: _text(cell) for name, cell in row.items()}


def _text(cell: Any) -> str:
    if isinstance(cell, datetime):  # a date of the workbook, which is in UTC
        return cell.isoformat(timespec="milliseconds") + "Z"
    return "" if cell is None else str(cell)


def _spreadsheet(line: dict[str, str]) -> dict[str, str]:
    """Text that could be a formula has an apostrophe before it."""
    return {name: neutral(cell) for name, cell in line.items()}
