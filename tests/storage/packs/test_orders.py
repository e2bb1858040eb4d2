"""The list of exports: one works on each, a dead one's work is taken up, what is over stays so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.storage.packs.orders import Exports

LEASE = timedelta(seconds=60)
NONE = timedelta(0)


@pytest.fixture
def exports(engine) -> Exports:
    return Exports(engine)


async def ordered(exports: Exports, *ids: str, running: timedelta | None = None) -> None:
    for place, export_id in enumerate(ids):
        at = datetime.now(UTC) + timedelta(milliseconds=place)
        await exports.order(
            export_id, {"identified": False}, requested_by="token:t", at=at, running_for=running
        )


async def state(exports: Exports, export_id: str) -> str:
    row = await exports.get(export_id)
    assert row is not None
    return row.state


async def set_back(engine, **columns: timedelta) -> None:
    """Let time pass for every export."""
    for column, ago in columns.items():
        statement = text(f"update exports set {column} = {column} - cast(:ago as interval)")
        async with engine.begin() as connection:
            await connection.execute(statement, {"ago": ago})


async def finished(exports: Exports, export_id: str, *, name: str | None = "p.zip") -> bool:
    return await exports.finish(export_id, file_name=name, sha256="ab", size_bytes=3, entries=7)


async def test_every_order_is_taken_once_and_the_oldest_first(exports):
    """Many at once share nothing."""
    await ordered(exports, "e1", "e2", "e3")
    taken = await asyncio.gather(*(exports.claim(LEASE) for _ in range(6)))
    assert sorted(row.export_id for row in taken if row) == ["e1", "e2", "e3"]
    assert await exports.claim(LEASE) is None


async def test_the_work_of_a_dead_one_is_taken_up(exports, engine):
    """As soon as its lease is over; not while it says that it lives."""
    await ordered(exports, "e1")
    await exports.claim(LEASE)
    await set_back(engine, claimed_until=LEASE / 2)
    assert await exports.claim(LEASE) is None
    await exports.beat("e1", done=5, total=9, lease=LEASE)
    await set_back(engine, claimed_until=LEASE / 2)
    assert await exports.claim(LEASE) is None
    await set_back(engine, claimed_until=LEASE / 2)
    again = await exports.claim(LEASE)

    assert again is not None
    assert (again.export_id, again.done_entries, again.all_entries) == ("e1", 5, 9)


async def test_what_is_given_back_waits_a_while(exports, engine):
    """A database that stumbled is not asked again at once."""
    await ordered(exports, "e1")
    await exports.claim(LEASE)
    await exports.release("e1", after=timedelta(seconds=30))
    assert await exports.claim(LEASE) is None
    await set_back(engine, claimed_until=timedelta(seconds=31))
    assert await exports.claim(LEASE) is not None


async def test_a_command_lines_export_is_never_taken_by_a_job(exports):
    """Its file belongs elsewhere."""
    await ordered(exports, "e1", running=NONE)
    assert await exports.claim(LEASE) is None


async def test_what_is_over_stays_as_it_is(exports):
    """A late word changes nothing, and whoever says it is told."""
    await ordered(exports, "e1", "e2")
    assert await finished(exports, "e1")
    await exports.cancel("e2")
    for export_id, stands in (("e1", True), ("e2", False)):
        assert await finished(exports, export_id, name="other.zip") is stands
        await exports.fail(export_id, "too late")
        await exports.beat(export_id, done=1, total=1, lease=LEASE)
    row = await exports.get("e1")

    assert row is not None
    assert (row.state, row.file_name, row.error, row.done_entries) == ("done", "p.zip", None, 7)
    assert await state(exports, "e2") == "cancelled"
    assert await exports.waiting() == 0


async def test_what_nobody_will_finish_is_given_up(exports, engine):
    """A killed command line, and an order that waited too long; not one that is worked on."""
    await ordered(exports, "killed", running=LEASE)
    await ordered(exports, "stale", "at-work")
    await set_back(engine, requested_at=timedelta(hours=25), claimed_until=timedelta(minutes=2))
    await exports.release("at-work", after=LEASE)
    await ordered(exports, "alive", running=LEASE)
    await ordered(exports, "fresh")
    await exports.give_up(pending_for=timedelta(hours=24))

    expected = {
        "killed": "failed",
        "stale": "failed",
        "at-work": "pending",
        "alive": "running",
        "fresh": "pending",
    }
    assert {each: await state(exports, each) for each in expected} == expected


async def test_files_are_named_for_deletion_after_their_time(exports, engine):
    """Not earlier, not twice, and none that a command line keeps elsewhere."""
    await ordered(exports, "old", "kept-elsewhere", "new")
    assert await finished(exports, "old", name="old.zip")
    assert await finished(exports, "kept-elsewhere", name=None)
    await set_back(engine, finished_at=timedelta(days=31))
    assert await finished(exports, "new", name="new.zip")
    assert await exports.outlived(timedelta(days=30)) == [("old", "old.zip")]
    await exports.expire(["old"])

    assert await exports.outlived(timedelta(days=30)) == []
    assert [await state(exports, each) for each in ("old", "kept-elsewhere", "new")] == [
        "expired",
        "done",
        "done",
    ]
    row = await exports.get("old")
    assert row is not None
    assert (row.file_name, row.sha256) == (None, "ab")


async def test_the_list_is_bounded_and_newest_first(exports):
    """However many there are."""
    await ordered(exports, *(f"e{number}" for number in range(5)))
    assert [row.export_id for row in await exports.newest(3)] == ["e4", "e3", "e2"]
    assert await exports.get("nobody") is None
