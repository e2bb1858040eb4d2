"""Whoever changes the kept facts by the application's own role is noticed, and it is put right."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.notices.alarms import Alarms
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question
from lockstep.control.score.rules import Rules
from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.sequencer import Sequencer, Step
from lockstep.storage.score.facts_proof import CHECK, FactsState, changed_facts
from lockstep.storage.score.refold import differing
from lockstep.storage.score.scores import Scores
from tests.storage.ledger.test_sequencer_facts import projected
from tests.storage.score.test_refold import some_cases
from tests.support.casework import TENANT, Casework, revised, termination
from tests.support.ledgers import LedgerBook, settle

UPDATES = [
    "update case_facts set document = jsonb_set(document, '{cutoff_at}', '1')",
    "update case_facts set document = jsonb_set(document, '{items}', '[]')",
    "update case_facts set document = jsonb_set(document, '{rescinded}', 'true')",
    "update case_facts set partner = 'nobody'",
    "update case_facts set is_open = not is_open",
    "update case_facts set cutoff_at = cutoff_at - interval '2 years'",
]


def seal(text: str) -> bytes:
    """As the keyring does; the database does not know the key."""
    return hmac.new(b"a key", text.encode(), hashlib.sha256).digest()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, by: timedelta) -> None:
        self.at += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sequencer(work: Casework, book: LedgerBook, clock: Clock) -> Sequencer:
    """One that marks what it writes, over some cases."""
    await some_cases(work, book, 4)
    made = book.sequencer(seal=seal, now=clock)
    settle(made)
    return made


def as_the_application(book: LedgerBook, harm: str) -> None:
    """By the very role that worker and web use."""
    with book.link() as link:
        assert link.execute(harm.encode()).rowcount


async def state(work: Casework) -> FactsState:
    async with Scores(work.engine).reading() as reading:
        size = (await reading.head()).sequenced
        return await reading.facts_state(seal, tenant=TENANT, size=size)


def said(book: LedgerBook) -> list[str]:
    query = "select kind from ledger_entries where kind = 'ledger:facts_differed'"
    return [kind for (kind,) in book.ask(query)]


async def test_what_nobody_touched_is_proved(work, book, sequencer, clock):
    """Every batch is marked in its own transaction; comparing changes nothing but the instant."""
    before = await state(work)
    await work.open(termination("W-new"))
    settle(sequencer)
    clock.pass_(CHECK)
    settle(sequencer)
    after = await state(work)

    assert (before.is_proved, after.is_proved) == (True, True)
    assert after.proved_at == clock.at
    assert (after.differed_at, said(book)) == (None, [])


@pytest.mark.parametrize("harm", UPDATES)
async def test_an_update_is_noticed_and_put_right_within_a_minute(
    work, book, sequencer, clock, harm
):
    """The ledger says so for good, and the facts are its own again."""
    right = await projected(work)
    as_the_application(book, harm)
    seen = await state(work)
    clock.pass_(CHECK)
    settle(sequencer)

    assert seen.is_proved is False
    assert await projected(work) == right
    assert said(book) == ["ledger:facts_differed"]
    found = await state(work)
    assert (found.is_proved, found.differed_at) == (True, clock.at)
    assert found.differed > 0


@pytest.mark.parametrize("harm", UPDATES[:2])
async def test_an_update_while_no_worker_runs_is_noticed_by_the_next(
    work, book, sequencer, clock, harm
):
    """Nobody watched; the mark that was left tells."""
    right = await projected(work)
    sequencer.close()
    as_the_application(book, harm)
    clock.pass_(timedelta(days=1))
    settle(book.sequencer(seal=seal, now=clock))

    assert await projected(work) == right
    assert said(book) == ["ledger:facts_differed"]
    assert (await state(work)).is_proved


async def test_nothing_is_built_on_an_update(work, book, clock):
    """The case's next entry is not folded into what another hand wrote."""
    case = await work.open(termination("W-1"))
    first = book.sequencer(seal=seal, now=clock)
    settle(first)
    first.close()
    second = book.sequencer(seal=seal, now=clock)  # it remembers no facts
    settle(second)
    as_the_application(book, UPDATES[1])
    await work.cases.rescind(case, revised(termination("W-1"), 2))
    with pytest.raises(LedgerRefusedError) as refused:
        settle(second)
    settle(second)  # begins anew

    assert refused.value.code == "facts_changed"
    [(left,)] = book.ask("select jsonb_array_length(document -> 'items') from case_facts")
    assert left > 0
    assert said(book) == ["ledger:facts_differed"]


@pytest.mark.parametrize(
    "harm",
    [
        "update facts_mark set fingerprint = sha256('x')",
        "update facts_mark set proved_at = now() + interval '1 year'",
        "update facts_mark set fold = 1",
        "update facts_mark set size = size - 1",
        "update facts_mark set seal = sha256('x')",
    ],
)
async def test_the_mark_cannot_be_made_by_the_database(work, book, sequencer, clock, harm):
    """It is sealed by a key of the keyring: a changed one proves nothing, and is told."""
    as_the_application(book, harm)
    seen = await state(work)
    clock.pass_(CHECK)
    settle(sequencer)

    assert seen.is_proved is False
    assert said(book) == ["ledger:facts_differed"]
    assert (await state(work)).is_proved


async def test_an_older_state_put_back_whole_is_noticed(work, book, sequencer, clock):
    """Facts and mark of yesterday fit each other, and not the ledger of today."""
    [mark] = book.ask("select size, fingerprint, proved_at, seal from facts_mark")
    later = await work.open(termination("W-later"))
    settle(sequencer)
    with book.link() as link:
        query = b"update facts_mark set size = %s, fingerprint = %s, proved_at = %s, seal = %s"
        link.execute(query, mark)
    assert (await state(work)).is_proved is False
    with book.link(superuser=True) as link:
        link.execute(b"delete from case_facts where case_id = %s", (later.case_id,))
    assert (await state(work)).is_proved is False


async def test_a_case_that_the_ledger_does_not_know_is_never_proved(work, book, sequencer, clock):
    """Somebody invented stands in the table until a person takes them out: there is no score."""
    as_the_application(
        book,
        "insert into case_facts select 'c-invented', partner, cutoff_at, is_open, through, document"
        " from case_facts limit 1",
    )
    clock.pass_(CHECK)
    settle(sequencer)

    assert said(book)
    assert (await state(work)).is_proved is False


async def test_there_is_no_score_over_changed_facts(work, book, sequencer):
    """What is served says why, and the score comes back when the facts are put right."""
    service = ScoreService(
        Scores(work.engine), Rules(tenant=TENANT, heartbeat=timedelta(days=30)), seal=seal
    )
    good = await service.read(Question())
    as_the_application(book, UPDATES[0])
    bad = await service.read(Question())
    await service.aclose()

    assert good["ledger"]["facts"]["proved"] is True
    assert "ledger_unverified" not in good["score"]["unscored"]
    assert bad["ledger"]["facts"]["proved"] is False
    assert "ledger_unverified" in bad["score"]["unscored"]
    assert bad["score"]["value"] is None


async def test_people_are_told(work, book, sequencer, clock):
    """By a notice, once for each time."""
    alarms = Alarms(work.stores, anchors=(), silent_after=timedelta(days=7))
    before = await alarms.ledger(clock.at)
    as_the_application(book, UPDATES[0])
    clock.pass_(CHECK)
    settle(sequencer)
    [fact] = await alarms.ledger(clock.at)

    assert before == []
    assert "another hand" in fact.system
    assert (await changed_facts(work.engine)).at == clock.at
    assert await alarms.changed(clock.at + timedelta(days=8)) == []


async def test_verifying_the_ledger_folds_it_anew(work, book, sequencer):
    """`lockstep ledger verify` needs no mark: it compares with the entries themselves."""

    def look() -> int:
        with book.link() as link:
            return differing(link).rewritten

    assert await asyncio.to_thread(look) == 0
    as_the_application(book, UPDATES[0])
    changed = await asyncio.to_thread(look)
    assert changed > 0
    assert await asyncio.to_thread(look) == changed  # it wrote nothing


async def test_without_a_key_nothing_is_marked(work, book):
    """Whoever cannot make marks makes none, and says that nobody knows."""
    await some_cases(work, book, 2)
    assert sequenced(book) is Step.IDLE
    assert (await state(work)).is_proved is None


def sequenced(book: LedgerBook) -> Step:
    made = book.sequencer()
    settle(made)
    return made.step()
