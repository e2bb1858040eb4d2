"""Anchorings: the newest checkpoint and every heartbeat, once each, for every anchor by itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.engine.database import create_engine
from lockstep.storage.ledger.anchorings import (
    CLAIM,
    LONGEST_WAIT,
    SHORTEST_WAIT,
    Anchorings,
    AnchorState,
    Due,
    backoff,
)
from tests.support.heads import rows, sign

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
BEAT = EntryKind.LEDGER_HEARTBEAT
ONE = ["one"]


@pytest.fixture
def store(engine) -> Anchorings:
    return Anchorings(engine)


async def due(store: Anchorings, now: datetime = NOW, anchors=ONE, limit: int = 10):
    return sorted((row.anchor, row.size) for row in await store.due(now, limit, anchors=anchors))


async def fail(store: Anchorings, row: Due, now: datetime = NOW, error: str = "down") -> bool:
    return await store.failed(row, error=error, now=now)


async def test_nothing_is_due_before_the_first_checkpoint(store):
    """An empty ledger has nothing to show."""
    assert await due(store) == []


async def test_every_anchor_is_given_the_newest(store, engine):
    """What was signed before an anchor existed is under the newest anyway."""
    await sign(engine, 3, 5, 9)

    assert await due(store, anchors=["one", "two"]) == [("one", 9), ("two", 9)]


async def test_what_is_claimed_is_left_to_its_claimant(store, engine):
    """Until the claim ends; then somebody else takes it, and counts."""
    await sign(engine, 9)
    [first] = await store.due(NOW, 10, anchors=ONE)

    assert await due(store, NOW + CLAIM - timedelta(seconds=1)) == []
    [again] = await store.due(NOW + CLAIM, 10, anchors=ONE)
    assert (first.attempts, again.attempts) == (1, 2)


async def test_what_is_done_is_not_due(store, engine):
    """Until something newer is signed."""
    await sign(engine, 9)
    await due(store)
    await store.done("one", 9, receipt=b"r", now=NOW)
    assert await due(store, NOW + timedelta(days=1)) == []
    await sign(engine, 12)

    assert await due(store) == [("one", 12)]


async def test_only_the_newest_of_many_goes_there(store, engine):
    """Also when they come while one is under way."""
    await sign(engine, 9)
    await due(store)
    await sign(engine, 10, 11, 12)
    assert await due(store) == []
    await store.done("one", 9, receipt=b"r", now=NOW)

    assert await due(store) == [("one", 12)]
    assert list(await rows(engine)) == [("one", 9), ("one", 12)]


async def test_a_failed_one_gives_way_to_the_newest(store, engine):
    """When its time has come, and not before: a failing anchor is not asked more often."""
    await sign(engine, 9)
    for attempt in range(1, 6):
        [row] = await store.due(NOW, 10, anchors=ONE)
        assert row.attempts == attempt
        await fail(store, row, NOW - LONGEST_WAIT)
    [row] = await store.due(NOW, 10, anchors=ONE)
    await fail(store, row)
    await sign(engine, 10, 11)
    assert await due(store, NOW + timedelta(seconds=1)) == []
    [row] = await store.due(NOW + LONGEST_WAIT, 10, anchors=ONE)

    assert (row.size, row.attempts) == (11, 7)
    assert await rows(engine) == {
        ("one", 9): ("superseded", 6, "down"),
        ("one", 11): ("pending", 7, "down"),
    }


async def test_every_heartbeat_goes_there(store, engine):
    """One after the other, the oldest first, the newest last; a day may not be left out."""
    await sign(engine, 9)
    await due(store)
    await sign(engine, 10, 12, 14, reason=BEAT)
    await sign(engine, 11, 13, 15)
    await store.done("one", 9, receipt=b"r", now=NOW)
    seen = []
    while found := await due(store):
        seen += found
        await store.done("one", found[0][1], receipt=b"r", now=NOW)

    assert seen == [("one", 10), ("one", 12), ("one", 14), ("one", 15)]


async def test_heartbeats_are_not_stepped_over_by_a_failing_anchor(store, engine):
    """Those of a week's outage wait behind each other; failures are counted for the anchor."""
    await sign(engine, 9)
    now = NOW
    for day in range(1, 8):
        [row] = await store.due(now, 10, anchors=ONE)
        assert row.attempts == day
        await fail(store, row, now)
        await sign(engine, 10 * day, reason=BEAT)
        now += timedelta(days=1)
    seen = []
    while found := await due(store, now):
        seen += found
        await store.done("one", found[0][1], receipt=b"r", now=now)

    assert seen == [("one", 10 * day) for day in range(1, 8)]


async def test_an_old_heartbeat_is_not_for_a_new_anchor(store, engine):
    """It begins with the newest."""
    await sign(engine, 3, 5, reason=BEAT)
    await sign(engine, 9)

    assert await due(store) == [("one", 9)]
    await store.done("one", 9, receipt=b"r", now=NOW)
    assert await due(store) == []


async def test_an_anchor_is_given_one_at_a_time(store, engine):
    """Whatever waits behind it; other anchors are not concerned."""
    await sign(engine, 9)
    await due(store)
    await sign(engine, 10, 11, reason=BEAT)

    assert await due(store, anchors=["one", "two"]) == [("two", 11)]


async def test_an_anchor_that_is_not_configured_is_left_alone(store, engine):
    """Its rows stay; nobody tries it."""
    await sign(engine, 9)
    await due(store, anchors=["gone"])
    await sign(engine, 10)

    assert await due(store, NOW + timedelta(days=1)) == [("one", 10)]


async def test_the_limit_is_kept(store, engine):
    """The rest is for the next look."""
    await sign(engine, 9)
    names = [f"a{number}" for number in range(5)]
    first = await due(store, anchors=names, limit=2)
    rest = await due(store, anchors=names)

    assert (len(first), len(rest)) == (2, 3)
    assert sorted(first + rest) == [(name, 9) for name in names]


async def test_many_processes_share_without_overlap(database, store, engine):
    """Every anchor goes to one of ten that look at once."""
    await sign(engine, 9)
    names = [f"a{number}" for number in range(20)]
    engines = [create_engine(database.app_url, pool_size=1) for _ in range(10)]
    found: list[tuple[str, int]] = []

    async def work(mine: Anchorings) -> None:
        for _ in range(10):
            found.extend(await due(mine, anchors=names, limit=3))

    await asyncio.gather(*(work(Anchorings(one)) for one in engines))
    for one in engines:
        await one.dispose()
    found.extend(await due(store, anchors=names, limit=20))

    assert sorted(found) == sorted((name, 9) for name in names)


async def test_while_one_plans_the_others_do_not_wait(store, engine):
    """They look again later; nobody queues up behind a slow planner."""
    await sign(engine, 9)
    async with engine.begin() as connection:
        await connection.execute(
            text("select pg_advisory_xact_lock(hashtextextended('lockstep.storage.anchorings', 0))")
        )
        async with asyncio.timeout(30):
            assert await due(store) == []

    assert await due(store) == [("one", 9)]


async def test_a_failure_is_news_once(store, engine):
    """And so is its end; in between only the table changes."""
    await sign(engine, 9)
    [row] = await store.due(NOW, 10, anchors=ONE)

    assert await fail(store, row) is True
    assert await fail(store, row) is False
    await sign(engine, 10, reason=BEAT)
    [row] = await store.due(NOW + LONGEST_WAIT, 10, anchors=ONE)
    assert await fail(store, row) is False
    assert await store.done("one", 10, receipt=b"r", now=NOW) is True
    assert await store.done("one", 10, receipt=b"r", now=NOW) is False


async def test_who_comes_back_is_not_kept_waiting(store, engine):
    """When a check by hand finds it well, what waited for its time is due at once, uncounted."""
    await sign(engine, 9)
    await store.done("one", 9, receipt=b"r", now=NOW)
    await sign(engine, 10, reason=BEAT)
    [row] = await store.due(NOW, 10, anchors=ONE)
    await fail(store, row)
    await sign(engine, 11)
    assert await due(store) == []
    assert await store.done("one", 11, receipt=b"r", now=NOW) is True
    [row] = await store.due(NOW, 10, anchors=ONE)

    assert (row.size, row.attempts) == (10, 1)


async def test_a_conflict_stays_and_holds_up_nothing(store, engine):
    """It is shown for ever; larger checkpoints are published all the same."""
    await sign(engine, 9)
    await due(store)
    await store.conflicted("one", 9, error="9.txt holds another checkpoint", now=NOW)
    assert await due(store, NOW + timedelta(days=1)) == []
    await sign(engine, 10)
    assert await due(store) == [("one", 10)]
    await store.done("one", 10, receipt=b"r", now=NOW)
    [standing] = await store.standings(ONE)

    assert (standing.state, standing.conflict, standing.size) == (AnchorState.CONFLICT, 9, 10)
    assert (await rows(engine))["one", 9] == ("conflict", 1, "9.txt holds another checkpoint")


async def test_a_conflict_counts_even_after_success(store, engine):
    """A copy that was right and is not any more was changed."""
    await sign(engine, 9)
    await store.done("one", 9, receipt=b"r", now=NOW)
    await store.conflicted("one", 9, error="no", now=NOW)

    assert (await store.standings(ONE))[0].state is AnchorState.CONFLICT


async def test_standings(store, engine):
    """Each anchor's last copy, what it lacks, and why."""
    names = ["new", "good", "late", "bad"]
    [empty] = await store.standings(["new"])
    assert (empty.state, empty.size, empty.behind) == (AnchorState.CURRENT, None, 0)
    await sign(engine, 9)
    for name in ("good", "late", "bad"):
        await store.done(name, 9, receipt=b"r", now=NOW)
    await sign(engine, 15)
    await store.done("good", 15, receipt=b"r", now=NOW)
    [row] = await store.due(NOW, 10, anchors=["bad"])
    await fail(store, row, error="x" * 300)
    new, good, late, bad = await store.standings(names)

    assert [one.anchor for one in (new, good, late, bad)] == names
    assert (new.state, new.size, new.behind) == (AnchorState.BEHIND, None, 15)
    assert (good.state, good.size, good.behind, good.done_at) == (AnchorState.CURRENT, 15, 0, NOW)
    assert (late.state, late.size, late.behind) == (AnchorState.BEHIND, 9, 6)
    assert (bad.state, bad.size, bad.behind, bad.attempts) == (AnchorState.FAILING, 9, 6, 1)
    assert bad.error == "x" * 200
    assert SHORTEST_WAIT <= bad.next_at - NOW <= LONGEST_WAIT


@given(attempts=st.integers(min_value=1, max_value=10**6))
def test_the_wait_is_bounded_and_grows(attempts):
    """From one second to a quarter of an hour, less at most half."""
    full = min(2.0 ** min(attempts - 1, 20), LONGEST_WAIT.total_seconds())

    assert max(full / 2, 1) <= backoff(attempts).total_seconds() <= max(full, 1)


def test_the_wait_is_not_the_same_for_all():
    """Many installations of one peer must not come back in step."""
    assert len({backoff(8) for _ in range(20)}) > 10
