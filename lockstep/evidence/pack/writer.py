"""Second half of a pack: from what the ledger says to the finished archive.

Stages in this order: `survey` finds the leavers and draws the sample; `add_case` takes the entries
of each, `people` who they are; `write` puts everything together. Nothing here reads a clock or a
random number: the same ledger, head and scope give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from lockstep.evidence.format.notes import Signer
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.archive import Archive, Part, Spool, digest_of
from lockstep.evidence.pack.cases.document import RawEntries
from lockstep.evidence.pack.cases.files import CaseFiles
from lockstep.evidence.pack.ipe import sheets
from lockstep.evidence.pack.model import PackSummary
from lockstep.evidence.pack.people.people import PeopleFile
from lockstep.evidence.pack.people.population_files import PopulationFiles
from lockstep.evidence.pack.print.readme import readme
from lockstep.evidence.pack.print.workbook import write_workbook
from lockstep.evidence.pack.reading import Basis, LedgerRead
from lockstep.evidence.pack.reconcile import Reconciliation
from lockstep.evidence.pack.scores import pack_scores
from lockstep.evidence.pack.standards.controls import mapping_csv
from lockstep.evidence.pack.standards.oscal import assessment_results
from lockstep.evidence.pack.statement import sealed_statement
from lockstep.evidence.pack.text_files import json_bytes

Source = bytes | Part

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DER_SEQUENCE = b"\x30"
_SHORT_FORM = 0x80


@dataclass(frozen=True, slots=True)
class Outside:
    """What comes from beside the ledger.

    Args:
        receipts: what anchors answered for the head, by anchor.
        hand_overs: members ``from``, ``to`` and ``signature`` of each hand-over, oldest first.
        events: the counts of events from HR.
    """

    receipts: Mapping[str, bytes]
    hand_overs: Sequence[Mapping[str, str]]
    events: Reconciliation


class PackWriter:
    """One pack in the making; `close` lets go of what waits on the disk."""

    def __init__(self, read: LedgerRead, basis: Basis) -> None:
        self._read = read
        self._basis = basis
        self._stack = ExitStack()
        self._files = PopulationFiles(read, basis)
        self._stack.callback(self._files.close)
        self._cases = CaseFiles(read, basis)
        self._stack.callback(self._cases.close)
        self._counted: frozenset[str] = frozenset()
        self._shown: frozenset[str] = frozenset()
        self._in_full: frozenset[str] = frozenset()
        self.people = PeopleFile(read, basis) if basis.scope.identified else None
        if self.people is not None:
            self._stack.callback(self.people.close)

    def survey(self) -> list[str]:
        """Find the leavers and draw the sample; the cases for `add_case`, in order."""
        self._files.survey()
        self._counted = frozenset(self._files.population)
        self._shown = frozenset(self._files.shown)
        self._in_full = (
            self._counted
            if len(self._counted) <= layout.MAX_EVENT_LEAVERS
            else self._counted & self._shown
        )
        is_whole = self._basis.scope.case_id is None
        return self._files.population if is_whole else self._files.shown

    @property
    def cases(self) -> set[str]:
        """All cases of the pack, counted or not."""
        return self._files.cases

    def close(self) -> None:
        self._stack.close()

    def needs_entries(self, case_id: str) -> bool:
        """Whether more is said of a case than follows from its facts."""
        return case_id in self._in_full or case_id in self._shown

    def add_case(self, case_id: str, entries: RawEntries) -> None:
        """Take the entries of the next case that `survey` named; none if it needs none."""
        self._cases.add(
            case_id,
            entries,
            is_counted=case_id in self._counted,
            is_shown=case_id in self._shown,
        )

    def write(self, out: BinaryIO, outside: Outside, signer: Signer) -> PackSummary:
        """Write the archive; what it claims."""
        summary = self._summary(outside.events)
        sources = {
            **self._ledger(outside),
            **self._policies(),
            **self._files.parts(),
            **self._cases.parts(),
            layout.SCORE: json_bytes(summary.score),
            layout.PERIOD_SCORE: json_bytes(summary.period_score),
            layout.MAPPING: mapping_csv(),
            layout.WORKBOOK: self._workbook(summary, outside.events),
        }
        if self.people is not None:
            sources |= self.people.parts()
        sources[layout.OSCAL] = self._oscal(summary, sources)
        sources[layout.README] = readme(
            summary, sources.keys(), window_days=self._read.definition.window_days
        )
        with Archive(out, self._basis.tick) as archive:
            for name in sorted(sources):
                archive.add(name, sources[name])
            archive.add(layout.STATEMENT, sealed_statement(summary, archive.digests, signer))
        return summary

    def _summary(self, events: Reconciliation) -> PackSummary:
        scope, read, files = self._basis.scope, self._read, self._files
        withheld = self._basis.head.size - read.disclosed
        official, period, _ = pack_scores(read.history, read.definition, scope, withheld=withheld)
        counts = {
            "leaves": self._basis.head.size,
            "entries_disclosed": read.disclosed,
            "leavers": files.leavers.rows,
            "leaver_systems": files.systems.rows,
            "not_in_population": files.excluded.rows,
            "samples": len(files.shown),
            "leavers_with_events": len(self._in_full),
            **events.counts(),
        }
        return PackSummary(
            scope=scope,
            tool_version=self._basis.tool_version,
            size=self._basis.head.size,
            root=self._basis.head.root.hex(),
            counts=counts,
            policies=list(files.policies),
            metric=read.definition.digest,
            score=official,
            period_score=period,
        )

    def _ledger(self, outside: Outside) -> dict[str, Source]:
        notes = layout.NOTE_SEPARATOR.join(head.note for head in self._basis.earlier)
        files: dict[str, Source] = {
            layout.CHECKPOINT: self._basis.head.note.encode(),
            layout.CHECKPOINTS: notes.encode(),
            layout.ENTRIES: self._read.entries.whole(),
            layout.CONSISTENCY: json_bytes(self._read.consistency),
            layout.KEYS: json_bytes(outside.hand_overs),
        }
        for anchor, receipt in outside.receipts.items():
            name = layout.receipt_name(anchor, is_timestamp=_is_der(receipt))
            files[name] = receipt
        return files

    def _policies(self) -> dict[str, Source]:
        definition = self._read.definition
        files: dict[str, Source] = {
            layout.policy_name(digest): plain_bytes(document)
            for digest, document in self._files.policies.items()
        }
        files[layout.metric_name(definition.digest)] = definition.canonical()
        return files

    def _workbook(self, summary: PackSummary, events: Reconciliation) -> Part:
        spool = Spool(self._basis.folder)
        self._stack.callback(spool.close)
        write_workbook(
            spool.file,
            sheets(summary, self._files, events),
            created=_EPOCH + timedelta(milliseconds=summary.scope.as_of),
            folder=self._basis.folder,
            tick=self._basis.tick,
        )
        return spool.whole()

    def _oscal(self, summary: PackSummary, sources: Mapping[str, Source]) -> bytes:
        digests = {name: digest_of(source) for name, source in sources.items()}
        results: dict[str, Any] = assessment_results(summary, self._files.lines(), digests)
        return json_bytes(results)


def _is_der(receipt: bytes) -> bool:
    """Whether this is one DER sequence, as an RFC 3161 response is, and not text."""
    if receipt[:1] != _DER_SEQUENCE or len(receipt) < 2:  # noqa: PLR2004
        return False
    first = receipt[1]
    if first < _SHORT_FORM:
        return len(receipt) == 2 + first
    width = first - _SHORT_FORM
    return len(receipt) == 2 + width + int.from_bytes(receipt[2 : 2 + width], "big")
