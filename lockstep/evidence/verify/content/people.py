"""Step 13: names against the commitments that stand in the ledger."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people.columns import COMMITMENT_COLUMNS, PEOPLE_COLUMNS
from lockstep.evidence.pack.people.rows import IdentityError, person_row
from lockstep.evidence.pack.text_files import cell_text, neutral
from lockstep.evidence.verify.content.ledger import Ledger
from lockstep.evidence.verify.content.tables import Table, read_rows
from lockstep.evidence.verify.forms import digest
from lockstep.evidence.verify.report import RefutedError, shown
from lockstep.evidence.verify.zip.archive import Archive

_PEOPLE = Table(layout.PEOPLE, PEOPLE_COLUMNS, 1)
_DISCLOSED = "disclosed"
_UNNAMED = frozenset({"erased", "unconfirmed"})


class Naming(NamedTuple):
    """How many leavers are named and confirmed; how many are not, and which have no row at all."""

    named: int
    unnamed: int
    missing: list[str]


def check_people(archive: Archive, ledger: Ledger, leavers: Iterable[str]) -> Naming:
    """Who is named, and who of ``leavers`` is not.

    Raises:
        RefutedError: if a name is not the one that the ledger was committed to, or a row is about
            nobody of the pack.
    """
    apart = layout.COMMITMENTS in archive
    file = layout.COMMITMENTS if apart else layout.PEOPLE
    named = unnamed = 0
    seen: set[str] = set()
    told = read_rows(archive, _PEOPLE) if apart else iter(())
    for cells in read_rows(archive, Table(file, COMMITMENT_COLUMNS, 1)):
        case_id, subject, identity, opening, state = cells
        about = f"case {shown(case_id)}"
        facts = ledger.history.cases.get(case_id)
        if facts is None or neutral(facts.subject) != subject or case_id in seen:
            raise RefutedError(f"{file} is wrong about {about}")
        seen.add(case_id)
        if state == _DISCLOSED:
            if not _confirms(ledger.identities.get(case_id, ""), identity, opening):
                raise RefutedError(f"the ledger does not confirm who the leaver of {about} is")
            named += 1
        elif state in _UNNAMED and not identity and not opening:
            unnamed += 1
        else:
            raise RefutedError(f"{file} cannot be read at {about}")
        if apart and next(told, None) != _to_read(case_id, facts.subject, identity, state):
            raise RefutedError(f"{layout.PEOPLE} says something else of {about} than was confirmed")
    if next(told, None) is not None:
        raise RefutedError(f"{layout.PEOPLE} has a row of nobody who was confirmed")
    return Naming(named, unnamed, [case_id for case_id in leavers if case_id not in seen])


def _to_read(case_id: str, subject: str, identity: str, state: str) -> list[str]:
    """The row of the file that people read, as it follows from a confirmed identity."""
    try:
        row = person_row(case_id, subject, identity, state)
    except IdentityError:
        return []
    return [cell_text(row[column]) for column in PEOPLE_COLUMNS]


def _confirms(commitment: str, identity: str, opening: str) -> bool:
    try:
        key = bytes.fromhex(digest(opening))
    except ValueError:
        return False
    return hmac.new(key, identity.encode(), hashlib.sha256).hexdigest() == commitment
