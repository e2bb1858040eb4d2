"""The inbox: an acknowledged event is there once, unreadable to others, until it is finished."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.storage.engine.database import create_engine
from lockstep.storage.intake.inbox import Disposition, Inbox
from lockstep.storage.keys.keyring import Keyring
from tests.support.casework import EMAIL, NAME, TENANT, WORKER

BODY = f'{{"worker": {{"id": "{WORKER}", "name": "{NAME}", "emails": ["{EMAIL}"]}}}}'.encode()


async def put(inbox: Inbox, key: str, priority: int = 4, refused: str | None = None) -> bool:
    return await inbox.store(
        tenant=TENANT,
        source="hr",
        dedupe_key=key,
        received_at=datetime.now(UTC),
        body=BODY,
        priority=priority,
        refused=refused,
    )


@pytest.fixture
async def second(database, ring):
    """The inbox of another process."""
    engine = create_engine(database.app_url)
    yield Inbox(engine, ring)
    await engine.dispose()


async def expire_claims(work) -> None:
    async with work.engine.begin() as connection:
        await connection.execute(text("update inbox set claimed_until = now() - interval '1 s'"))


async def test_a_stored_event_comes_out_as_it_went_in(work):
    """The raw bytes are what the sender signed."""
    assert await put(work.inbox, "e1") is True
    [event] = await work.inbox.claim(10)

    assert (event.tenant, event.source, event.dedupe_key) == (TENANT, "hr", "e1")
    assert event.body == BODY
    assert NAME not in repr(event)


async def test_a_duplicate_is_stored_once(work):
    """The same id from the same source is one event; from another source it is another."""
    await put(work.inbox, "e1")

    assert await put(work.inbox, "e1") is False
    assert await work.inbox.counts() == {"pending": 1}


async def test_twenty_deliveries_at_once_are_one_event(work, second):
    """However a sender's retries race, exactly one of them is new."""
    stores = [put(inbox, "e1") for inbox in (work.inbox, second) for _ in range(10)]

    assert sorted(await asyncio.gather(*stores)) == [False] * 19 + [True]


async def test_a_refused_event_is_kept_and_never_claimed(work):
    """Operations can see it; no case comes of it."""
    await put(work.inbox, "e1", refused="dates: give one")

    assert await work.inbox.claim(10) == []
    assert await work.inbox.counts() == {"refused": 1}


async def test_a_corrected_event_takes_the_place_of_a_refused_one(work):
    """Corrected under its old id it is new; a refused repetition changes nothing that is usable."""
    await put(work.inbox, "e1", refused="dates: give one")

    assert await put(work.inbox, "e1", refused="kind: missing") is False
    assert await put(work.inbox, "e1") is True
    assert await put(work.inbox, "e1") is False
    assert await put(work.inbox, "e1", refused="kind: missing") is False
    assert await work.inbox.counts() == {"pending": 1}
    assert [event.body for event in await work.inbox.claim(10)] == [BODY]


async def test_the_row_shows_nobody(work):
    """Neither the raw row nor its text form holds the person."""
    await put(work.inbox, "e1")
    async with work.engine.connect() as connection:
        row = (await connection.execute(text("select inbox::text, body from inbox"))).one()

    for secret in (NAME, EMAIL, WORKER):
        assert secret not in row[0]
        assert secret.encode() not in bytes(row[1])
        assert secret.encode().hex() not in row[0]


async def test_the_urgent_come_first_then_the_older(work):
    """Claims go by priority, then by arrival."""
    for key, priority in (("late", 4), ("later", 4), ("urgent", 1), ("odd", 5)):
        await put(work.inbox, key, priority)

    assert [event.dedupe_key for event in await work.inbox.claim(3)] == ["urgent", "late", "later"]


async def test_two_dispatchers_share_without_overlap(work, second):
    """Every event goes to exactly one of two dispatchers that claim side by side."""
    for number in range(40):
        await put(work.inbox, f"e{number}")
    batches = await asyncio.gather(
        *(inbox.claim(7) for _ in range(3) for inbox in (work.inbox, second))
    )
    claimed = [event.dedupe_key for batch in batches for event in batch]

    assert len(claimed) == len(set(claimed)) == 40


async def test_a_row_that_another_holds_is_skipped_not_awaited(work, second):
    """A dispatcher in the middle of its claim does not hold up the others."""
    await put(work.inbox, "e1")
    await put(work.inbox, "e2")
    async with work.engine.begin() as connection:
        await connection.execute(text("select 1 from inbox where dedupe_key = 'e1' for update"))
        events = await asyncio.wait_for(second.claim(10), 30)

    assert [event.dedupe_key for event in events] == ["e2"]


async def test_a_dead_dispatchers_claim_expires(work, second):
    """What was claimed and never finished is claimed again, and counted."""
    await put(work.inbox, "e1")
    await work.inbox.claim(10)
    assert await second.claim(10) == []
    await expire_claims(work)

    [event] = await second.claim(10)
    assert event.attempts == 2


async def test_a_released_event_waits_its_time(work):
    """Released for later it stays hidden, released for now it comes back."""
    await put(work.inbox, "e1")
    [event] = await work.inbox.claim(10)
    await work.inbox.release([event.id], after=timedelta(hours=1))
    assert await work.inbox.claim(10) == []
    await work.inbox.release([event.id], after=timedelta(0))

    assert [again.id for again in await work.inbox.claim(10)] == [event.id]


async def test_a_finished_event_stays_finished(work):
    """Done is done, with its case and verdict, however often claims are made."""
    await put(work.inbox, "e1")
    [event] = await work.inbox.claim(10)
    await work.inbox.finish([Disposition(event.id, "done", "c1", "open")])
    await expire_claims(work)

    assert await work.inbox.claim(10) == []
    assert await work.inbox.counts() == {"done": 1}


async def test_an_event_that_cannot_be_decrypted_holds_up_nobody(work):
    """An event under a lost key stays pending for people; those behind it are dispatched."""
    await put(work.inbox, "unreadable", priority=1)
    async with work.engine.begin() as connection:
        lost = Keyring.generate("lost").encrypt(b"{}", context=b"")
        await connection.execute(text("update inbox set body = :body"), {"body": lost})
    await put(work.inbox, "readable")

    assert [event.dedupe_key for event in await work.inbox.claim(10)] == ["readable"]
    assert await work.inbox.counts() == {"pending": 2}


async def test_a_body_moved_to_another_row_does_not_open(work):
    """Whoever can write rows still cannot pass one event's body off as another's."""
    await put(work.inbox, "e1")
    async with work.engine.begin() as connection:
        await connection.execute(text("update inbox set dedupe_key = 'e2'"))

    assert await work.inbox.claim(10) == []


async def test_only_what_is_urgent_is_claimed_when_asked(work):
    """A dispatcher that is behind leaves everything but the most urgent waiting."""
    await put(work.inbox, "later", priority=4)
    await put(work.inbox, "now", priority=1)

    urgent = await work.inbox.claim(10, lowest_priority=1)
    rest = await work.inbox.claim(10)

    assert [event.dedupe_key for event in urgent] == ["now"]
    assert [event.dedupe_key for event in rest] == ["later"]
