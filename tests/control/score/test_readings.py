"""Readings of the score: daily and after a close, each with its message, thinned out with time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.readings import SCORECARD, Readings
from lockstep.control.score.rules import Rules
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.score.scores import Scores
from tests.control.notices.receiver import Receiver, eventually, outbox_to
from tests.support.casework import TENANT, Casework
from tests.support.scoring import DAY, facts, sign_head, store

SECRET = "whsec_" + base64.b64encode(b"the scorecard's secret ........").decode()
RULES = Rules(tenant=TENANT)


@pytest.fixture
def scores(engine) -> Scores:
    return Scores(engine)


class Clock:
    """Now, moved by hand."""

    def __init__(self, start: datetime) -> None:
        self.moment = start

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver(SECRET)
    await made.up()
    yield made
    await made.down()


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC).replace(hour=12))


@pytest.fixture
def readings(scores, clock) -> Readings:
    service = ScoreService(scores, RULES, now=clock)
    return Readings(scores, service, target=SCORECARD, now=clock)


async def bodies(engine) -> list[dict]:
    """What is in the outbox, oldest first."""
    async with engine.connect() as connection:
        rows = await connection.scalars(text("select body from deliveries order by created_at"))
        return [json.loads(bytes(row)) for row in rows]


async def test_readings_are_daily_and_soon_after_a_close(engine, readings, clock):
    """At the first look of a day; after a closing, but at most one a minute; else none."""
    await store(engine, [facts("one")])
    taken = [await readings.step(), await readings.step()]
    await sign_head(engine, 7)
    taken.append(await readings.step())
    clock.pass_(seconds=61)
    taken += [await readings.step(), await readings.step()]
    await sign_head(engine, 9, reason="ledger:heartbeat")
    clock.pass_(minutes=5)
    taken.append(await readings.step())
    clock.pass_(hours=13)
    taken.append(await readings.step())

    assert taken == ["daily", "", "", "case:closed", "", "", "daily"]


async def test_a_close_under_a_heartbeat_is_not_overlooked(engine, ring, readings, clock):
    """Closings share a head with what asked before them; the leaves beneath it tell."""
    work = Casework(engine, ring)
    await work.adopt()
    case = await work.open()
    taken = [await readings.step()]
    await sign_head(engine, 1, reason="ledger:heartbeat")
    clock.pass_(minutes=2)
    taken.append(await readings.step())
    await work.close(case.case_id, 1)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into ledger_leaves (leaf_index, entry_id)"
                " select row_number() over (order by id) - 1, id from ledger_entries"
            )
        )
    taken.append(await readings.step())
    await sign_head(engine, 3, reason="ledger:heartbeat")
    taken.append(await readings.step())

    assert taken == ["daily", "", "", "case:closed"]


async def test_a_report_of_another_metric_is_news(engine, readings, clock):
    """It moves the dimension, so the scorecard hears of it."""
    taken = [await readings.step()]
    clock.pass_(minutes=2)
    await sign_head(engine, 2, reason="metric:reported")
    taken.append(await readings.step())

    assert taken == ["daily", "metric:reported"]


async def test_a_reading_and_its_message_are_one(engine, scores, readings):
    """The body is the score's document with the ledger's head, exact to the digit."""
    await store(engine, [facts("one")])
    await sign_head(engine, 7)
    await readings.step()
    [body] = await bodies(engine)
    kept = await scores.newest()

    assert body["type"] == "people_score.read"
    assert body["reason"] == kept.reason == "daily"
    assert body["data"] == kept.document
    assert body["data"]["score"]["value"] == "20.00"
    assert body["data"]["ledger"]["size"] == 7
    assert body["data"]["ledger"]["root"] == "07" * 32


async def test_neither_stands_without_the_other(engine, scores, readings):
    """If the message cannot be written, there is no reading either."""
    await store(engine, [facts("one")])
    failing = Readings(scores, readings._service, target="no\x00target", now=readings._now)
    with pytest.raises(SQLAlchemyError, match="NUL"):
        await failing.step()

    assert await scores.newest() is None
    assert await bodies(engine) == []


async def test_a_close_arrives_at_the_scorecard(engine, readings, receiver):
    """From the signed head of a closing to the other side: signed, once, exact."""
    await store(engine, [facts("one")])
    await sign_head(engine, 7)
    await readings.step()
    async with outbox_to(Deliveries(engine), receiver.url, SECRET) as outbox:
        assert [await outbox.step(), await outbox.step()] == [True, False]
    [got] = receiver.accepted

    assert got.document["data"]["score"]["value"] == "20.00"
    assert got.document["data"]["ledger"]["root"] == "07" * 32


async def test_without_a_scorecard_readings_stay_here(engine, scores, readings):
    """No address, no message; the trend works all the same."""
    await Readings(scores, readings._service, now=readings._now).step()

    assert await scores.newest() is not None
    assert await bodies(engine) == []


async def test_of_several_workers_one_takes_the_reading(engine, readings):
    """Under a lock, in one transaction: a closing is read once."""
    await store(engine, [facts("one")])
    taken = await asyncio.gather(*(readings.step() for _ in range(4)))

    assert sorted(taken) == ["", "", "", "daily"]
    assert len(await bodies(engine)) == 1


async def test_readings_are_thinned_out_to_one_a_day(engine, scores, readings, clock):
    """All of 35 days, then the last of each day; the trend has one point a day."""
    await store(engine, [facts("one", ago=50 * DAY)])
    clock.pass_(days=-40)
    for size in range(1, 4):
        await sign_head(engine, size)
        await readings.step()
        clock.pass_(hours=2)
    clock.pass_(days=39)
    for size in range(4, 7):
        await sign_head(engine, size)
        await readings.step()
        clock.pass_(hours=2)
    async with engine.connect() as connection:
        count = await connection.scalar(text("select count(*) from score_snapshots"))
    trend = await readings._service.trend(100)

    assert count == 1 + 3
    assert [row["value"] for row in trend["points"]] == ["20.00", "20.00"]
    assert [(row["days"], row["change"]) for row in trend["changes"]] == [
        (7, "0.00"),
        (30, "0.00"),
        (90, None),
    ]


async def test_readings_run_until_cancelled_and_outlive_an_outage(
    engine, scores, readings, database, monkeypatch
):
    """The loop waits for the database and goes on; cancelling ends it."""
    monkeypatch.setattr(
        "lockstep.control.score.readings._AFTER_TROUBLE", timedelta(milliseconds=50)
    )
    calls = 0
    turn = scores.turn

    def failing_once():
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the database is away")
        return turn()

    monkeypatch.setattr(scores, "turn", failing_once)
    task = asyncio.create_task(readings.run())

    async def taken() -> bool:
        return await scores.newest() is not None

    await eventually(taken)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert calls >= 2
    assert await scores.newest() is not None
    assert (await Deliveries(engine).backlog())[0] == 1
