"""Folding anew: the table of facts is what the ledger says, whoever wrote it before."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from lockstep.control.ledger.sealing import Sealer
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.ledger.fold import HistoryError, apply
from lockstep.storage.engine.database import StorageError
from lockstep.storage.engine.direct import connect
from lockstep.storage.score.refold import Refolded, refold
from tests.storage.ledger.test_sequencer_facts import assert_equal, play, projected
from tests.support.casework import SYSTEM, Casework
from tests.support.ledgers import LedgerBook, settle


async def again(book: LedgerBook, **options: object) -> Refolded:
    def work() -> Refolded:
        with connect(book.app_url, application="test") as link:
            return refold(link, **options)

    return await asyncio.to_thread(work)


def outcome(case_id: str, key: str = "bad", **more: object) -> Entry:
    """An outcome that says nothing of what it must say, unless told otherwise."""
    now = datetime.now(UTC)
    return Entry(
        kind=EntryKind.REVOCATION_OUTCOME,
        key=key,
        tenant="acme",
        occurred_at=now,
        recorded_at=now,
        case_id=case_id,
        system=SYSTEM,
        data=more,
    )


async def some_cases(work: Casework, book: LedgerBook, count: int = 12) -> None:
    chance = random.Random(3)
    for number in range(count):
        await play(work, chance, f"W-{number}")
    sequencer = book.sequencer()
    settle(sequencer)
    sequencer.close()


async def test_what_is_right_stays_untouched(work, book):
    """Whatever became of the cases, a fresh fold finds nothing to write."""
    await some_cases(work, book)
    before = book.ask("select case_id, xmin::text from case_facts order by case_id")
    found = await again(book)

    assert (found.rewritten, found.unfolded, found.strays) == (0, [], [])
    assert (found.cases, found.leaves) == (12, await work.count("ledger_leaves"))
    assert book.ask("select case_id, xmin::text from case_facts order by case_id") == before


@pytest.mark.parametrize(
    "harm",
    [
        "delete from case_facts",
        "update case_facts set document = jsonb_set(document, '{closed_at}', '1')",
        "update case_facts set document = document - 'zone'",
        "update case_facts set is_open = not is_open",
        "update case_facts set partner = 'nobody'",
        "update case_facts set cutoff_at = cutoff_at + interval '1 millisecond'",
    ],
)
async def test_what_is_wrong_is_put_right_once(work, book, harm):
    """Rows that are missing or other become what the sequencer writes; a second time is nothing."""
    await some_cases(work, book)
    right = await projected(work)
    book.tamper(harm)
    first, second = await again(book), await again(book)

    assert (first.rewritten, second.rewritten) == (12, 0)
    assert first.is_whole
    await assert_equal(work)
    assert await projected(work) == right


async def test_what_an_older_release_could_not_fold_is_made_up_for(work, book):
    """An entry that was passed over counts after the upgrade, and so does what followed it."""

    def older(facts, leaf, entry, policy):
        if entry["kind"] == "revocation:outcome":
            raise HistoryError(f"entry {leaf}: not known here")
        return apply(facts, leaf, entry, policy)

    chance = random.Random(3)
    for number in range(12):
        await play(work, chance, f"W-{number}")
    sequencer = book.sequencer(fold=older)
    settle(sequencer)
    sequencer.close()
    found = await again(book)

    assert found.rewritten > 2
    facts = await assert_equal(work)
    assert any(item.outcome == "revoked" for its in facts.values() for item in its.items)


async def test_every_entry_that_cannot_be_folded_is_named(work, book):
    """By place, case and kind; the case stays as it was before it, and the rest goes on."""
    case = await work.open()
    book.append(outcome(case.case_id), outcome("", key="nobody"), outcome("c-unknown", key="who"))
    await work.close(case.case_id, 1)
    settle(book.sequencer())
    found = await again(book)
    places = {key: place for place, key in enumerate(book.order())}

    assert not found.is_whole
    assert [(each.leaf, each.case_id, each.kind) for each in found.unfolded] == [
        (places["bad"], case.case_id, "revocation:outcome"),
        (places["nobody"], "", "revocation:outcome"),
        (places["who"], "c-unknown", "revocation:outcome"),
    ]
    assert f"entry {places['bad']}: " in found.unfolded[0].says
    [row] = (await projected(work)).values()
    assert row["document"]["closed_at"] is not None


async def test_not_more_than_a_hundred_are_told(work, book):
    """The others are counted."""
    case = await work.open()
    book.append(*(outcome(case.case_id, key=f"bad-{number}") for number in range(103)))
    settle(book.sequencer())
    found = await again(book)
    assert (len(found.unfolded), found.not_told) == (100, 3)


async def test_a_running_sequencer_begins_anew(work, book):
    """It forgets what it remembered: the next entry is folded on the mended facts."""
    case = await work.open()
    sequencer = book.sequencer()
    sealer = asyncio.create_task(Sealer(sequencer).run())
    try:
        await until(lambda: book.ask("select case_id from case_facts") == [(case.case_id,)])
        book.tamper("update case_facts set partner = 'nobody', document = document || '{\"a\": 1}'")
        found = await again(book)
        await work.close(case.case_id, 1)
        closed = "select (document->>'closed_at') is not null from case_facts"
        await until(lambda: book.ask(closed) == [(True,)])
    finally:
        sealer.cancel()
        await asyncio.gather(sealer, return_exceptions=True)

    assert found.rewritten == 1
    await assert_equal(work)
    assert (await again(book)).rewritten == 0


async def test_cases_run_on_meanwhile(work, book):
    """Entries that are placed while it folds are neither lost nor taken for a difference."""
    await some_cases(work, book)
    late = []

    def progress(done: int, total: int) -> None:
        if not late:
            late.append(asyncio.run_coroutine_threadsafe(one_more(), loop).result(30))

    async def one_more() -> str:
        case = await work.open()
        sequencer = book.sequencer()
        await asyncio.to_thread(settle, sequencer)
        sequencer.close()
        return case.case_id

    loop = asyncio.get_running_loop()
    found = await again(book, progress=progress)
    assert (found.rewritten, found.cases, found.strays) == (0, 13, [])
    await assert_equal(work)


async def test_a_stored_case_that_the_ledger_does_not_know_is_named(work, book):
    """It is left alone: something greater is wrong."""
    await some_cases(work, book, 2)
    book.tamper(
        "insert into case_facts select 'cstray', partner, cutoff_at, is_open, 0, document"
        " from case_facts limit 1"
    )
    found = await again(book)
    assert (found.strays, found.rewritten, found.is_whole) == (["cstray"], 0, False)


@pytest.mark.parametrize(
    "harm",
    [
        "delete from ledger_leaves where leaf_index = 3",
        "delete from ledger_entries e using ledger_leaves where e.id = entry_id and leaf_index = 3",
    ],
)
async def test_a_ledger_with_a_hole_is_not_folded(work, book, harm):
    """Nothing is written that follows from half of it."""
    await some_cases(work, book, 3)
    book.tamper(harm, "delete from case_facts")
    with pytest.raises(StorageError, match="entry 3 of the ledger is missing"):
        await again(book)
    assert book.ask("select count(*) from case_facts") == [(0,)]


async def test_a_worker_under_another_role_must_be_stopped_by_hand(work, book):
    """Its session is not ours to end; the operator is told."""
    await some_cases(work, book, 2)
    book.tamper("delete from case_facts")
    with book.link(superuser=True) as other:
        other.execute("select pg_advisory_lock(%s)", (0x10C57EA,))
        with pytest.raises(StorageError, match="stop the workers first"):
            await again(book)
    assert (await again(book)).rewritten == 2


async def until(holds, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - another thread's work
            await asyncio.sleep(0.02)
