"""What is said of a try: by what was written since it was asked for."""

from __future__ import annotations

from dataclasses import fields

import pytest

from lockstep.control.cases.afterwards import Became, after
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.records import RevocationRow
from lockstep.storage.systems.tries import Said

FAULT, ASKED, OUTCOME = (
    EntryKind.REVOCATION_FAULT.value,
    EntryKind.REVOCATION_NEEDS_PERSON.value,
    EntryKind.REVOCATION_OUTCOME.value,
)


def row(state: str, outcome: str | None = None, fault: str | None = None) -> RevocationRow:
    empty = {field.name: None for field in fields(RevocationRow)}
    return RevocationRow(**{**empty, "state": state, "outcome": outcome, "fault": fault})


@pytest.mark.parametrize(
    ("stands", "said", "became"),
    [
        (row("needs_person", fault="permission_missing"), None, Became.UNDER_WAY),
        (row("revoking"), None, Became.UNDER_WAY),
        (row("retrying"), Said(9, FAULT, "timeout", "", 1), Became.FAILED_TRYING),
        (row("needs_person"), Said(9, FAULT, "permission_missing", "", 1), Became.FAILED),
        (row("needs_person"), Said(9, ASKED, "unknown_worker", "", 1), Became.FAILED),
        (row("settled", "revoked"), Said(9, OUTCOME, "", "revoked", 0), Became.SETTLED),
        (row("settled", "attested"), None, Became.SETTLED),
        (row("settled", "not_found"), Said(9, OUTCOME, "", "not_found", 0), Became.UNDER_WAY),
        (row("settled", "not_found"), Said(9, OUTCOME, "", "not_found", 9), Became.SETTLED),
    ],
)
def test_what_became_of_a_try(stands, said, became):
    """An old fault is no answer, and `not found` none while a person may still be asked."""
    assert after(stands, said).became is became


def test_a_failure_says_why():
    """In the words that pages use."""
    said = Said(9, ASKED, "unknown_worker", "", 1)
    assert after(row("needs_person"), said).note == (
        "Nobody was found there by these keys, and that settles nothing yet."
    )
