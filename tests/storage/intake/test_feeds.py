"""HR's sources in the ledger: who is expected, who was heard, and finding both again."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.evidence.ledger.history import History
from lockstep.scorecard.facts import Feed
from lockstep.storage.cases.rows import Opening
from lockstep.storage.intake.feeds import Feeds, read_feeds
from tests.support.casework import SOURCE, TENANT, Casework, termination
from tests.support.scoring import ms

NOW = datetime(2026, 11, 23, 10, 58, 0, 123000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def feeds(engine) -> Feeds:
    return Feeds(engine, TENANT)


async def entries(engine, kind: str = "feed:%") -> list[dict]:
    """Our entries in the order of insertion."""
    query = text("select body from ledger_entries where kind like :kind order by id")
    async with engine.connect() as connection:
        return [json.loads(raw) for raw in await connection.scalars(query, {"kind": kind})]


async def told(engine, partner: str | None = None) -> list[Feed]:
    async with engine.connect() as connection:
        return await read_feeds(connection, partner=partner)


async def folded(engine) -> tuple[Feed, ...]:
    """What a reader of the whole ledger comes to."""
    history = History()
    for leaf, entry in enumerate(await entries(engine, "%")):
        history.add(leaf, entry)
    return history.feeds.feeds()


def hear(feeds: Feeds, source: str, at: datetime, *, sent: datetime | None = None):
    return feeds.hear(source, sent_at=sent or at, received_at=at)


# --- expected -------------------------------------------------------------------------------------


async def test_sources_are_put_on_record_when_they_change(feeds, engine):
    """A start with the same ones says nothing; one less, none, and back again are all said."""
    said = [await feeds.expect(names) for names in (["b", "a"], {"a", "b"}, ["a"], [], [], ["a"])]
    rows = await entries(engine)

    assert said == [True, False, True, True, False, True]
    assert [row["data"]["sources"] for row in rows] == [["a", "b"], ["a"], [], ["a"]]
    assert len({row["key"] for row in rows}) == 4


async def test_without_sources_nothing_is_said(feeds, engine):
    """An evaluation has no HR: its ledger says no word about it, and nobody is expected."""
    assert await feeds.expect([]) is False
    assert await entries(engine) == []
    assert await told(engine) == []


async def test_workers_that_start_together_say_it_once(engine):
    """Each with a connection of its own."""
    said = await asyncio.gather(*(Feeds(engine, TENANT).expect(["hr"]) for _ in range(6)))

    assert sorted(said) == [False] * 5 + [True]
    assert len(await entries(engine)) == 1


# --- heard ----------------------------------------------------------------------------------------


async def test_a_source_is_heard_once_an_hour(feeds, engine):
    """Each source by itself; also after a restart, which has forgotten what it said."""
    said = [await hear(feeds, "hr", NOW + timedelta(minutes=20 * n)) for n in range(6)]
    other = await hear(feeds, "agency", NOW)
    again = await hear(Feeds(engine, TENANT), "hr", NOW)

    assert said == [True, True, False, False, True, False]
    assert (other, again) == (True, False)
    assert [row["occurred_at"][11:16] for row in await entries(engine)] == [
        *("10:58", "11:18", "12:18", "10:58"),
    ]


async def test_a_repeated_message_says_nothing_new_in_the_next_hour(feeds, engine):
    """What was signed at 10:58 and is played again at 11:02 belongs to its own hour."""
    await hear(feeds, "hr", NOW)
    await feeds.expect(["hr"], at=NOW - MINUTE)
    for after in (Feeds(engine, TENANT), feeds):
        assert await hear(after, "hr", NOW + 4 * MINUTE, sent=NOW) is False

    assert await told(engine) == [Feed("hr", ms(NOW - MINUTE), ms(NOW))]


async def test_of_many_that_hear_at_once_one_says_it(engine):
    """No error, no second entry."""
    said = await asyncio.gather(*(hear(Feeds(engine, TENANT), "hr", NOW) for _ in range(10)))

    assert sorted(said) == [False] * 9 + [True]


async def test_an_hour_is_of_utc(feeds, engine):
    """Whatever zone the sender's clock is told in."""
    manila = datetime.fromisoformat("2026-11-23T18:58:00+08:00")
    assert await hear(feeds, "hr", NOW)
    assert await hear(feeds, "hr", NOW, sent=manila) is False


# --- found again ----------------------------------------------------------------------------------


async def test_the_newest_is_found_among_names_that_look_alike(feeds, engine):
    """And among years of hours; a source that is not expected is left out."""
    names = ["hr", "hr-2", "hr2", "h", "hr-2026-11-23t05"]
    await feeds.expect(names, at=NOW - timedelta(days=9))
    for number, name in enumerate(names[:-1]):
        for back in (400, 30, number + 1):
            await hear(feeds, name, NOW - timedelta(days=back))
    await hear(feeds, "other", NOW)

    found = await told(engine)
    assert tuple(found) == await folded(engine)
    assert {feed.source: feed.heard_at for feed in found} == {
        "hr": ms(NOW - timedelta(days=1)),
        "hr-2": ms(NOW - timedelta(days=2)),
        "hr2": ms(NOW - timedelta(days=3)),
        "h": ms(NOW - timedelta(days=4)),
        "hr-2026-11-23t05": None,
    }


async def test_senders_with_clocks_apart(feeds, engine):
    """One signs ahead of us into the next hour, another behind: the later hearing counts."""
    await feeds.expect(["hr"], at=NOW - MINUTE)
    await hear(feeds, "hr", NOW, sent=NOW + 4 * MINUTE)
    await hear(feeds, "hr", NOW + 4 * MINUTE, sent=NOW + MINUTE)

    assert await told(engine) == [Feed("hr", ms(NOW - MINUTE), ms(NOW + 4 * MINUTE))]
    assert tuple(await told(engine)) == await folded(engine)


async def test_cases_say_that_their_source_was_heard(feeds, engine, ring):
    """When the event was received, never later than the case was opened; of one partner or all."""
    work = Casework(engine, ring)
    await work.adopt()
    now = datetime.now(UTC)
    await feeds.expect([SOURCE, "agency"], at=now - timedelta(days=30))
    await hear(feeds, SOURCE, now - timedelta(days=20))
    for number, (partner, back, tombstone) in enumerate(
        [("north", 3, False), ("south", 2, True), ("north", 9, False)]
    ):
        said = termination(f"W-{number}", partner=partner)
        heard = now - timedelta(days=back)
        opening = Opening(said, heard, now, tombstone=tombstone)
        assert (await work.cases.open([opening], work.policy))[0] is not None
    ahead = Opening(termination("W-9", source="agency"), now + timedelta(days=5), now)
    [case] = await work.cases.open([ahead], work.policy)

    agency, everybody = await told(engine)
    assert everybody.heard_at == ms(now - timedelta(days=2))
    assert agency.heard_at == ms(case.opened_at)
    assert (agency, everybody) == await folded(engine)
    assert (await told(engine, "north"))[1].heard_at == ms(now - timedelta(days=3))
    assert (await told(engine, "nobody"))[1].heard_at == ms(now - timedelta(days=20))


async def test_neither_look_reads_the_ledger_through(feeds, engine, database):
    """By the index of keys: a ledger has millions of entries."""
    await feeds.expect(["hr"])
    await hear(feeds, "hr", NOW)
    filler = (
        "insert into ledger_entries (key, kind, recorded_at, body, leaf_hash)"
        " select 'case-' || n || ':watch:look', 'watch:look', now(), '', ''"
        " from generate_series(1, 20000) n"
    )
    async with engine.begin() as connection:
        await connection.execute(text(filler))
    async with engine.connect() as connection:
        before = await _read_through(connection)
        await read_feeds(connection)
        await connection.rollback()
        after = await _read_through(connection)

    assert after == before


async def _read_through(connection) -> int:
    """How many times the ledger was read from end to end, as this session counts."""
    await connection.execute(text("select pg_stat_force_next_flush()"))
    await connection.commit()
    query = "select seq_scan from pg_stat_user_tables where relname = 'ledger_entries'"
    return int(await connection.scalar(text(query)))
