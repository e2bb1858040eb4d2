"""The real `lockstep up`, with its parts and itself killed while cases are under way.

The vendors run beside it and answer slowly, so that a case lasts long enough to be hit. They are
not among its children here: a real vendor does not die with us, and a simulated one that did
would forget the last quarter of a second of what it had revoked.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.people import Person
from sandbox.vendors.registry import descriptions
from tests.e2e.books import Row, kinds, outcomes
from tests.e2e.installation import Installation, settings_text
from tests.e2e.leavers import full_name, new_people, new_person, termination
from tests.e2e.processes import PATIENCE_S, command_lines, eventually
from tests.e2e.test_load import NO_BRAKE
from tests.e2e.vendors import (
    DIRECTORY,
    NETWORK,
    SAMPLES,
    SIMULATED,
    WITHOUT_BADGES,
    Vendors,
    applied_twice,
    still_open,
)

pytestmark = pytest.mark.e2e

LATENCY_MS = 100
MOST_TO_STOP_S = 60
"""Some seconds, as a rule; whoever is too slow for their grace is killed, and that is told."""
VENDORS = SAMPLES


@pytest.fixture(scope="module")
async def vendors(home: Path) -> AsyncIterator[Vendors]:
    made = Vendors(home, latency_ms=LATENCY_MS)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
async def installation(home: Path, vendors: Vendors) -> AsyncIterator[Installation]:
    made = Installation(home, settings_text(vendors.ports, more=NO_BRAKE))
    yield made
    await made.down()


@pytest.fixture
async def up(installation: Installation) -> Installation:
    """The installation, running: a test may leave it stopped."""
    await installation.up()
    return installation


async def hire(vendors: Vendors) -> tuple[Person, str]:
    """Somebody with access everywhere, and the id of the event that will end it."""
    person = new_person()
    await vendors.seed([person])
    return person, f"evt-{person.worker_id}"


async def under_way(up: Installation, vendors: Vendors) -> tuple[Person, str]:
    """A leaver whose doors are just being closed."""
    person, event_id = await hire(vendors)
    assert await up.post(event_id, termination(person)) == 202
    await eventually(lambda: up.books.under_way(event_id), what="a case under way", poll_s=0.01)
    return person, event_id


async def assert_finished(up: Installation, vendors: Vendors, person: Person, event_id: str) -> Row:
    """The case is closed once, every system revoked and read back, nothing done twice."""
    [case] = await up.books.closed([event_id], within_s=PATIENCE_S)
    entries = await up.books.entries(case["case_id"])
    counted = kinds(entries)

    assert counted["case:opened"] == counted["case:closed"] == 1
    for system in SIMULATED:
        [outcome] = outcomes(entries, system)
        assert outcome["data"]["outcome"] == "revoked"
    for vendor in VENDORS:
        [account] = await vendors.accounts(vendor, person.worker_id)
        assert not still_open(vendor, account), vendor
        assert not applied_twice(await vendors.calls(vendor, person.worker_id)), vendor
    return case


async def test_web_is_killed_right_after_its_202(up: Installation, vendors: Vendors) -> None:
    """An event that was acknowledged becomes a closed case although the web died at once."""
    person, event_id = await hire(vendors)
    before = up.restarts("web")

    assert await up.post(event_id, termination(person)) == 202
    up.kill("web")

    await assert_finished(up, vendors, person, event_id)

    async def again() -> bool:
        return up.restarts("web") == before + 1

    await eventually(again, what="the web's restart")


async def test_a_delivery_that_the_web_did_not_answer_is_repeated(
    up: Installation, vendors: Vendors
) -> None:
    """HR delivers until it is answered; however often that is, one case comes of it."""
    person, event_id = await hire(vendors)
    event = termination(person)
    up.kill("web")

    assert await up.deliver(event_id, event) == 202
    assert await up.post(event_id, event) == 200

    await assert_finished(up, vendors, person, event_id)


async def test_temporal_is_killed_amid_a_case(up: Installation, vendors: Vendors) -> None:
    """Temporal comes back from its file, and the case goes on where it was."""
    person, event_id = await under_way(up, vendors)
    up.kill("temporal")
    killed_at = datetime.now(UTC)

    case = await assert_finished(up, vendors, person, event_id)

    assert case["closed_at"] > killed_at


async def test_temporal_s_data_are_deleted_amid_a_case(up: Installation, vendors: Vendors) -> None:
    """An empty Temporal comes up, and the case is taken up from the database where it was."""
    person, event_id = await under_way(up, vendors)
    files = list(up.home.rglob("temporal.db*"))
    assert files, "there is nothing to delete"
    for file in files:
        file.unlink()
    up.kill("temporal")

    async def taken_up() -> bool:
        return bool(
            await up.books.ask(
                "select 1 from ledger_entries l join inbox i using (case_id)"
                " where i.dedupe_key = %(id)s and l.kind = 'case:restarted'",
                id=event_id,
            )
        )

    await eventually(taken_up, what="the case is taken up again")
    case = await assert_finished(up, vendors, person, event_id)
    assert kinds(await up.books.entries(case["case_id"]))["case:restarted"] == 1
    assert (await up.run("doctor")).code == 0


async def test_postgres_is_killed_amid_a_case(up: Installation, vendors: Vendors) -> None:
    """PostgreSQL recovers; what was not recorded is found out by reading the vendor again."""
    person, event_id = await under_way(up, vendors)
    up.kill("postgres")
    killed_at = datetime.now(UTC)

    case = await assert_finished(up, vendors, person, event_id)

    assert case["closed_at"] > killed_at


async def test_only_what_is_stored_is_acknowledged(up: Installation, vendors: Vendors) -> None:
    """While PostgreSQL dies and recovers each answer is true: 202 is kept, 503 is not stored."""
    people = [replace(p, shape=WITHOUT_BADGES) for p in new_people(12)]
    await vendors.seed(people)
    events = {f"evt-{person.worker_id}": termination(person) for person in people}
    up.kill("postgres")
    answers = {event_id: await up.post(event_id, event) for event_id, event in events.items()}
    again = [await up.deliver(event_id, event) for event_id, event in events.items()]

    assert set(answers.values()) <= {202, 503}
    expected = [200 if status == 202 else 202 for status in answers.values()]
    assert again == expected
    await up.books.closed(list(events), within_s=PATIENCE_S)


async def test_events_are_taken_while_temporal_is_away(up: Installation, vendors: Vendors) -> None:
    """Twenty events are acknowledged without Temporal, and each is a closed case afterwards."""
    # Without badges: that connector admits few calls at once, and these vendors are slow.
    people = [replace(p, shape=WITHOUT_BADGES) for p in new_people(20)]
    await vendors.seed(people)
    ids = [f"evt-{person.worker_id}" for person in people]
    temporal = up.child("temporal")
    up.kill("temporal", signal.SIGSTOP)
    began = time.monotonic()
    answers = await asyncio.gather(
        *(up.post(i, termination(p)) for i, p in zip(ids, people, strict=True))
    )
    took = time.monotonic() - began
    begun = await up.books.ask(
        "select 1 from ledger_entries l join inbox i using (case_id)"
        " where i.dedupe_key = any(%(ids)s) and l.kind = 'revocation:attempt'",
        ids=ids,
    )
    assert up.child("temporal") == temporal, "it must only be stopped, not restarted"
    up.kill("temporal", signal.SIGCONT)

    assert answers == [202] * 20
    assert took < 30, "nobody waits for Temporal"
    assert begun == [], "a vendor was spoken to without Temporal"
    cases = await up.books.closed(ids, within_s=PATIENCE_S)
    assert len({case["case_id"] for case in cases}) == 20
    for person in people:
        for vendor in (DIRECTORY, NETWORK):
            [account] = await vendors.accounts(vendor, person.worker_id)
            assert not still_open(vendor, account)


async def test_a_second_up_in_the_folder_is_refused(up: Installation) -> None:
    """It says in one line who is there and what to do, and disturbs nothing."""
    said = await up.run("up")

    assert said.code == 1
    assert "already running" in said.err
    assert str(up.pid) in said.err
    assert "Traceback" not in said.err
    assert up.left_behind(), "the first one must go on"


async def test_sigterm_ends_all_and_a_second_up_goes_on(up: Installation, vendors: Vendors) -> None:
    """A stop amid a case is clean and quick; the next start finishes the case."""
    person, event_id = await hire(vendors)
    # Held open at one vendor: else the worker would finish the case within its grace.
    down = {"kind": "server_error", "user": person.email, "unbounded": True}
    await vendors.set_faults(DIRECTORY, [down])
    assert await up.post(event_id, termination(person)) == 202
    await eventually(lambda: up.books.under_way(event_id), what="a case under way", poll_s=0.01)

    code, took = await up.terminate(within_s=PATIENCE_S)
    stopped_at = datetime.now(UTC)
    await vendors.set_faults(DIRECTORY, [])

    assert code == 0
    assert took < MOST_TO_STOP_S
    assert b"did not stop and was killed" not in up.log.read_bytes()
    assert up.left_behind() == []
    await up.up()
    case = await assert_finished(up, vendors, person, event_id)
    assert case["closed_at"] > stopped_at


async def test_everything_is_killed_amid_a_case(up: Installation, vendors: Vendors) -> None:
    """Kill -9 of the supervisor takes every part along; the next start finishes the case."""
    person, event_id = await under_way(up, vendors)

    await up.kill_supervisor()
    killed_at = datetime.now(UTC)

    assert up.left_behind() == []
    await up.up()
    assert b"ended without stopping" in up.log.read_bytes()
    case = await assert_finished(up, vendors, person, event_id)
    assert case["closed_at"] > killed_at


async def test_no_name_shows_in_the_processes(up: Installation, vendors: Vendors) -> None:
    """Command lines are open to every user of a machine: no leaver and no token stands there."""
    person, event_id = await under_way(up, vendors)
    lines = [" ".join(words) for words in command_lines(up.pid)]

    assert len(lines) > 4
    tokens = filter(None, descriptions()[DIRECTORY].usual.values())
    for word in (full_name(person), person.email, person.worker_id, *tokens):
        assert not [line for line in lines if word in line]
    await assert_finished(up, vendors, person, event_id)
