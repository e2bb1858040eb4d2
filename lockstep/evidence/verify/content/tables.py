"""The population files against the rows that follow from the entries, cell by cell."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lockstep.evidence.pack.text_files import Row, cell_text, csv_line
from lockstep.evidence.verify.report import MAX_DETAILS, RefutedError, shown
from lockstep.evidence.verify.zip.archive import Archive

Rank = tuple[int, int]
"""Where a row belongs: the case's first leaf, then its place among the rows of the case."""

Ranker = Callable[[Sequence[str]], Rank | None]
"""The place of a row of the file; None if no row of that case and name follows from entries."""


class Table(NamedTuple):
    """One file: its name, its columns, and how many of them, from the left, name a row."""

    file: str
    columns: tuple[str, ...]
    named_by: int


def read_rows(archive: Archive, table: Table) -> Iterator[list[str]]:
    """The rows of a CSV file under its head.

    Raises:
        RefutedError: if it is no such CSV, or is spelled in another way than the format spells it.
    """
    found: list[bytes] = []
    try:
        rows = csv.reader(_text_lines(archive, table.file, found), strict=True)
        head = next(rows, None)
        if head != list(table.columns):
            raise RefutedError(f"{table.file} has other columns than such a file has")
        _check_form(table, head, found)
        for row in rows:
            if len(row) != len(table.columns):
                raise RefutedError(f"{table.file} has a row with more or fewer cells than columns")
            _check_form(table, row, found)
            yield row
    except csv.Error:
        raise RefutedError(f"{table.file} cannot be read as CSV") from None


def check_form(archive: Archive, table: Table) -> None:
    """Read a whole file for its form alone: what it says does not follow from the entries.

    Raises:
        RefutedError: as `read_rows`.
    """
    for _ in read_rows(archive, table):
        pass


def _check_form(table: Table, row: Sequence[str], found: list[bytes]) -> None:
    """The bytes that a row was read from are those that it is written in; they are let go."""
    if b"".join(found) != csv_line(row):
        raise RefutedError(f"{table.file} is not in the form that such a file has")
    found.clear()


def _text_lines(archive: Archive, name: str, found: list[bytes]) -> Iterator[str]:
    for line in archive.lines(name):
        found.append(line + b"\n")
        try:
            yield line.decode() + "\n"
        except UnicodeDecodeError:
            raise RefutedError(f"{name} is not in UTF-8") from None


class Comparison:
    """Goes through one file while the expected rows are told in their order.

    Differences are collected, up to a bound; then the rest of the file is left unread.
    """

    def __init__(self, archive: Archive, table: Table, ranker: Ranker) -> None:
        self._table = table
        self._rows = read_rows(archive, table)
        self._ranker = ranker
        self._next: list[str] | None = None
        self._is_over = False
        self.rows = 0
        self.problems: list[str] = []
        self._advance()

    def expect(self, row: Row, rank: Rank) -> None:
        """The next row that the file must have."""
        self.rows += 1
        cells = [cell_text(row[column]) for column in self._table.columns]
        if self._next == cells:
            self._advance()
        elif not self._is_over:
            self._differ(cells, rank)

    def finish(self) -> None:
        """The file must end here."""
        while self._next is not None and not self._is_over:
            self._complain(f"{self._name(self._next)} does not follow from the entries")
            self._advance()

    def _differ(self, cells: list[str], rank: Rank) -> None:
        while self._next is not None and not self._is_over:
            found = self._ranker(self._next)
            if found == rank:
                self._compare(self._next, cells)
                self._advance()
                return
            if found is not None and found > rank:
                break
            self._complain(f"{self._name(self._next)} does not follow from the entries")
            self._advance()
        self._complain(f"{self._name(cells)} is missing")

    def _compare(self, found: list[str], cells: list[str]) -> None:
        for column, there, here in zip(self._table.columns, found, cells, strict=True):
            if there != here:
                self._complain(
                    f"{self._name(cells)}: {column} is {shown(there) or 'empty'},"
                    f" the entries give {shown(here) or 'empty'}"
                )

    def _advance(self) -> None:
        self._next = None if self._is_over else next(self._rows, None)

    def _name(self, cells: Sequence[str]) -> str:
        named = " ".join(shown(cell) for cell in cells[: self._table.named_by] if cell)
        return f"{self._table.file}: {named}"

    def _complain(self, problem: str) -> None:
        if len(self.problems) < MAX_DETAILS:
            self.problems.append(problem)
        else:
            self._is_over = True
