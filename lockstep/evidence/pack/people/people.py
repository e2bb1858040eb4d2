"""``identified/``: who the leavers are, to read, and in a form that the ledger confirms."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.archive import Part, Spool
from lockstep.evidence.pack.people.columns import (
    ACTOR_COLUMNS,
    COMMITMENT_COLUMNS,
    PEOPLE_COLUMNS,
)
from lockstep.evidence.pack.people.population_files import Table
from lockstep.evidence.pack.people.rows import person_row
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


class Act(Protocol):
    """What somebody did to a case, as storage tells it."""

    @property
    def case_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def what(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def by(self) -> str: ...
    @property
    def second_person(self) -> str: ...
    @property
    def decision(self) -> str: ...


class PeopleFile:
    """One row per leaver; only what the ledger's commitment confirms is disclosed."""

    def __init__(self, read: LedgerRead, basis: Basis) -> None:
        self._committed = read.identities
        self._table = Table(Spool(basis.folder), PEOPLE_COLUMNS)
        self._actors = Table(Spool(basis.folder), ACTOR_COLUMNS)
        self._proofs = Table(Spool(basis.folder), COMMITMENT_COLUMNS)
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
        identity = person.identity if shown else ""
        self._table.add(person_row(person.case_id, person.subject, identity, state))
        self._proofs.add(
            {
                "case_id": person.case_id,
                "subject": person.subject,
                "identity": identity,
                "opening": person.opening if shown else "",
                "state": state,
            }
        )

    def add_act(self, act: Act) -> None:
        """Something that somebody did to a leaver's case."""
        self._actors.add(
            {
                "case_id": act.case_id,
                "at": instant_text(act.at),
                "what": act.what,
                "system": act.system,
                "by": act.by,
                "second_person": act.second_person,
                "decision": act.decision,
            }
        )

    def parts(self) -> dict[str, Part]:
        """The files by name."""
        return {
            layout.PEOPLE: self._table.part(),
            layout.ACTORS: self._actors.part(),
            layout.COMMITMENTS: self._proofs.part(),
        }

    def close(self) -> None:
        self._table.close()
        self._actors.close()
        self._proofs.close()
