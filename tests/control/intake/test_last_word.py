"""What HR said before the cutoff counts at the cutoff, however long the inbox is."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.record import RecordActivities
from lockstep.contracts.payloads import BeginInput, BeginState
from lockstep.control.intake.events import read_event
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.storage.cases.reads import read_cases
from lockstep.storage.cases.rows import pin
from lockstep.storage.intake.unheard import UnheardError
from lockstep.storage.keys.keyring import Keyring
from lockstep.worker import Parts, build_workers, running
from tests.control.intake.test_whose_case import HOUR, Intake, event
from tests.support.casework import SYSTEM, TENANT
from tests.support.memory_connector import MemoryConnector

NOW = timedelta(0)
DAY = timedelta(days=1)


class Office(Intake):
    """HR's sources, whose dispatcher runs when it is told to, and cases that begin."""

    def __init__(self, work, policy) -> None:
        super().__init__(work, policy)
        self.record = RecordActivities(work.cases, work.revocations, self.dispatcher.hear)

    async def say(self, *, named: bool = True, **said) -> str:
        """Acknowledge an event, and no more; its key. Not ``named``: as an earlier release did."""
        self._sent += 1
        key, document = f"evt_{self._sent}", event(**said)
        read = read_event(document)
        await self.work.inbox.store(
            tenant=TENANT,
            source="hr-a",
            dedupe_key=key,
            received_at=datetime.now(UTC),
            body=json.dumps(document).encode(),
            priority=4,
            about=(read.worker.id, read.spell) if named else None,
        )
        return key

    async def reported(self, **said) -> str:
        """A case whose cutoff came a moment ago while it slept."""
        await self.say(ends=HOUR, **said)
        await self.drain()
        return await self.due()

    async def due(self) -> str:
        """Let the cutoff of the newest case have come."""
        query = text(
            "update cases set cutoff_at = now() - interval '1 s' where case_id ="
            " (select case_id from cases order by opened_at desc limit 1) returning case_id"
        )
        async with self.work.engine.begin() as connection:
            return str(await connection.scalar(query))

    async def begin(self, case_id: str):
        return await ActivityEnvironment().run(self.record.begin_revoking, BeginInput(case_id))

    async def kinds(self, case_id: str) -> list[str]:
        return await self.work.kinds(case_id)


@pytest.fixture
async def office(work) -> Office:
    return Office(work, work.policy)


@pytest.mark.parametrize("named", [True, False], ids=["indexed", "of_an_earlier_release"])
async def test_a_rescission_that_waits_in_the_inbox_stops_the_case_at_its_cutoff(office, named):
    """Nobody has drained the inbox; whoever stays is not touched."""
    case_id = await office.reported()
    key = await office.say(revision=2, action="rescinded", named=named)

    assert (await office.begin(case_id)).state is BeginState.RESCINDED
    assert await office.became(key) == "done rescind"
    assert await office.kinds(case_id) == ["case:opened", "case:rescinded"]
    await office.drain()
    assert await office.became(key) == "done rescind"


async def test_a_later_date_that_waits_in_the_inbox_moves_the_cutoff(office):
    """The case sleeps on, until the date that HR acknowledged last."""
    case_id = await office.reported()
    await office.say(revision=2, action="amended", ends=DAY)
    await office.say(revision=3, action="amended", ends=2 * DAY)

    answer = await office.begin(case_id)

    assert answer.state is BeginState.WAIT
    assert answer.cutoff > datetime.now(UTC) + DAY
    assert await office.cases() == [("hr-a", 1, "scheduled", 3)]


async def test_what_is_said_of_others_holds_nobody_up(office):
    """Another worker's, another spell's and another source's word leave this case alone."""
    case_id = await office.reported()
    await office.say(worker="2", ends=HOUR)
    await office.say(spell="2", ends=HOUR)

    assert (await office.begin(case_id)).state is BeginState.BEGIN
    assert await office.became("evt_2") == "pending"


async def test_another_employment_keeps_its_turn(office):
    """Called off, and then reported anew: the old case ends, and the dispatcher opens a new one."""
    case_id = await office.reported()
    await office.say(revision=2, action="rescinded")
    anew = await office.say(revision=3, ends=HOUR)

    assert (await office.begin(case_id)).state is BeginState.RESCINDED
    assert await office.became(anew) == "pending"
    await office.drain()
    assert [row[2] for row in await office.cases()] == ["rescinded", "scheduled"]


async def test_an_event_that_nobody_can_read_holds_no_door_open(office, work):
    """Its key is gone: the case begins, and the event stays where people see it."""
    case_id = await office.reported()
    await office.say(revision=2, action="rescinded")
    spoilt = Keyring.generate().encrypt(b"{}", context=b"")
    async with work.engine.begin() as connection:
        await connection.execute(
            text("update inbox set body = :b where state = 'pending'"), {"b": spoilt}
        )

    assert (await office.begin(case_id)).state is BeginState.BEGIN
    assert await office.became("evt_2") == "pending"


async def test_nothing_begins_unheard(office, work):
    """The guard can fail: without anybody who hears, beginning is refused."""
    case_id = await office.reported()
    await office.say(revision=2, action="rescinded")

    with pytest.raises(UnheardError):
        await work.cases.begin(case_id)
    assert await office.kinds(case_id) == ["case:opened"]


@pytest.mark.parametrize(
    ("later", "state"),
    [
        ({"action": "rescinded"}, "rescinded"),
        ({"action": "amended", "ends": DAY}, "scheduled"),
        ({"ends": DAY}, "scheduled"),
        ({"action": "amended", "ends": NOW}, "revoking"),
    ],
    ids=["rescinded", "later", "reported_anew", "corrected"],
)
async def test_a_case_that_is_due_when_it_opens_hears_what_came_with_it(office, later, state):
    """No worker ran for a while: termination and correction come out of the inbox together."""
    await office.say(ends=-HOUR)
    for number in range(30):  # so that they do not share a batch
        await office.say(worker=f"other-{number}", ends=HOUR)
    await office.say(**{"revision": 2, "ends": -HOUR, **later})
    await office.dispatcher.drain_once()

    [case] = [row for row in await office.cases() if row[2] != "scheduled"] or [None]
    assert case is None, "nothing begins before the rest is heard"
    case_id = str(
        await office_scalar(office, "select case_id from cases order by cutoff_at limit 1")
    )
    await office.begin(case_id)

    assert (await office.work.case(case_id))["status"] == state
    opened = (await office.work.entries(case_id))[0]
    assert opened["data"]["waits"] is True


async def test_a_case_that_is_due_and_alone_begins_at_once(office):
    """The usual dismissal costs no activity more."""
    await office.say(ends=-HOUR)
    await office.drain()

    assert [row[2] for row in await office.cases()] == ["revoking"]


async def test_the_database_s_clock_says_when_a_cutoff_has_come(office, work, monkeypatch):
    """A worker whose clock is an hour ahead neither opens a case as begun nor begins one."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + HOUR

    monkeypatch.setattr("lockstep.storage.cases.cases.datetime", Ahead)
    await office.say(ends=HOUR / 2)
    await office.drain()

    assert [row[2] for row in await office.cases()] == ["scheduled"]
    case_id = str(await office_scalar(office, "select case_id from cases"))
    assert (await office.begin(case_id)).state is BeginState.WAIT


async def test_a_cutoff_that_is_a_moment_ahead_is_waited_for(office):
    """Nothing begins before it, and no timer's second is lost."""
    case_id = await office.reported()
    query = "update cases set cutoff_at = clock_timestamp() + interval '700 ms' returning cutoff_at"
    cutoff = await office_scalar(office, query)

    assert (await office.begin(case_id)).state is BeginState.BEGIN
    begun = (await office.work.case(case_id))["begun_at"]
    assert timedelta(0) <= begun - cutoff < timedelta(milliseconds=600)


async def office_scalar(office: Office, query: str) -> object:
    async with office.work.engine.begin() as connection:
        return await connection.scalar(text(query))


# --- a storm, on the real servers -----------------------------------------------------------------

_STAYS, _LATER, _GOES = 6, 6, 4
_AHEAD = 300
_SOON = timedelta(seconds=3)


async def test_a_storm_with_amendments_touches_nobody_before_the_cutoff_in_force(client, work):
    """Hundreds of events wait ahead of what HR said last, and a dispatcher drains them meanwhile.

    Who was called off is never touched, who leaves later only later, and who leaves, at once.
    """
    policy = pin(Policy("1", (SystemPolicy(SYSTEM, "memory", Category.SAAS, Tier.ONE),), watch=()))
    await work.adopt(policy)
    office = Office(work, policy)
    connector = Watched()
    starter = CaseStarter(client, work.cases, (SYSTEM,))
    parts = Parts(work.stores, {SYSTEM: connector})
    people = [f"P-{number}" for number in range(_STAYS + _LATER + _GOES)]
    for worker in people:
        connector.hire(worker)
        await office.say(worker=worker, email=f"{worker}@example.com", ends=HOUR)
    await office.drain()
    for number in range(_AHEAD):
        await office.say(worker=f"X-{number}", email=f"x{number}@example.com", ends=DAY)
    stays, later, goes = people[:_STAYS], people[_STAYS:-_GOES], people[-_GOES:]
    for worker in stays:
        await office.say(worker=worker, revision=2, action="rescinded")
    for worker in later:
        await office.say(worker=worker, revision=2, action="amended", ends=3 * _SOON)
    office.dispatcher._starter = starter
    cutoff = await _start_all(work, starter)

    async with running(build_workers(client, parts, hear=office.dispatcher.hear)):
        slow = asyncio.create_task(_trickle(office))
        try:
            await _until(lambda: connector.touched.keys() >= {*later, *goes})
        finally:
            slow.cancel()
        await _until_rescinded(work, len(stays))

    assert not connector.touched.keys() & set(stays)
    cutoffs = await _cutoffs(work)
    for worker in (*later, *goes):
        assert connector.touched[worker] >= cutoffs[worker in later]
    assert cutoffs[False] == cutoff < cutoffs[True]


async def _start_all(work, starter: CaseStarter) -> datetime:
    """Give every case a cutoff that comes soon, and start its workflow; the cutoff."""
    soon = text("update cases set cutoff_at = date_trunc('ms', now() + :soon) returning case_id")
    async with work.engine.begin() as connection:
        ids = list(await connection.scalars(soon, {"soon": _SOON}))
    async with work.engine.connect() as connection:
        rows = [row for row in await read_cases(connection, ids) if row is not None]
    for row in rows:
        await starter.start(row)
    return rows[0].cutoff_at


class Watched(MemoryConnector):
    """Notes when each person was first touched."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: dict[str, datetime] = {}

    async def contain(self, account, before, transcript):
        self.touched.setdefault(account.id, datetime.now(UTC))
        return await super().contain(account, before, transcript)


async def _trickle(office: Office) -> None:
    """A dispatcher that is behind: a batch now and then."""
    while True:
        await office.dispatcher.drain_once()
        await asyncio.sleep(1)


async def _until(check) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def _until_rescinded(work, count: int) -> None:
    query = text("select count(*) from cases where status = 'rescinded'")
    deadline = time.monotonic() + 60
    while True:
        async with work.engine.connect() as connection:
            if await connection.scalar(query) == count:
                return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def _cutoffs(work) -> dict[bool, datetime]:
    """The earliest cutoff in force, of those who leave later (True) and those who leave first."""
    query = text(
        "select revision = 2 as later, min(cutoff_at) as at from cases"
        " where status in ('revoking', 'closed') group by 1"
    )
    async with work.engine.connect() as connection:
        return {row.later: row.at for row in await connection.execute(query)}
