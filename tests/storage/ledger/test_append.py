"""The ledger: an entry stands once, together with what it explains, or not at all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.ledger.append import Append, Change, append_all

NOW = datetime(2026, 11, 23, 5, 4, 3, 2000, UTC)
MARK = text("update revocations set round = round + :n where case_id = :c and system = :s")
SET = text("update revocations set round = :n where case_id = :c and system = :s")
BREAK = text("insert into findings values (:n, 'no such case', '', '', now(), null)")
DIE = text("select pg_terminate_backend(pg_backend_pid())")


def entry(key: str, **data: object) -> Entry:
    return Entry(
        kind=EntryKind.CASE_BEGUN,
        key=key,
        tenant="acme",
        occurred_at=NOW,
        recorded_at=NOW,
        case_id="c1",
        data=data,
    )


def mark(case_id: str, number: int = 1, statement=MARK, system: str = "memory-1") -> Change:
    return Change(statement, {"n": number, "c": case_id, "s": system})


async def test_an_entry_stands_once_as_its_exact_bytes(work):
    """The same key twice leaves one entry, whose bytes and leaf hash are those of the first."""
    first = entry("k", number=1)

    assert await work.ledger.append(Append(first)) is True
    assert await work.ledger.append(Append(entry("k", number=2))) is False
    assert await work.ledger.entries("c1") == [first.to_bytes()]
    async with work.engine.connect() as connection:
        stored = await connection.scalar(
            text("select leaf_hash from ledger_entries where key = 'k'")
        )
    assert stored == leaf_hash(first.to_bytes())


async def test_changes_are_skipped_when_the_entry_stands(work):
    """A retried activity does not change a projection twice."""
    case = await work.open()
    append = Append(entry("k"), (mark(case.case_id),))
    await work.ledger.append(append)
    await work.ledger.append(append)

    assert (await work.row(case.case_id)).round == 1


async def test_the_same_key_twice_in_one_commit_changes_once(work):
    """Two attempts that meet in one group commit count as one: the first entry explains it."""
    case = await work.open()
    appends = [Append(entry("k", number=n), (mark(case.case_id, n),)) for n in (1, 10)]
    async with work.engine.begin() as connection:
        fresh = await append_all(connection, appends)

    assert fresh == [True, False]
    assert (await work.row(case.case_id)).round == 1


async def test_changes_keep_their_order_within_an_append(work):
    """In a shared commit each append's changes run in its own order, whatever the others do."""
    case = await work.open()
    appends = [
        Append(entry("a"), (mark(case.case_id, 5, SET, "memory-2"),)),
        Append(entry("b"), (mark(case.case_id, 7, MARK), mark(case.case_id, 1, SET))),
    ]
    async with work.engine.begin() as connection:
        await append_all(connection, appends)

    assert (await work.row(case.case_id)).round == 1


async def test_two_hundred_at_once_need_a_handful_of_commits(work):
    """Concurrent appends share transactions, and every one of them stands."""
    done = await asyncio.gather(*(work.ledger.append(Append(entry(f"k{n}"))) for n in range(200)))

    assert all(done)
    async with work.engine.connect() as connection:
        rows, commits = (
            await connection.execute(
                text(
                    "select count(*), count(distinct xmin::text) from ledger_entries"
                    " where case_id = 'c1'"
                )
            )
        ).one()
    assert rows == 200
    assert commits <= 5


async def test_a_member_that_cannot_be_stored_fails_alone(work):
    """One entry that no ledger can hold does not take its neighbours along."""
    case = await work.open()
    bad = [
        Append(entry("bad-bytes", number=2**60)),
        Append(entry("bad\x00key")),
        Append(entry("bad-change"), (Change(BREAK, {"n": "f"}),)),
    ]
    good = [Append(entry(f"good{n}"), (mark(case.case_id),)) for n in range(20)]
    results = await asyncio.gather(
        *(work.ledger.append(append) for append in [*good[:10], *bad, *good[10:]]),
        return_exceptions=True,
    )

    assert [type(r) for r in results].count(bool) == 20
    assert sum(isinstance(r, Exception) for r in results) == 3
    assert len(await work.ledger.entries("c1")) == 20
    assert (await work.row(case.case_id)).round == 20


async def test_a_change_that_fails_leaves_no_entry(work):
    """Entry and projection stand or fall together."""
    case = await work.open()
    with pytest.raises(IntegrityError):
        await work.ledger.append(
            Append(entry("k"), (mark(case.case_id), Change(BREAK, {"n": "f"})))
        )

    assert await work.ledger.entries("c1") == []
    assert (await work.row(case.case_id)).round == 0


async def test_a_connection_cut_before_the_commit_leaves_nothing_half_done(work):
    """The server ends our session between the entry and the commit: neither half is there."""
    case = await work.open()
    with pytest.raises(DBAPIError):
        await work.ledger.append(Append(entry("k"), (mark(case.case_id), Change(DIE, {}))))

    assert await work.ledger.entries("c1") == []
    assert (await work.row(case.case_id)).round == 0
    assert await work.ledger.append(Append(entry("k"), (mark(case.case_id),))) is True
    assert (await work.row(case.case_id)).round == 1
