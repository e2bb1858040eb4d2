"""Files that are made case by case from its entries: OCSF lines, and leavers in detail."""

from __future__ import annotations

import json

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.archive import Part, Spool
from lockstep.evidence.pack.cases.document import RawEntries, case_document
from lockstep.evidence.pack.cases.story import leaf_of
from lockstep.evidence.pack.cases.timeline import timeline_pdf
from lockstep.evidence.pack.people.population_files import line_of
from lockstep.evidence.pack.reading import Basis, LedgerRead
from lockstep.evidence.pack.standards.ocsf import ocsf_events
from lockstep.evidence.pack.text_files import json_bytes

_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
"""One object per line, members in order; these are the most lines of a pack by far."""


class CaseFiles:
    """Takes cases in the order of the population's files, each with all of its entries."""

    def __init__(self, read: LedgerRead, basis: Basis) -> None:
        self._read = read
        self._basis = basis
        self._events = Spool(basis.folder)
        self._details = Spool(basis.folder)
        self._parts: dict[str, Part] = {}

    def add(self, case_id: str, raw: RawEntries, *, is_counted: bool, is_shown: bool) -> None:
        """Write what there is to say of one case: if it counts, and if it is shown in detail."""
        self._basis.tick()
        scope = self._basis.scope
        line = line_of(self._read, case_id, scope.as_of)
        entries = [leaf_of(place, body) for place, body in raw]
        if is_counted:
            for event in ocsf_events(line, entries, version=scope.ocsf, tenant=scope.tenant):
                self._events.write(_LINE.encode(event).encode() + b"\n")
        if is_shown:
            drawn = timeline_pdf(line, entries, as_of=scope.as_of, tenant=scope.tenant)
            self._parts[layout.timeline_name(case_id)] = self._details.put(drawn)
            told = json_bytes(case_document(line, scope, raw))
            self._parts[layout.case_name(case_id)] = self._details.put(told)

    def parts(self) -> dict[str, Part]:
        """The files by name."""
        return {**self._parts, layout.OCSF: self._events.whole()}

    def close(self) -> None:
        """Let go of what waits on the disk."""
        self._events.close()
        self._details.close()
