"""How cases end: closed once, decided once, reopened with their original clock."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.contracts.payloads import Decision, DecisionInput, DecisionKind
from lockstep.evidence.entries import Entry, EntryKind
from tests.support.casework import SYSTEM

ARTEFACT = hashlib.sha256(b"a photo of the shredded badge").hexdigest()


def decision(case_id: str, kind: DecisionKind, **changes: object) -> DecisionInput:
    fields = {"decision_id": "d1", "actor": "ops@example.com", "reason": "seen by me", **changes}
    return DecisionInput(case_id, 1, Decision(kind=kind, system=SYSTEM, **fields))


def finding(case_id: str, look: int = 1) -> Entry:
    now = datetime.now(UTC)
    return Entry(
        kind=EntryKind.FINDING_RAISED,
        key=f"{case_id}:{SYSTEM}:1:look:{look}",
        tenant="acme",
        occurred_at=now,
        recorded_at=now,
        case_id=case_id,
        system=SYSTEM,
    )


async def test_a_case_closes_once_per_closing(work):
    """The same closing asked twice gives the same moment and one entry; the next is another."""
    case = await work.open()
    first = await work.cases.close(case.case_id, 1)

    assert await work.cases.close(case.case_id, 1) == first
    assert await work.cases.close(case.case_id, 2) > first
    assert await work.kinds(case.case_id) == ["case:opened", "case:closed", "case:closed"]


@pytest.mark.parametrize(
    ("kind", "changes", "outcome", "grade"),
    [
        (DecisionKind.RETRY, {}, "", None),
        (DecisionKind.WAIVE, {}, "waived", None),
        (DecisionKind.ATTEST, {}, "attested", "D"),
        (DecisionKind.ATTEST, {"artefact_digest": ARTEFACT}, "attested", "D"),
        (
            DecisionKind.ATTEST,
            {"artefact_digest": ARTEFACT, "second_person": "b@example.com"},
            "attested",
            "C",
        ),
    ],
)
async def test_a_decision_stands_with_its_grade(work, kind, changes, outcome, grade):
    """A retry settles nothing; an attestation is grade C only with artefact and second person."""
    case = await work.open()

    assert await work.cases.decide(decision(case.case_id, kind, **changes)) == outcome
    row = await work.row(case.case_id)
    state = "settled" if outcome else "revoking"
    assert (row.state, row.outcome, row.grade) == (state, outcome or None, grade)


async def test_a_repeated_decision_decides_once(work):
    """A second click with the same id writes nothing and answers the same."""
    case = await work.open()
    given = decision(case.case_id, DecisionKind.ATTEST)

    assert [await work.cases.decide(given) for _ in range(3)] == ["attested"] * 3
    assert await work.kinds(case.case_id) == ["case:opened", "decision:attest"]
    assert await work.count("decisions") == 1


async def test_a_decision_names_people_by_commitment_only(work):
    """Actor, second person and reason are in no entry; two persons have two references."""
    case = await work.open()
    given = decision(
        case.case_id, DecisionKind.ATTEST, artefact_digest=ARTEFACT, second_person="b@example.com"
    )
    await work.cases.decide(given)
    raw = (await work.ledger.entries(case.case_id))[-1]
    entry = (await work.entries(case.case_id))[-1]

    for secret in (b"ops@example.com", b"b@example.com", b"seen by me"):
        assert secret not in raw
    assert entry["actor"]["type"] == "person"
    assert entry["actor"]["ref"] != entry["data"]["second_person"]


async def test_a_decision_does_not_replace_a_proven_outcome(work):
    """What a read-back proved stays, even if a person clicks at the same moment."""
    case = await work.open()
    await work.cases.decide(decision(case.case_id, DecisionKind.WAIVE, decision_id="d1"))
    late = decision(case.case_id, DecisionKind.ATTEST, decision_id="d2")

    assert await work.cases.decide(late) == "waived"
    assert (await work.row(case.case_id)).outcome == "waived"


async def test_a_finding_reopens_with_the_original_clock(work):
    """Access that came back reopens system and case; cutoff and deadline do not move."""
    case = await work.open()
    await work.cases.decide(decision(case.case_id, DecisionKind.ATTEST))
    await work.cases.close(case.case_id, 1)
    before = await work.row(case.case_id)
    for _ in range(2):
        await work.cases.raise_finding(
            case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
        )
    row = await work.row(case.case_id)
    stored = await work.case(case.case_id)

    assert (row.opening, row.state, row.outcome, row.revoked_at) == (2, "revoking", None, None)
    assert (row.due_at, stored["cutoff_at"]) == (before.due_at, case.cutoff_at)
    assert (stored["status"], stored["closed_at"]) == ("revoking", None)
    assert (await work.kinds(case.case_id)).count("finding:raised") == 1
    assert await work.count("findings where resolved_at is null") == 1


async def test_closing_again_resolves_the_finding(work):
    """A finding is open exactly as long as its case is."""
    case = await work.open()
    await work.cases.close(case.case_id, 1)
    await work.cases.raise_finding(
        case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
    )
    await work.cases.close(case.case_id, 2)

    assert await work.count("findings where resolved_at is null") == 0
    assert (await work.case(case.case_id))["status"] == "closed"


async def test_a_waiver_keeps_its_end(work):
    """A waiver is time-boxed: its end is stored and stands in the ledger."""
    case = await work.open()
    until = datetime.now(UTC) + timedelta(days=3)
    await work.cases.decide(decision(case.case_id, DecisionKind.WAIVE, until=until))

    assert (await work.entries(case.case_id))[-1]["data"]["until"].endswith("Z")
    assert await work.count("decisions where until is not null") == 1
