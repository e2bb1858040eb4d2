"""``identified/people.csv``: who the leavers are, in a form that the ledger confirms."""

from __future__ import annotations

from typing import Protocol

from lockstep.evidence.pack.archive import Part, Spool
from lockstep.evidence.pack.population_columns import PEOPLE_COLUMNS
from lockstep.evidence.pack.population_files import Table
from lockstep.evidence.pack.reading import Basis, LedgerRead

DISCLOSED = "disclosed"
ERASED = "erased"
"""The personal data were destroyed: nobody can say any more who it was."""
UNCONFIRMED = "unconfirmed"
"""HR corrected the person after this checkpoint, so its ledger cannot confirm who it is."""


class Person(Protocol):
    """Who a leaver is, as storage discloses it."""

    @property
    def case_id(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def opening(self) -> str: ...
    @property
    def erased(self) -> bool: ...
    def answers(self, commitment: str) -> bool:
        """Whether the ledger's commitment is to this identity."""
        ...


class PeopleFile:
    """One row per leaver; only what the ledger's commitment confirms is disclosed."""

    def __init__(self, read: LedgerRead, basis: Basis) -> None:
        self._committed = read.identities
        self._table = Table(Spool(basis.folder), PEOPLE_COLUMNS)
        self.named = 0
        """How many leavers it names."""

    def add(self, person: Person) -> None:
        commitment = self._committed.get(person.case_id, "")
        state = DISCLOSED
        if person.erased:
            state = ERASED
        elif not commitment or not person.answers(commitment):
            state = UNCONFIRMED
        shown = state == DISCLOSED
        self.named += shown
        self._table.add(
            {
                "case_id": person.case_id,
                "subject": person.subject,
                "identity": person.identity if shown else "",
                "opening": person.opening if shown else "",
                "state": state,
            }
        )

    def part(self) -> Part:
        return self._table.part()

    def close(self) -> None:
        self._table.close()
