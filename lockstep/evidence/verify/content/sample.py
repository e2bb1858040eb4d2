"""Step 12: who is shown in detail, and whether what is shown follows from the entries."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import zip_longest

from lockstep.evidence.format.plain import parse_canonical
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.cases.document import case_document
from lockstep.evidence.pack.people.columns import SAMPLE_COLUMNS
from lockstep.evidence.pack.people.draw import draw_sample, sample_rows
from lockstep.evidence.pack.text_files import cell_text, json_bytes
from lockstep.evidence.verify.content.figures import Lines
from lockstep.evidence.verify.content.ledger import Ledger
from lockstep.evidence.verify.content.tables import Table, read_rows
from lockstep.evidence.verify.report import MAX_DETAILS, RefutedError, shown
from lockstep.evidence.verify.statement import Statement
from lockstep.evidence.verify.zip.archive import Archive
from lockstep.scorecard.definition import Definition

_TABLE = Table(layout.SAMPLE, SAMPLE_COLUMNS, 2)
_CASE = re.compile(rb'"case":"([^"\\]*)"')
_MAX_BYTES = 96 * 1024 * 1024
"""Entries of all sampled cases together: they are held in memory."""


def check_draw(archive: Archive, statement: Statement, leavers: Collection[str]) -> list[str]:
    """The cases that must be shown in detail; sample, files and count agree with it.

    Raises:
        RefutedError: if another sample is shown than the seed draws.
    """
    scope = statement.scope
    drawn = [] if scope.case_id is not None else draw_sample(leavers, scope.sample_n, scope.seed)
    expected = [
        [cell_text(row[column]) for column in SAMPLE_COLUMNS]
        for row in sample_rows(drawn, scope.sample_n, scope.seed)
    ]
    for row, wanted in zip_longest(read_rows(archive, _TABLE), expected):
        if row != wanted:
            raise RefutedError(
                f"{layout.SAMPLE} has {_name(row)} where the seed draws {_name(wanted)}"
            )
    shown_cases = drawn if scope.case_id is None else [scope.case_id]
    files = {name for name in archive.names if name.startswith("leavers/")}
    due = {layout.case_name(case_id) for case_id in shown_cases}
    due |= {layout.timeline_name(case_id) for case_id in shown_cases}
    if files != due:
        odd = tuple(shown(name) for name in sorted(files ^ due)[:MAX_DETAILS])
        raise RefutedError("other leavers are shown in detail than were drawn", odd)
    if statement.counts.get("samples") != len(shown_cases):
        raise RefutedError("the statement counts another sample than there is")
    return shown_cases


def check_cases(
    archive: Archive,
    statement: Statement,
    ledger: Ledger,
    definition: Definition,
    wanted: Collection[str],
) -> None:
    """Every ``case.json`` is byte by byte what follows from the entries, and shows all of them.

    Raises:
        RefutedError: if one is not.
    """
    if not wanted:
        return
    entries = _entries_of(archive, frozenset(wanted))
    lines = Lines(ledger, definition, statement.scope)
    wrong = []
    for case_id in wanted:
        name = layout.case_name(case_id)
        if case_id not in ledger.history.cases:
            raise RefutedError(f"case {shown(case_id)} is not in the ledger")
        try:
            document = case_document(lines.line(case_id), statement.scope, entries[case_id])
            due = json_bytes(document)
        except (OverflowError, RecursionError):
            raise RefutedError(f"case {shown(case_id)} cannot be shown") from None
        if archive.read(name) != due:
            wrong.append(f"{name} says something else than the entries")
    if wrong:
        raise RefutedError("leavers in detail are not as recomputed", tuple(wrong[:MAX_DETAILS]))


def _entries_of(archive: Archive, wanted: frozenset[str]) -> dict[str, list[tuple[int, bytes]]]:
    """The entries of some cases; steps 5 and 9 have found them sound."""
    found: dict[str, list[tuple[int, bytes]]] = {case_id: [] for case_id in wanted}
    leaf = held = 0
    for line in archive.lines(layout.ENTRIES):
        if line.startswith(b"#"):
            leaf += 1 << int(line[1 : line.index(b" ")])
            continue
        match = _CASE.search(line)
        if match is not None and match[1].decode() in wanted:
            case_id = parse_canonical(line).get("case")
            if case_id in found:
                found[case_id].append((leaf, line))
                held += len(line)
        leaf += 1
        if held > _MAX_BYTES:
            raise RefutedError("the sampled cases have more entries than cases have")
    return found


def _name(row: list[str] | None) -> str:
    return "nobody" if row is None else shown(" ".join(row[: _TABLE.named_by]))
