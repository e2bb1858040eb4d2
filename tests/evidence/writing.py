"""Packs of dictated ledgers, made by the product's own reader and writer; no database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.evidence.format.merkle import root_of
from lockstep.evidence.pack.model import PackScope, PackSummary
from lockstep.evidence.pack.reading import Basis, LedgerReader, SignedHead
from lockstep.evidence.pack.reconcile import Reconciliation
from lockstep.evidence.pack.writer import Outside, PackWriter
from tests.evidence.ledgers import Book

_BATCH = 500


@dataclass(frozen=True)
class Row:
    """One leaf as storage gives it."""

    index: int
    body: bytes
    leaf_hash: bytes
    case_id: str | None
    kind: str


def rows_of(book: Book) -> Iterator[Row]:
    for index, (body, digest) in enumerate(zip(book.entries, book.leaves(), strict=True)):
        entry = json.loads(body)
        yield Row(index, body, digest, entry.get("case"), entry["kind"])


def write_pack(book: Book, scope: PackScope, path: Path) -> PackSummary:
    """Write the pack of a whole ledger; what it claims."""
    note = book.checkpoint()
    rows = list(rows_of(book))
    head = SignedHead(len(rows), root_of(book.leaves()), note)
    basis = Basis(scope, head, (), None, "test", path.parent)
    reader = LedgerReader(basis)
    for first in range(0, len(rows), _BATCH):
        reader.add(rows[first : first + _BATCH])
    read = reader.finish()
    writer = PackWriter(read, basis)
    try:
        _tell(writer, rows)
        outside = Outside({}, [], Reconciliation(writer.cases, is_full=True))
        with path.open("w+b") as file:
            return writer.write(file, outside, book.signer)
    finally:
        writer.close()
        reader.close()


def _tell(writer: PackWriter, rows: Sequence[Row]) -> None:
    entries: dict[str, list[tuple[int, bytes]]] = {}
    for row in rows:
        if row.case_id is not None:
            entries.setdefault(row.case_id, []).append((row.index, row.body))
    for case_id in writer.survey():
        needed = writer.needs_entries(case_id)
        writer.add_case(case_id, entries[case_id] if needed else ())
