"""The outbox: signed, newest first, never lost, whatever happens to either side."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from lockstep.control.notices.outbox import LONGEST_WAIT, Outbox, Webhooks, _backoff
from lockstep.storage.outgoing.deliveries import Deliveries, enqueue
from tests.control.notices.receiver import STALL, Receiver, eventually, outbox_to

SECRET = "whsec_" + base64.b64encode(b"the scorecard's secret ........").decode()
TARGET = "scorecard"
QUICK = timedelta(milliseconds=50)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver(SECRET)
    await made.up()
    yield made
    await made.down()


@pytest.fixture
def deliveries(engine) -> Deliveries:
    return Deliveries(engine)


async def put(engine, number: int, *, age: timedelta = timedelta(0)) -> str:
    """One message into the outbox, as old as told."""
    async with engine.begin() as connection:
        body = json.dumps({"number": number, "value": "19.27", "sign": "≥"}).encode()
        return await enqueue(connection, target=TARGET, body=body, at=datetime.now(UTC) - age)


async def rows(engine) -> dict[str, tuple[str, int, str | None]]:
    """State, attempts and error of each message."""
    async with engine.connect() as connection:
        found = await connection.execute(text("select * from deliveries"))
        return {row.delivery_id: (row.state, row.attempts, row.error) for row in found}


async def next_at(engine) -> datetime:
    """When the only message is tried again."""
    async with engine.connect() as connection:
        return await connection.scalar(text("select next_at from deliveries"))


async def due_now(engine) -> None:
    """As if the waiting time were over."""
    async with engine.begin() as connection:
        await connection.execute(text("update deliveries set next_at = now()"))


@contextlib.asynccontextmanager
async def running(
    deliveries: Deliveries, url: Callable[[], str], *, patience: timedelta = timedelta(seconds=30)
):
    receiver = Webhooks(url(), SECRET, patience=patience)
    task = asyncio.create_task(Outbox(deliveries, receiver, target=TARGET, poll=QUICK).run())
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_message_arrives_once_with_a_right_signature(engine, deliveries, receiver):
    """Signed by Standard Webhooks (the receiver checks it), JSON, then marked as delivered."""
    message = await put(engine, 1)
    async with running(deliveries, lambda: receiver.url):
        [got] = await receiver.until(1)

        async def recorded() -> bool:
            return (await rows(engine))[message] == ("delivered", 1, None)

        await eventually(recorded)

    assert (got.id, got.path) == (message, "/people?key=hidden")
    assert got.headers["content-type"] == "application/json"
    assert got.document == {"number": 1, "value": "19.27", "sign": "≥"}
    assert len(receiver.seen) == 1
    assert await deliveries.backlog() == (0, None)


async def test_down_then_failing_then_slow_then_up_arrives_once(engine, deliveries, receiver):
    """No connection, 500, a redirect, an answer that never comes: tried again until accepted."""
    await receiver.down()
    receiver.answers = [500, 302, STALL, 404]
    receiver.headers = {"Location": "http://127.0.0.1:9/"}
    message = await put(engine, 1)
    errors = []
    for number in range(5):
        began = datetime.now(UTC)
        patience = timedelta(seconds=0.5 if receiver.answers[:1] == [STALL] else 30)
        async with outbox_to(deliveries, receiver.url, SECRET, patience=patience) as outbox:
            assert await outbox.step()
        errors.append((await rows(engine))[message][2])
        assert await next_at(engine) >= began + _backoff(number + 1)
        if number == 0:
            await receiver.up()
        if number < 4:
            await due_now(engine)
    async with outbox_to(deliveries, receiver.url, SECRET) as outbox:
        assert not await outbox.step()
        await due_now(engine)
        assert await outbox.step()

    assert errors == [
        "ConnectError",
        "status 500",
        "status 302",
        "no answer in time",
        "status 404",
    ]
    assert (await rows(engine))[message] == ("delivered", 6, None)
    assert [got.id for got in receiver.accepted] == [message]
    assert {got.id for got in receiver.seen} == {message}
    assert len({got.body for got in receiver.seen}) == 1


async def test_the_loop_outlives_an_outage_of_the_receiver(engine, deliveries, receiver):
    """Left alone, it delivers as soon as the scorecard is back: the first wait is one second."""
    await receiver.down()
    message = await put(engine, 1)
    async with running(deliveries, lambda: receiver.url) as task:

        async def tried() -> bool:
            return (await rows(engine))[message][1] > 0

        await eventually(tried)
        await receiver.up()
        await receiver.until(1)

        assert not task.done()


def test_waits_grow_from_a_second_to_an_hour():
    """And stay there for ever."""
    waits = [_backoff(attempt).total_seconds() for attempt in (1, 2, 3, 10, 12, 13, 10**6)]

    assert waits == [1, 2, 4, 512, 2048, 3600, 3600]


@pytest.mark.parametrize(("asked", "waited"), [("120", 120), ("999999", 3600), ("0", 1)])
async def test_the_receivers_waiting_time_wins(engine, deliveries, receiver, asked, waited):
    """`Retry-After`, within our bounds."""
    receiver.answers = [503]
    receiver.headers = {"Retry-After": asked}
    await put(engine, 1)
    began = datetime.now(UTC)
    async with outbox_to(deliveries, receiver.url, SECRET) as outbox:
        await outbox.step()
    ended = datetime.now(UTC)

    wait = timedelta(seconds=waited)
    assert began + wait <= await next_at(engine) <= ended + wait
    assert timedelta(seconds=waited) <= LONGEST_WAIT


async def test_killed_between_send_and_record_it_arrives_again_under_the_same_id(
    engine, deliveries, receiver, database
):
    """The receiver has it, the sender dies before it can say so: again, same id, same bytes."""
    message = await put(engine, 1)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = (sys.executable, "-m", "tests.control.intake.sending")
    sender = await asyncio.create_subprocess_exec(
        *command, database.app_url, receiver.url, SECRET, "2", env=environment
    )
    receiver.on_request = lambda _: os.kill(sender.pid, signal.SIGKILL)
    await receiver.until(1)
    assert await sender.wait() == -signal.SIGKILL
    assert (await rows(engine))[message] == ("pending", 1, None)

    receiver.on_request = lambda _: None
    async with running(deliveries, lambda: receiver.url):
        first, second = await receiver.until(2)

    assert (first.id, first.body) == (second.id, second.body) == (message, first.body)
    assert first.headers["webhook-timestamp"] <= second.headers["webhook-timestamp"]


async def test_after_an_outage_the_newest_goes_first_and_each_day_arrives(
    engine, deliveries, receiver
):
    """Of one day the last is enough; of no day is nothing sent; none disappears in silence."""
    day = timedelta(days=1)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0)
    base = datetime.now(UTC) - noon + day  # ages count from yesterday noon
    ages = {1: base + 2 * day, 2: base + 2 * day - timedelta(hours=3), 3: base + day, 4: base}
    ages[5] = base - timedelta(hours=2)
    ids = {number: await put(engine, number, age=age) for number, age in ages.items()}
    async with outbox_to(deliveries, receiver.url, SECRET) as outbox:
        while await outbox.step():
            pass
    states = {number: (await rows(engine))[message][0] for number, message in ids.items()}

    assert [got.document["number"] for got in receiver.accepted] == [5, 3, 2]
    assert states == {
        1: "superseded",
        2: "delivered",
        3: "delivered",
        4: "superseded",
        5: "delivered",
    }


async def test_two_senders_do_not_send_one_message_twice(engine, deliveries, receiver):
    """A claim is taken under a row lock and lasts longer than any exchange."""
    first = datetime.now(UTC)
    for number in range(10):  # one for each day, if midnight comes in between too
        await put(engine, number, age=datetime.now(UTC) - first + timedelta(days=number))
    async with (
        running(deliveries, lambda: receiver.url),
        running(Deliveries(engine), lambda: receiver.url),
    ):
        await receiver.until(10)

        async def empty() -> bool:
            return (await deliveries.backlog())[0] == 0

        await eventually(empty)

    sent = [got.id for got in receiver.seen]
    assert len(sent) == len(set(sent)) == 10


async def test_what_is_over_is_thinned_out(engine, deliveries, receiver):
    """Delivered messages stay 35 days, pending ones for ever."""
    old = await put(engine, 1, age=timedelta(days=36))
    await deliveries.delivered(await deliveries.claim(TARGET, lease=QUICK))
    left_after_first = set(await rows(engine))
    older = await put(engine, 2, age=timedelta(days=400))
    new = await put(engine, 3)
    claimed = await deliveries.claim(TARGET, lease=QUICK)
    await deliveries.delivered(claimed)

    assert left_after_first == set()
    assert old not in await rows(engine)
    assert claimed.delivery_id == new
    assert (await rows(engine))[older][0] == "pending"


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://scorecard.example/hook", SECRET),
        ("http://127.0.0.1.scorecard.example/hook", SECRET),
        ("https://user:password@scorecard.example/", SECRET),
        ("https://scorecard.example/hook", "whsec_short"),
        ("https://scorecard.example/hook", "hunter2"),
    ],
)
def test_an_unsafe_receiver_is_refused(url, secret):
    """Not in clear, no credentials in the address, no guessable secret; and none is quoted."""
    with pytest.raises(ValueError, match=r"scorecard\.url|webhook secret") as refused:
        Webhooks(url, secret)

    assert secret.removeprefix("whsec_") not in str(refused.value)
    assert "password" not in str(refused.value)
