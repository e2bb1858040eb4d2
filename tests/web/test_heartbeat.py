"""A heartbeat says that HR is there: signed like an event, once an hour, and opens nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from lockstep.control.intake.events import EventError, FeedHeartbeat, TerminationEvent, read_message
from lockstep.web.hooks.signatures import Verifier
from tests.support.ledgers import plain
from tests.web.conftest import SECRET, WRONG_SECRET, Hook, body, signed

BEAT = json.dumps({"type": "feed.heartbeat"}).encode()


async def heard(engine) -> list[dict]:
    """Entries that say that a source was heard."""
    query = text("select body from ledger_entries where kind = 'feed:heard' order by id")
    async with engine.connect() as connection:
        return [json.loads(raw) for raw in await connection.scalars(query)]


async def test_a_heartbeat_goes_on_record_and_opens_nothing(hook: Hook, engine):
    """The ledger has the source and the instant; the inbox stays empty."""
    answer = await hook.deliver(BEAT)
    [entry] = await heard(engine)

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert entry["data"] == {"source": "hr"}
    assert entry["key"].startswith("feed:heard:hr:20")
    assert await hook.counts() == {}


async def test_more_of_them_in_an_hour_say_nothing_new(hook: Hook, engine):
    """Whatever their ids; however many arrive at once."""
    await hook.deliver(BEAT)
    more = (hook.deliver(BEAT, event_id=f"beat_{n}") for n in range(10))
    answers = await asyncio.gather(*more)
    hours = {entry["key"] for entry in await heard(engine)}

    assert {answer.status_code for answer in answers} <= {200, 202}  # 202: the hour has ended
    assert len(hours) == len(await heard(engine)) <= 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"secret": WRONG_SECRET}, "bad_signature"),
        ({"age": timedelta(seconds=330)}, "bad_signature"),
        ({"age": timedelta(seconds=-360)}, "bad_signature"),
    ],
)
async def test_a_forged_or_stale_heartbeat_is_refused(hook: Hook, engine, options, says):
    """Nobody but HR can keep the score alive, and not by a recording."""
    answer = await hook.deliver(BEAT, **options)

    assert (answer.status_code, answer.json()) == (401, {"error": says})
    assert await heard(engine) == []


async def test_a_heartbeat_of_an_unknown_source_is_refused(hook: Hook, engine):
    """404, like an event."""
    assert (await hook.deliver(BEAT, source="payroll")).status_code == 404
    assert await heard(engine) == []


async def test_a_heartbeats_signature_is_for_itself_only(hook: Hook, engine):
    """A recorded delivery of an event cannot be turned into a heartbeat, nor given another id."""
    event = signed(body())
    answers = [
        await hook.deliver(BEAT, event),
        await hook.deliver(BEAT, {**signed(BEAT), "webhook-id": "evt_2"}),
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert await heard(engine) == []


def test_a_delivery_is_of_the_second_that_was_signed():
    """A fraction that somebody adds to the header does not move it to another hour."""
    headers = signed(BEAT)
    fraction = {**headers, "webhook-timestamp": headers["webhook-timestamp"] + ".999"}
    moments = [Verifier([SECRET]).verify(BEAT, given).sent_at for given in (headers, fraction)]

    assert moments[0] == moments[1].replace(microsecond=0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data": {}}, "data: Extra inputs are not permitted"),
        ({"timestamp": "yesterday"}, "timestamp: "),
        ({"timestamp": "2026-11-23T05:04:03"}, "timestamp: "),
        ({"type": "feed.heartbeats"}, "type: "),
        ({"type": ["feed.heartbeat"]}, "type: "),
    ],
)
async def test_what_is_not_quite_a_heartbeat_is_refused_and_kept(hook, engine, change, problem):
    """For operations, like a misspelt event; the source is not heard by what is not understood."""
    raw = json.dumps({"type": "feed.heartbeat", **change}).encode()
    answer = await hook.deliver(raw)

    assert answer.status_code == 422
    assert any(line.startswith(problem) for line in answer.json()["problems"])
    assert await hook.counts() == {"refused": 1}
    assert await heard(engine) == []


async def test_an_accepted_event_is_a_sign_of_life_too(hook: Hook, engine):
    """Once; a duplicate is none, and neither is an event that cannot be used."""
    await hook.deliver(body(kind="fired"), event_id="evt_0")
    refused = await heard(engine)
    await hook.deliver(body())
    [entry] = await heard(engine)
    again = await hook.deliver(body())

    assert refused == []
    assert entry["data"] == {"source": "hr"}
    assert again.status_code == 200
    assert await heard(engine) == [entry]


async def test_while_the_ledger_cannot_be_written_events_are_taken(hook: Hook, engine):
    """Intake does not hang on it; a heartbeat, which is nothing else, is to be sent again."""
    ledger = "on ledger_entries {} lockstep_app"
    with psycopg.connect(plain(hook.superuser_url), autocommit=True) as admin:
        admin.execute(f"revoke insert {ledger.format('from')}".encode())
        event = await hook.deliver(body())
        beat = await hook.deliver(BEAT, event_id="beat_1")
        admin.execute(f"grant insert {ledger.format('to')}".encode())
    later = await hook.deliver(BEAT, event_id="beat_2")

    assert (event.status_code, beat.status_code) == (202, 503)
    assert beat.headers["retry-after"] == "30"
    assert later.status_code == 202
    assert await hook.counts() == {"pending": 1}
    assert len(await heard(engine)) == 1


async def test_without_the_database_a_heartbeat_is_not_acknowledged(hook: Hook, engine):
    """503 while it is away; the same heartbeat is taken once it is back."""
    hook.database(up=False)
    refused = await hook.deliver(BEAT)
    hook.database(up=True)
    accepted = await hook.deliver(BEAT)

    assert (refused.status_code, accepted.status_code) == (503, 202)
    assert len(await heard(engine)) == 1


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        (BEAT, FeedHeartbeat),
        (b'{"type": "feed.heartbeat", "timestamp": "2026-11-23T05:04:03+08:00"}', FeedHeartbeat),
        (b'\xef\xbb\xbf{"type": "feed\\u002eheartbeat"}', FeedHeartbeat),
        (body(), TerminationEvent),
    ],
)
def test_a_message_is_one_or_the_other(raw, model):
    """By its type; an event has none."""
    assert isinstance(read_message(raw), model)


@pytest.mark.parametrize("raw", [b"", b"[]", b"feed.heartbeat", b'{"type":"x","type":"y"}'])
def test_anything_else_is_neither(raw):
    """And says why."""
    with pytest.raises(EventError):
        read_message(raw)
