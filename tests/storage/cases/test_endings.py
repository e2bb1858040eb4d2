"""How cases end: closed once, decided once, reopened with their original clock."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.contracts.payloads import Decision, DecisionInput, StillOpen
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.cases.closing import Closed, Closing
from tests.support.casework import OTHER, SYSTEM, leaver_keys, revised, termination

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
    first = await work.close(case.case_id, 1)

    assert await work.close(case.case_id, 1) == first
    assert await work.close(case.case_id, 2) > first
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
    await work.close(case.case_id, 1)
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
    await work.close(case.case_id, 1)
    await work.cases.raise_finding(
        case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
    )
    await work.close(case.case_id, 2)

    assert await work.count("findings where resolved_at is null") == 0
    assert (await work.case(case.case_id))["status"] == "closed"


async def test_a_waiver_keeps_its_end(work):
    """A waiver is time-boxed: its end is stored and stands in the ledger."""
    case = await work.open()
    until = datetime.now(UTC) + timedelta(days=3)
    await work.cases.decide(decision(case.case_id, DecisionKind.WAIVE, until=until))

    assert (await work.entries(case.case_id))[-1]["data"]["until"].endswith("Z")
    assert await work.count("decisions where until is not null") == 1


async def test_a_case_closes_only_when_every_required_system_is_settled(work):
    """Whoever says that it is done: the rows are asked, and the refusal goes on record."""
    case = await work.open()
    await work.cases.decide(decision(case.case_id, DecisionKind.ATTEST))
    for asked in (1, 1, 2):
        refused = await work.cases.close(Closing(case.case_id, 1, asked))
        assert (refused.at, [one.system for one in refused.open]) == (None, [OTHER])

    assert (await work.case(case.case_id))["status"] == "revoking"
    kinds = ["case:opened", "decision:attest", "case:close_refused", "case:close_refused"]
    assert await work.kinds(case.case_id) == kinds
    told = (await work.entries(case.case_id))[-1]["data"]["open"]
    assert told == [{"system": OTHER, "opening": 1, "why": "open"}]

    late = decision(case.case_id, DecisionKind.ATTEST, decision_id="d2")
    await work.cases.decide(replace(late, decision=replace(late.decision, system=OTHER)))
    assert (await work.cases.close(Closing(case.case_id, 1, 3))).at is not None
    assert (await work.kinds(case.case_id))[-1] == "case:closed"


async def test_a_case_closes_only_in_the_opening_that_was_settled(work):
    """A system that the workflow has opened again is not settled by what stood before."""
    case = await work.open()
    await settle(work, case.case_id)
    refused = await work.cases.close(Closing(case.case_id, 1, openings={SYSTEM: 2}))
    assert refused.open == (StillOpen(SYSTEM, 2),)
    await work.cases.raise_finding(
        case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
    )
    refused = await work.cases.close(Closing(case.case_id, 1))
    assert refused.open == (StillOpen(SYSTEM, 2),)


async def test_a_case_that_was_called_off_does_not_close(work):
    """What was stopped was never proved shut."""
    case = await work.open(due=timedelta(hours=1))
    await work.cases.rescind(case, termination(revision=2))
    assert [one.system for one in (await work.cases.close(Closing(case.case_id, 1))).open] == [
        SYSTEM,
        OTHER,
    ]
    assert (await work.case(case.case_id))["status"] == "rescinded"


async def test_what_was_called_off_does_not_close_though_nothing_is_open(work):
    """Not even where policy requires no system: nobody's access had to end."""
    case = await work.open(due=timedelta(hours=1))
    await work.cases.rescind(case, termination(revision=2))
    async with work.engine.begin() as connection:
        await connection.execute(text("update revocations set required = false"))
    assert await work.cases.close(Closing(case.case_id, 1)) == Closed()
    assert (await work.case(case.case_id))["status"] == "rescinded"


async def test_an_optional_system_does_not_keep_a_case_open(work):
    """As policy had it when the case was opened, whatever it says now."""
    case = await work.open()
    await settle(work, case.case_id)
    async with work.engine.begin() as connection:
        open_again = "update revocations set required = false, state = 'retrying'"
        await connection.execute(text(f"{open_again} where system = '{OTHER}'"))
    assert (await work.cases.close(Closing(case.case_id, 1))).at is not None


@pytest.mark.parametrize(("outcome", "is_open"), [("not_found", True), ("attested", False)])
async def test_a_case_closes_only_when_all_keys_were_searched(work, outcome, is_open):
    """Keys that came after a connector had settled a system; a person's word stands."""
    case = await work.open()
    await settle(work, case.case_id, outcome=outcome)
    more = Key(KeyKind.EMPLOYEE_NUMBER, "10442")
    said = revised(termination(), 2, keys=LeaverKeys((*leaver_keys().keys, more)))
    await work.cases.amend(case, said, case.cutoff_at)

    found = await work.cases.close(Closing(case.case_id, 1))
    unsearched = tuple(StillOpen(name, 1, unsearched=True) for name in (SYSTEM, OTHER))
    assert found.open == (unsearched if is_open else ())
    begin = await work.cases.begin(case.case_id)
    assert begin.look == ([SYSTEM, OTHER] if is_open else [])


async def test_a_statement_without_the_earlier_keys_takes_none_away(work):
    """Earlier keys stay in force, and what was searched by them need not be searched again."""
    named = Key(KeyKind.ACCOUNT_ID, "u-1", SYSTEM)
    case = await work.open(termination(keys=LeaverKeys((*leaver_keys().keys, named))))
    await settle(work, case.case_id)
    said = revised(termination(), 2, keys=LeaverKeys(leaver_keys().keys[:1]))
    await work.cases.amend(case, said, case.cutoff_at)

    keys = (await work.revocations.load(case.case_id, SYSTEM, 1)).subject.keys
    assert keys.account_ids(SYSTEM) == ("u-1",)
    assert keys.emails == leaver_keys().emails
    assert (await work.cases.close(Closing(case.case_id, 1))).at is not None


async def settle(work, case_id: str, *, outcome: str = "already_absent") -> None:
    """Every system has this outcome."""
    values = "state = 'settled', outcome = :o, confirmed_at = now()"
    async with work.engine.begin() as connection:
        await connection.execute(
            text(f"update revocations set {values} where case_id = :c"),
            {"c": case_id, "o": outcome},
        )
