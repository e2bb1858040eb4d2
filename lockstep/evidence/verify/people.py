"""Step 13: names against the commitments that stand in the ledger."""

from __future__ import annotations

import hashlib
import hmac

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.population_columns import PEOPLE_COLUMNS
from lockstep.evidence.pack.text_files import neutral
from lockstep.evidence.verify.archive import Archive
from lockstep.evidence.verify.ledger import Ledger
from lockstep.evidence.verify.report import RefutedError, shown
from lockstep.evidence.verify.tables import Table, read_rows

_TABLE = Table(layout.PEOPLE, PEOPLE_COLUMNS, 1)
_DISCLOSED = "disclosed"
_UNNAMED = frozenset({"erased", "unconfirmed"})


def check_people(archive: Archive, ledger: Ledger) -> tuple[int, int]:
    """How many leavers are named and confirmed, and how many are not named.

    Raises:
        RefutedError: if a name is not the one that the ledger was committed to, or a row is about
            nobody of the pack.
    """
    named = unnamed = 0
    seen: set[str] = set()
    for case_id, subject, identity, opening, state in read_rows(archive, _TABLE):
        about = f"case {shown(case_id)}"
        facts = ledger.history.cases.get(case_id)
        if facts is None or neutral(facts.subject) != subject or case_id in seen:
            raise RefutedError(f"{layout.PEOPLE} is wrong about {about}")
        seen.add(case_id)
        if state == _DISCLOSED:
            if not _confirms(ledger.identities.get(case_id, ""), identity, opening):
                raise RefutedError(f"the ledger does not confirm who the leaver of {about} is")
            named += 1
        elif state in _UNNAMED and not identity and not opening:
            unnamed += 1
        else:
            raise RefutedError(f"{layout.PEOPLE} cannot be read at {about}")
    return named, unnamed


def _confirms(commitment: str, identity: str, opening: str) -> bool:
    try:
        key = bytes.fromhex(opening)
    except ValueError:
        return False
    return hmac.new(key, identity.encode(), hashlib.sha256).hexdigest() == commitment
