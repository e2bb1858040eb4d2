"""The score as it is served: computed from one look, kept for a while, read daily and at close."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question, parse_question
from lockstep.control.score.rules import Rules
from lockstep.evidence.ledger.history import History
from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import official_window, score
from lockstep.scorecard.penalties import Terms
from lockstep.storage.ledger.checkpoints import leaves
from lockstep.storage.score.scores import Scores
from tests.storage.systems.test_revocations import attempt
from tests.storage.systems.test_revocations import settle as prove
from tests.support.casework import OTHER, SYSTEM, TENANT, Casework, termination
from tests.support.ledgers import LedgerBook, settle
from tests.support.scoring import DAY, HOUR, facts, ms, sign_head, store

RULES = Rules(tenant=TENANT)
FULL = Question(in_full=True)


@pytest.fixture
def scores(engine) -> Scores:
    return Scores(engine)


@pytest.fixture
async def service(scores) -> AsyncIterator[ScoreService]:
    made = ScoreService(scores, RULES)
    yield made
    await made.aclose()


@pytest.fixture
def book(database, tmp_path) -> Iterator[LedgerBook]:
    made = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    yield made
    made.close()


async def test_the_score_is_that_of_the_ledger_itself(engine, ring, book, scores):
    """Real cases, sequenced: the same figures as from a fold over the ledger's own bytes."""
    service = ScoreService(scores, replace(RULES, heartbeat=timedelta(days=30)))
    work = Casework(engine, ring)
    await work.adopt()
    for number in range(6):
        case = await work.open(termination(f"W-{number}", partner=f"p{number % 2}"))
        for system in (SYSTEM, OTHER)[: 1 + number % 2]:
            item = await work.revocations.load(case.case_id, system, 1)
            await attempt(work, item)
            await prove(work, item)
        if number % 2:
            await work.close(case.case_id, 1)
    settle(book.sequencer())
    as_of = datetime.now(UTC) + timedelta(days=2)
    document = await service.read(Question(), as_of=as_of)
    history = History()
    size = await work.count("ledger_leaves")
    async for leaf in leaves(engine, 0, size):
        history.add(leaf.index, json.loads(leaf.body))
    expected = score(
        history.cases.values(),
        DEFAULT,
        window=official_window(DEFAULT, ms(as_of)),
        as_of=ms(as_of),
        findings=history.findings,
    )

    assert document["score"] == expected.as_document()
    assert (document["score"]["n"], document["score"]["open_overdue"]) == (6, 3)
    assert document["ledger"]["size"] == book.heads()[-1][0]
    assert document["ledger"]["root"] == book.heads()[-1][1].hex()


async def test_a_full_answer_says_what_cost_points_and_where(engine, service):
    """Breakdowns by all five, the costs, the dimension as a range, the ledger's head."""
    await store(engine, [facts(f"{n}") for n in range(39)])
    await store(engine, [facts("late", took=6 * HOUR, partner="contoso")])
    await sign_head(engine, 500)
    document = await service.current(FULL)

    assert document["score"]["value"] == "19.27"
    assert document["score"]["n"] == 40
    assert set(document["by"]) == {"partner", "site", "category", "system", "kind"}
    assert {name: row["n"] for name, row in document["by"]["partner"].items()} == {
        "contoso": 1,
        "northwind": 39,
    }
    [cost] = document["explain"]
    assert (cost["code"], cost["case"], cost["points"]) == ("late", "case-late", "0.7292")
    assert document["dimension"]["value"] is None
    assert (document["dimension"]["low"], document["dimension"]["high"]) == ("4.82", "19.82")
    assert document["ledger"]["size"] == 500
    assert json.loads(json.dumps(document)) == document


async def test_a_partner_sees_its_own_cases_and_findings_only(engine, ring, service, book):
    """Somebody else's late case or finding moves nothing."""
    work = Casework(engine, ring)
    await work.adopt()
    case = await work.open(termination(partner="contoso"))
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into findings (finding_id, case_id, system, kind, raised_at)"
                " values ('f', :case, 'okta-prod', 'access_used', now() - interval '1 hour')"
            ),
            {"case": case.case_id},
        )
    await store(engine, [facts("mine")])
    await store(engine, [facts("theirs", took=None, partner="contoso", case_id=case.case_id)])
    mine = await service.read(Question(partner="northwind"))
    theirs = await service.read(Question(partner="contoso"))
    everybody = await service.read(Question())

    assert (mine["score"]["value"], mine["score"]["caps"]) == ("20.00", [])
    assert mine["dimension"] is mine["trend"] is None
    assert [hit["code"] for hit in theirs["score"]["caps"]] == ["access_used"]
    assert [hit["code"] for hit in everybody["score"]["caps"]] == ["access_used"]


async def test_what_is_old_and_open_counts_and_what_is_old_and_closed_does_not(engine, service):
    """The official window is 365 days; whatever is still open does not leave it."""
    await store(
        engine,
        [
            facts("old", ago=400 * DAY),
            facts("forgotten", ago=400 * DAY, took=None),
            facts("recent"),
            facts("tomorrow", ago=-DAY, took=None),
        ],
    )
    document = await service.read(Question())

    assert (document["score"]["n"], document["score"]["open_overdue"]) == (2, 1)
    assert document["scheduled"] == 1


async def test_a_cutoff_moved_too_late_counts_where_it_was(engine, service):
    """HR moves a date after it has passed: shown far ahead, judged from the first one."""
    case = facts("moved", took=None)
    await store(engine, [replace(case, shown_cutoff_at=case.cutoff_at + 100 * DAY)])
    found = (await service.read(Question()))["score"]

    assert (found["n"], found["open_overdue"]) == (1, 1)


async def test_any_window_can_be_looked_at(engine, service):
    """From the first instant of the first day to the last of the last."""
    first, end = (ms(datetime(2024, month, 1, tzinfo=UTC)) for month in (7, 10))
    for name, cutoff in {
        "before": first - 1,
        "first": first,
        "last": end - 1,
        "after": end,
    }.items():
        moved = {"cutoff_at": cutoff, "shown_cutoff_at": cutoff}
        await store(engine, [facts(name, took=HOUR, **moved)])
    case = (await service.read(parse_question("2024-07-01..2024-09-30", None)))["score"]

    assert case["n"] == 2
    assert case["window"]["official"] is False
    assert (case["window"]["start"], case["window"]["end"]) == (
        "2024-07-01T00:00:00.000Z",
        "2024-10-01T00:00:00.000Z",
    )


async def test_without_leavers_there_is_no_score(service):
    """None is not 20: it is not scored, and the dimension stays open up to 20."""
    document = await service.current(FULL)

    assert document["score"]["value"] is None
    assert document["score"]["unscored"] == ["no_leavers"]
    assert (document["dimension"]["low"], document["dimension"]["high"]) == ("0.00", "20.00")
    assert document["ledger"] == {
        "size": 0,
        "root": None,
        "signed_at": None,
        "unsealed_since": None,
        "facts": {"proved": None, "proved_at": None, "changed_at": None, "changed_cases": 0},
    }


@pytest.mark.parametrize(("ago", "is_scored"), [(24, True), (26, False)])
async def test_over_a_ledger_that_nobody_seals_there_is_no_score(
    engine, service, database, ago, is_scored
):
    """An entry that waits for a signed head longer than a heartbeat and an hour says so."""
    await store(engine, [facts("one")])
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into ledger_entries (key, kind, recorded_at, body, leaf_hash)"
                " values ('k', 'watch:look', now() - make_interval(hours => :ago), '', '')"
            ),
            {"ago": ago},
        )
    document = await service.read(Question())

    assert (document["score"]["value"] is not None) == is_scored
    assert document["score"]["unscored"] == ([] if is_scored else ["ledger_unverified"])
    assert (document["ledger"]["unsealed_since"] is None) == is_scored


async def test_a_signed_head_covers_what_is_below_it(engine, scores, ring, book):
    """Placed and signed: nothing waits; placed and not signed: it waits; not placed: counted."""
    work = Casework(engine, ring)
    await work.adopt()
    case = await work.open()
    await work.close(case.case_id, 1)
    sequencer = book.sequencer()
    settle(sequencer)
    async with scores.reading() as reading:
        signed = await reading.head()
    await work.open(termination("W-2"))
    async with scores.reading() as reading:
        unplaced = await reading.head()
    settle(sequencer)
    async with scores.reading() as reading:
        unsigned = await reading.head()

    assert signed.size == signed.sequenced == book.heads()[-1][0]
    assert (signed.unsequenced, signed.unsigned_since) == (0, None)
    assert unplaced.unsequenced == 1
    assert unplaced.unsigned_since is not None
    assert (unsigned.unsequenced, unsigned.sequenced) == (0, signed.size + 1)
    assert unsigned.unsigned_since == unplaced.unsigned_since


async def test_penalties_of_a_month(engine, scores):
    """Which cases, how late, how much; a partner with terms stands there without any."""
    terms = {
        "northwind": Terms("EUR", per_case=10_000, per_started_hour=500),
        "quiet": Terms("USD"),
    }
    moment = datetime(2024, 11, 10, tzinfo=UTC)
    service = ScoreService(
        scores, Rules(tenant=TENANT, terms=terms), now=lambda: moment + timedelta(days=60)
    )
    ago = ms(datetime.now(UTC)) - ms(moment)
    late = facts("late", ago=ago, took=6 * HOUR + 60_000)
    await store(
        engine, [late, facts("fine", ago=ago), facts("other", ago=ago - 31 * DAY, took=DAY)]
    )
    document = await service.penalties("2024-11")
    partners = {row["partner"]: row for row in document["partners"]}

    assert partners["northwind"]["total"] == 10_000 + 3 * 500
    assert [case["case"] for case in partners["northwind"]["cases"]] == ["case-late"]
    assert partners["northwind"]["judged"] == 2
    assert partners["quiet"] == {
        "partner": "quiet",
        "currency": "USD",
        "judged": 0,
        "late": 0,
        "total": 0,
        "cases": [],
    }


async def test_answers_are_kept_for_a_while(engine, service):
    """The same question again costs nothing; a part of a fuller answer neither."""
    await store(engine, [facts("one")])
    first = await service.current(FULL)
    await store(engine, [facts("two")])

    assert await service.current(FULL) is first
    assert (await service.current(Question()))["score"] == first["score"]
    assert "by" not in await service.current(Question())
    assert (await service.read(Question()))["score"]["n"] == 2
