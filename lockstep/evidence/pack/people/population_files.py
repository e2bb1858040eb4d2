"""The population's files, written in one pass over the cases, and who is shown in detail."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.archive import Part, Spool
from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.people.columns import (
    EXCEPTION_COLUMNS,
    EXCLUDED_COLUMNS,
    LEAVER_COLUMNS,
    POLICY_SYSTEM_COLUMNS,
    SAMPLE_COLUMNS,
    SYSTEM_COLUMNS,
)
from lockstep.evidence.pack.people.draw import draw_sample, sample_rows
from lockstep.evidence.pack.people.population import case_rows, in_scope, policy_system_rows
from lockstep.evidence.pack.print.workbook import Sheet
from lockstep.evidence.pack.reading import Basis, LedgerRead
from lockstep.evidence.pack.text_files import Row, csv_head, csv_row
from lockstep.scorecard.metric import judge

_TICK_CASES = 200
_NUMBERS = frozenset(
    {
        "accounts",
        "exposure_account_ms",
        "hr_lag_ms",
        "late_ms",
        "late_seconds",
        "ledger_index",
        "open_items",
        "openings",
        "operational_ms",
        "sla_contract_end_s",
        "sla_involuntary_s",
        "sla_ms",
        "sla_voluntary_s",
        "time_to_revocation_ms",
    }
)
"""Columns that hold whole numbers."""
_DATES = frozenset(
    {
        "due_at",
        "effective_end_utc",
        "first_action_utc",
        "first_attempt_at",
        "hr_recorded_at",
        "last_verified_utc",
        "off_at",
        "read_back_at",
        "received_at",
        "scored_cutoff_utc",
        "waived_until",
    }
)
"""Columns that hold instants."""


def line_of(read: LedgerRead, case_id: str, as_of: int) -> CaseLine:
    """A case as it stands at ``as_of``. Made anew each time: all at once would fill the memory."""
    facts = read.counting.of(read.history.cases[case_id], as_of)
    result = judge(facts, read.definition, as_of)
    return CaseLine(facts, result, read.openings[case_id].hex())


class Table:
    """A CSV file that grows row by row."""

    def __init__(self, spool: Spool, columns: Sequence[str]) -> None:
        self._spool = spool
        self._columns = columns
        self.rows = 0
        spool.write(csv_head(columns))

    def add(self, row: Row) -> None:
        self._spool.write(csv_row(self._columns, row))
        self.rows += 1

    def part(self) -> Part:
        return self._spool.whole()

    def sheet(self, name: str) -> Sheet:
        """The same rows for the workbook, read back from the disk."""
        return Sheet(name, self._columns, self._read_back(), _NUMBERS, _DATES)

    def _read_back(self) -> Iterator[list[str]]:
        self._spool.file.seek(0)
        text = io.TextIOWrapper(self._spool.file, encoding="utf-8", newline="")
        try:
            rows = csv.reader(text)
            next(rows)
            yield from rows
        finally:
            text.detach()

    def close(self) -> None:
        self._spool.close()


class PopulationFiles:
    """The files of the population; empty until `survey`."""

    def __init__(self, read: LedgerRead, basis: Basis) -> None:
        self._read = read
        self._scope = basis.scope
        self._tick = basis.tick
        self.leavers = Table(Spool(basis.folder), LEAVER_COLUMNS)
        self.systems = Table(Spool(basis.folder), SYSTEM_COLUMNS)
        self.exceptions = Table(Spool(basis.folder), EXCEPTION_COLUMNS)
        self.excluded = Table(Spool(basis.folder), EXCLUDED_COLUMNS)
        self.scope_systems = Table(Spool(basis.folder), POLICY_SYSTEM_COLUMNS)
        self.sample = Table(Spool(basis.folder), SAMPLE_COLUMNS)
        self.population: list[str] = []
        """Ids of the leavers that count, in the files' order."""
        self.cases: set[str] = set()
        """Ids of all cases of the files, counted or not."""
        self.policies: dict[str, Mapping[str, Any]] = {}
        """Documents of the policies that cases of the ledger are pinned to, by digest."""
        self.shown: list[str] = []
        """Ids of the leavers that are shown in detail."""

    def survey(self) -> None:
        """Write the files in one pass over the cases, in the order of their first entries."""
        pinned: set[str] = set()
        for number, case_id in enumerate(self._read.history.cases):
            if not number % _TICK_CASES:
                self._tick()
            pinned.add(self._add(case_id))
        adopted = self._read.history.policies
        for digest in sorted(pinned & adopted.keys()):
            self.policies[digest] = adopted[digest]
            for row in policy_system_rows(digest, adopted[digest]):
                self.scope_systems.add(row)
        self.shown = self._draw()

    def close(self) -> None:
        """Let go of what waits on the disk."""
        for table in self._tables():
            table.close()

    def parts(self) -> dict[str, Part]:
        """The files by name."""
        return {
            layout.LEAVERS: self.leavers.part(),
            layout.LEAVER_SYSTEMS: self.systems.part(),
            layout.EXCEPTIONS: self.exceptions.part(),
            layout.NOT_IN_POPULATION: self.excluded.part(),
            layout.SYSTEMS: self.scope_systems.part(),
            layout.SAMPLE: self.sample.part(),
        }

    def lines(self) -> Iterator[CaseLine]:
        """The leavers that count, one after the other."""
        return (line_of(self._read, case_id, self._scope.as_of) for case_id in self.population)

    def _tables(self) -> tuple[Table, ...]:
        return (
            self.leavers,
            self.systems,
            self.exceptions,
            self.excluded,
            self.scope_systems,
            self.sample,
        )

    def _add(self, case_id: str) -> str:
        """Write one case's rows; the digest of its policy."""
        line = line_of(self._read, case_id, self._scope.as_of)
        if not in_scope(line.facts, self._scope):
            return line.facts.policy
        rows = case_rows(line, self._scope)
        if rows.leaver is not None:
            self.leavers.add(rows.leaver)
            self.population.append(case_id)
            self.cases.add(case_id)
        for row in rows.systems:
            self.systems.add(row)
        for row in rows.exceptions:
            self.exceptions.add(row)
        if rows.excluded is not None:
            self.excluded.add(rows.excluded)
            self.cases.add(case_id)
        return line.facts.policy

    def _draw(self) -> list[str]:
        scope = self._scope
        if scope.case_id is not None:
            self.cases.add(scope.case_id)  # shown also where the period has nothing to do with it
            return [scope.case_id]
        drawn = draw_sample(self.population, scope.sample_n, scope.seed)
        for row in sample_rows(drawn, scope.sample_n, scope.seed):
            self.sample.add(row)
        return drawn
