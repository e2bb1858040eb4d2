"""The projection of facts equals what anybody folds from the ledger itself."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from lockstep.contracts.payloads import BeginState
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.ledger.history import History, facts_document
from lockstep.scorecard.facts import CaseFacts
from lockstep.storage.ledger.append import Append
from lockstep.storage.ledger.checkpoints import leaves
from lockstep.storage.score.projection import is_open
from tests.storage.cases.test_cases import opening
from tests.storage.cases.test_endings import decision
from tests.storage.systems.test_revocations import attempt
from tests.storage.systems.test_revocations import settle as prove
from tests.support.casework import OTHER, SYSTEM, Casework, revised, termination
from tests.support.ledgers import settle

DAY = timedelta(days=1)
CLOCKS_APART = timedelta(milliseconds=900)
"""A case begins so long before its cutoff."""


async def projected(work: Casework) -> dict[str, dict[str, object]]:
    from sqlalchemy import text  # noqa: PLC0415

    async with work.engine.connect() as connection:
        rows = (await connection.execute(text("select * from case_facts"))).mappings().all()
    return {row["case_id"]: dict(row) for row in rows}


async def folded(work: Casework) -> dict[str, CaseFacts]:
    """A fresh fold over all leaves."""
    history = History()
    size = await work.count("ledger_leaves")
    async for leaf in leaves(work.engine, 0, size):
        history.add(leaf.index, json.loads(leaf.body))
    return dict(history.cases)


async def assert_equal(work: Casework) -> dict[str, CaseFacts]:
    facts, rows = await folded(work), await projected(work)
    assert rows.keys() == facts.keys()
    for case_id, its in facts.items():
        row = rows[case_id]
        assert row["document"] == json.loads(json.dumps(facts_document(its)))
        assert row["partner"] == its.partner
        assert row["is_open"] == is_open(its)
        assert row["cutoff_at"].timestamp() * 1000 == pytest.approx(its.shown_cutoff_at, abs=0.5)
        assert its.first_leaf <= row["through"]
    return facts


async def play(work: Casework, chance: random.Random, worker: str) -> None:
    """One case, as far as it happens to come."""
    said = termination(worker)
    if chance.random() < 0.1:
        await work.cases.open([opening(said, tombstone=True)], work.policy)
        return
    case = await work.open(said, due=chance.choice([-DAY, DAY, timedelta(0)]))
    if case.status == "scheduled":
        if chance.random() < 0.5:
            case = await work.cases.amend(case, revised(said, 2), case.cutoff_at + DAY)
        if chance.random() < 0.5:
            await work.cases.rescind(case, revised(said, 3))
        return
    for system in (SYSTEM, OTHER):
        turn = chance.random()
        item = await work.revocations.load(case.case_id, system, 1)
        if turn < 0.2:
            await attempt(work, item)
        elif turn < 0.3 and system == SYSTEM:
            kind = chance.choice([DecisionKind.ATTEST, DecisionKind.WAIVE])
            await work.cases.decide(decision(case.case_id, kind, decision_id=f"{worker}-d"))
        elif turn < 0.9:
            await attempt(work, item)
            await prove(work, item)
    if chance.random() < 0.6:
        await work.close(case.case_id, 1)


async def test_facts_equal_a_fresh_history(work, book):
    """After every pass, over cases that are late, open, waived, attested, rescinded and closed."""
    chance = random.Random(23)
    sequencer = book.sequencer()
    for number in range(40):
        await play(work, chance, f"W-{number}")
        if chance.random() < 0.5:
            settle(sequencer)
        if chance.random() < 0.2:
            sequencer.close()  # another process goes on with what is stored
    settle(sequencer)
    facts = await assert_equal(work)

    assert len(facts) == 40
    assert {True, False} == {is_open(each) for each in facts.values()}
    assert any(each.rescinded for each in facts.values())


async def test_a_case_is_open_until_every_required_system_is_proved_gone(work, book):
    """Closed means proved: not attempted, and not waived."""
    sequencer = book.sequencer()
    case = await work.open()
    item = await work.revocations.load(case.case_id, SYSTEM, 1)
    other = await work.revocations.load(case.case_id, OTHER, 1)
    seen = []
    for act in (attempt(work, item), prove(work, item), attempt(work, other), prove(work, other)):
        settle(sequencer)
        seen.append((await projected(work))[case.case_id]["is_open"])
        await act
    settle(sequencer)

    assert seen == [True] * 4
    assert (await projected(work))[case.case_id]["is_open"] is False


async def test_a_waiver_leaves_the_case_open(work, book):
    """A system whose deadline two people moved is not proved gone."""
    case = await work.open()
    given = {"second_person": "b@example.com", "until": datetime.now(UTC) + DAY}
    await work.cases.decide(decision(case.case_id, DecisionKind.WAIVE, **given))
    item = await work.revocations.load(case.case_id, OTHER, 1)
    await attempt(work, item)
    await prove(work, item)
    settle(book.sequencer())
    [row] = (await projected(work)).values()

    assert {i["system"]: i["outcome"] for i in row["document"]["items"]} == {
        SYSTEM: "waived",
        OTHER: "revoked",
    }
    assert row["is_open"] is True


async def test_a_case_goes_on_in_another_process(work, book):
    """Each entry of a case is folded by a sequencer that has seen nothing of it before."""
    case = await work.open()
    item = await work.revocations.load(case.case_id, SYSTEM, 1)
    for act in (attempt(work, item), prove(work, item), work.close(case.case_id, 1)):
        sequencer = book.sequencer()
        settle(sequencer)
        sequencer.close()
        await act
    settle(book.sequencer())

    [facts] = (await assert_equal(work)).values()
    assert facts.closed_at is not None


async def test_a_rescission_between_cutoff_and_beginning_is_one_for_everybody(work, book):
    """A worker that is late has not begun: the case is stopped, and no score waits for its end."""
    said = termination()
    case = await work.open(said, due=DAY)
    case = await work.cases.amend(case, revised(said, 2), datetime.now(UTC))
    status = await work.cases.rescind(case, revised(said, 3))
    settle(book.sequencer())
    [facts] = (await assert_equal(work)).values()

    assert status == "rescinded"
    assert facts.rescinded
    assert not is_open(facts)


async def test_a_rescission_after_the_beginning_is_none_for_everybody(work, book):
    """Though the cutoff that counts is still to come: begun is begun."""
    said = termination()
    case = await work.open(said, due=DAY)
    soon = datetime.now(UTC) + CLOCKS_APART
    case = await work.cases.amend(case, revised(said, 2), soon)
    assert (await work.cases.begin(case.case_id)).state is BeginState.BEGIN
    status = await work.cases.rescind(case, revised(said, 3))
    settle(book.sequencer())
    [facts] = (await assert_equal(work)).values()

    assert status == "revoking"
    assert not facts.rescinded


async def test_through_names_the_leaf_that_changed_the_facts(work, book):
    """A reader can tell up to where a case is known."""
    case = await work.open()
    await work.close(case.case_id, 1)
    settle(book.sequencer())
    last = max(
        index for index, key in enumerate(book.order()) if key == f"{case.case_id}:case:closed:1"
    )

    assert (await projected(work))[case.case_id]["through"] == last


async def test_an_entry_that_cannot_be_folded_is_sealed_all_the_same(work, book):
    """One bad entry blinds nobody: it is in the tree and in the log, its case stays as it was."""
    case = await work.open()
    now = datetime.now(UTC)
    bad = Entry(
        kind=EntryKind.REVOCATION_OUTCOME,
        key="bad",
        tenant="acme",
        occurred_at=now,
        recorded_at=now,
        case_id=case.case_id,
        system="no-such-system",
    )
    await work.ledger.append(Append(bad))
    await work.close(case.case_id, 1)
    with capture_logs() as logged:
        settle(book.sequencer())

    assert "bad" in book.order()
    assert len(book.heads()) == 1
    assert (await projected(work))[case.case_id]["document"]["closed_at"] is not None
    [said] = [line for line in logged if line["log_level"] == "error"]
    assert (said["event"], said["case_id"]) == ("entry_not_folded", case.case_id)
