"""`lockstep stuck` tells everything that is not done, in words and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.notices.alarms import Alarms
from lockstep.domain.notices import NoticeKind
from lockstep.domain.stalled import TaskFault
from lockstep.domain.sweeping import Loss
from lockstep.storage.engine.clocks import Clocks
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.runtime.sweeping import Sweeps
from tests.cli.systems.test_brake_and_system import hall, home, run
from tests.control.intake.test_brake import Hall, event_of
from tests.support.casework import SYSTEM, TENANT, termination
from tests.support.ledgers import LedgerBook

__all__ = ["hall", "home"]


async def execute(hall: Hall, statement: str, **given: object) -> None:
    async with hall.work.engine.begin() as connection:
        await connection.execute(text(statement), given)


async def told(home, about: str) -> list[dict]:
    code, said = await run(home, "stuck", "--json")
    assert code == 0
    return [row for row in json.loads(said) if row["about"] == about]


async def notices(hall: Hall) -> list[str]:
    facts = await Notices(hall.work.engine).about_cases(datetime.now(UTC))
    return [fact.system for fact in facts if fact.kind is NoticeKind.EVENT]


async def store(inbox: Inbox, key: str, **more: object) -> None:
    given = {"tenant": TENANT, "source": "hr", "dedupe_key": key, "body": b"{}", "priority": 4}
    await inbox.store(received_at=datetime.now(UTC), **given | more)


async def test_nothing_is_an_empty_list(home, hall):
    """Where all is well, there is no row, and the words say so."""
    assert json.loads((await run(home, "stuck", "--json"))[1]) == []
    assert (await run(home, "stuck"))[1].strip() == "Nothing is stuck."


@pytest.mark.parametrize(
    ("why", "verdict"),
    [
        ("webhook-id: this id was used before, for another body", "conflict"),
        ("revision: another statement with this revision is known", "conflict"),
        ("worker: not valid", None),
    ],
)
async def test_a_refused_event_is_told(home, hall, why, verdict):
    """Whatever it contradicts, or where it cannot be read: in words, as data, and by a notice."""
    await store(hall.work.inbox, "evt_1", refused=why, verdict=verdict)
    said = (await run(home, "stuck"))[1]
    assert "evt_1 refused" in " ".join(said.split())
    assert why in said
    [row] = await told(home, "event")
    assert (row["event_id"], row["trouble"], row["why"]) == ("evt_1", "refused", why)
    assert (row["case_id"], row["systems"]) == (None, [])
    assert await notices(hall) == [f"hr, evt_1: {why}"]


async def test_what_a_brakes_approver_refused_is_not_told(home, hall):
    """A person has seen it."""
    await store(hall.work.inbox, "evt_1", refused="refused at the brake: no")
    await execute(hall, "update inbox set brake_id = 'b1'")
    assert (await run(home, "stuck"))[1].strip() == "Nothing is stuck."
    assert await notices(hall) == []


async def test_an_event_that_the_keyring_does_not_open_is_told_until_it_does(home, hall):
    """It waits and nothing is done about it; with the right keys it is told no more."""
    await store(hall.work.inbox, "evt_1")
    lost = Keyring.generate("lost").encrypt(b"{}", context=b"")
    await execute(hall, "update inbox set body = :b", b=lost)
    await hall.dispatch()
    [row] = await told(home, "event")
    assert (row["event_id"], row["trouble"]) == ("evt_1", "unreadable")
    assert "keyring does not open" in (await run(home, "events"))[1]
    assert len(await notices(hall)) == 1
    sealed = hall.work.ring.encrypt(b"{}", context=b"inbox\x00hr\x00evt_1")
    await execute(hall, "update inbox set body = :b, claimed_until = null", b=sealed)
    [event] = await hall.work.inbox.claim(1)
    assert event.dedupe_key == "evt_1"
    assert await told(home, "event") == []


async def test_an_account_of_a_system_that_nobody_knows_is_told(home, hall):
    """The case opens, and that this account is closed by nobody stands wherever people look."""
    event = event_of("W-1", worker={"id": "W-1", "accounts": {"gone-system": "00u1"}})
    await store(hall.work.inbox, "evt_1", body=event.model_dump_json().encode())
    await hall.dispatch()
    assert await hall.states() == {"done": 1}
    [row] = await told(home, "event")
    assert row["trouble"] == "in_part"
    assert "gone-system" in row["why"]
    assert "00u1" not in str(row)
    assert "gone-system" in (await run(home, "events"))[1]
    assert len(await notices(hall)) == 1


async def test_events_that_nobody_carries_out_are_told(home, hall):
    """Acknowledged long ago and still waiting: no worker, no Temporal, or too many."""
    await store(hall.work.inbox, "evt_1")
    assert await told(home, "events_waiting") == []
    await execute(hall, "update inbox set received_at = now() - interval '10 minutes'")
    [row] = await told(home, "events_waiting")
    assert row["count"] == 1
    assert "1 event of HR waits since" in (await run(home, "stuck"))[1]
    assert "1 of them wait since" in (await notices(hall))[0]


async def test_a_ledger_that_makes_no_progress_is_told(home, hall, database):
    """Entries that wait for their place, whoever holds the lock: here and by a notice."""
    await hall.work.open()
    alarms = Alarms(hall.work.stores, anchors=[], silent_after=timedelta(hours=1))
    assert await told(home, "ledger") == await alarms.disorder(datetime.now(UTC)) == []
    made = LedgerBook(database.app_url, database.superuser_url, home)
    made.tamper("update ledger_entries set recorded_at = '2026-11-01 09:30:00+00'")
    made.close()
    [row] = await told(home, "ledger")
    assert row["since"].startswith("2026-11-01T09:30")
    assert "The ledger is not in order since 2026-11-01 09:30" in (await run(home, "stuck"))[1]
    [fact] = await alarms.disorder(datetime.now(UTC))
    assert fact.kind is NoticeKind.LEDGER


async def test_clocks_that_differ_are_told(home, hall):
    """Here, on the page *Now* and by a notice, once a day of each clock."""
    clocks = Clocks(hall.work.engine)
    await clocks.keep("host/7", timedelta(hours=1))
    await clocks.keep("host/8", timedelta(seconds=1))
    alarms = Alarms(hall.work.stores, anchors=[], silent_after=timedelta(hours=1))

    [row] = await told(home, "clock")
    facts = [await alarms.clocks(datetime.now(UTC)) for _ in range(2)]

    assert "worker host/7 is 3,600.0 s ahead of the database's" in row["why"]
    assert "Clocks differ: the clock of worker host/7" in (await run(home, "stuck"))[1]
    assert {fact.key for found in facts for fact in found} == {facts[0][0].key}
    assert facts[0][0].kind is NoticeKind.CLOCK


async def test_doubts_about_a_closed_case_are_in_the_json(home, hall):
    """A later look found accounts that may be the leaver's: on standard output, with the case."""
    case = await hall.work.open()
    await execute(
        hall,
        "insert into findings (finding_id, case_id, system, kind, raised_at)"
        " values ('f1', :case, :system, 'account_in_doubt', now())",
        case=case.case_id,
        system=SYSTEM,
    )
    await execute(hall, "update cases set status = 'closed', closed_at = now()")
    await execute(hall, "update revocations set state = 'settled', outcome = 'not_found'")
    [row] = await told(home, "case")
    assert row["case_id"] == case.case_id
    assert [doubt["system"] for doubt in row["doubts"]] == [SYSTEM]


async def test_who_waits_at_a_brake_and_what_is_not_known_are_in_the_json(home, hall):
    """Nothing is told on standard error only."""
    await hall.mass(6)
    await hall.dispatch()
    [row] = await told(home, "brake")
    assert (row["count"], row["past_cutoff"]) == (3, 0)
    now = datetime.now(UTC)
    await StalledCases(hall.work.engine).looked({}, at=now, total=0, problem="too old")
    [row] = await told(home, "unknown")
    assert "too old" in row["why"]


async def test_a_workflow_that_is_not_as_the_database_says_is_told(home, hall):
    """In words and as data, until a worker has taken the case up again; and what is not known."""
    case = await hall.work.open()
    sweeps = Sweeps(hall.work.engine)
    sweeps.young_s = 0
    await sweeps.claim(case.case_id, Loss.TERMINATED)
    assert "its workflow was terminated" in " ".join((await run(home, "stuck"))[1].split())
    [row] = await told(home, "workflow")
    assert (row["case_id"], row["loss"]) == (case.case_id, "terminated")

    await sweeps.restarted(case.case_id, Loss.TERMINATED)
    assert await told(home, "workflow") == []
    await execute(hall, "update task_looks set looked_at = now() - interval '3 minutes'")
    whys = " ".join(row["why"] for row in await told(home, "unknown"))
    assert "Not known whether every case has its workflow" in whys


async def test_a_case_that_cannot_go_on_is_marked_where_it_is_shown(home, hall):
    """`case show` says it first, in words and as data; and where it is not known, that."""
    case = await hall.work.open()
    show = ("case", "show", case.case_id)
    assert "cannot go on" not in (await run(home, *show))[1]
    kept = StalledCases(hall.work.engine)
    now, _ = await kept.clock()
    await kept.looked({case.case_id: TaskFault.WORKER}, at=now, total=1)
    assert "cannot go on since" in (await run(home, *show))[1]
    told = json.loads((await run(home, *show, "--json"))[1])
    assert told["stalled"]["reason"] == TaskFault.WORKER.reason
    assert told["stalled_known"]
    await kept.looked({}, at=now + timedelta(seconds=1), total=0, problem="too old")
    other = await hall.work.open(termination("W-2"))
    said = (await run(home, "case", "show", other.case_id))[1]
    assert "Whether every case goes on is not known: too old." in said


async def test_a_shut_sign_in_is_told_and_no_more_is_claimed(home, hall):
    """By `case show` and `stuck`, while the rest is open."""
    case = await hall.work.open()
    await execute(
        hall,
        "update revocations set state = 'needs_person', fault = 'permission_missing',"
        " contained_at = '2026-11-30 09:30:00+00' where system = :system",
        system=SYSTEM,
    )
    await execute(hall, "update cases set status = 'revoking', begun_at = now()")
    words = (
        "Sign-in shut at 2026-11-30 09:30:00 UTC, read back. Everything else is not proved gone."
    )
    assert f"{SYSTEM}: {words}" in (await run(home, "case", "show", case.case_id))[1]
    assert words in (await run(home, "stuck"))[1]


@pytest.mark.parametrize("status", ["revoking", "closed"])
@pytest.mark.parametrize(
    "left",
    [
        "state = 'scheduled', warn_at = now() - interval '1 s'",
        "state = 'retrying', warn_at = now() - interval '1 s'",
        "state = 'retrying', updated_at = now() - interval '16 minutes', retry_at = null",
        "state = 'revoking', updated_at = now() - interval '16 minutes'",
    ],
)
async def test_what_a_kill_has_left_open_is_told(home, hall, status, left):
    """Never begun, or given up amid a fault; also an optional system of a closed case."""
    case = await hall.work.open(termination("W-1"))
    later = "warn_at = now() + interval '1 hour'"
    await execute(hall, f"update revocations set state = 'settled', {later}")
    await execute(hall, "update cases set status = :s", s=status)
    assert await told(home, "case") == []
    await execute(hall, f"update revocations set {left} where system = :s", s=SYSTEM)
    [row] = await told(home, "case")
    assert row["case_id"] == case.case_id
    assert SYSTEM in (await run(home, "stuck"))[1]


async def test_a_case_that_is_done_and_does_not_close_is_told(home, hall):
    """Not at once: closing takes a moment."""
    case = await hall.work.open(termination("W-1"))
    await execute(hall, "update revocations set state = 'settled'")
    assert await told(home, "case") == []
    for table in ("revocations", "cases"):
        await execute(hall, f"update {table} set updated_at = now() - interval '16 minutes'")
    assert [row["case_id"] for row in await told(home, "case")] == [case.case_id]
    assert "the case does not close" in (await run(home, "stuck"))[1]
