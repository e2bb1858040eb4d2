"""The worker is killed again and again while HR changes its mind shortly before the cutoff."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.people import Person
from tests.e2e.installation import Installation, settings_text
from tests.e2e.leavers import new_people, termination
from tests.e2e.processes import PATIENCE_S
from tests.e2e.test_load import NO_BRAKE
from tests.e2e.vendors import SAMPLES, Vendors, still_open

pytestmark = pytest.mark.e2e

EACH = 4
"""So many leave as reported, so many later, and so many not at all."""
AHEAD_S = 25.0
"""From the report to the first cutoff."""
EVERY_S = 2.5
"""Between two kills, up to some seconds after the cutoff."""
VENDORS = SAMPLES


async def test_the_last_word_before_the_cutoff_counts(home: Path) -> None:
    """No effect comes before the cutoff in force, at any vendor, and whoever stays keeps all."""
    vendors = Vendors(home)
    up = Installation(home, settings_text(vendors.ports, more=NO_BRAKE))
    try:
        await vendors.start()
        await up.up()
        await _storm(up, vendors)
    finally:
        await up.down()
        await vendors.stop()


async def _storm(up: Installation, vendors: Vendors) -> None:
    people = new_people(3 * EACH)
    leave, later, stay = people[:EACH], people[EACH : 2 * EACH], people[2 * EACH :]
    await vendors.seed(people)
    cutoff = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
    for person in people:
        assert await _say(up, person, revision=1, ends=cutoff) == 202
    killing = asyncio.create_task(_kill_until(up, cutoff + timedelta(seconds=5)))
    for place, (first, second) in enumerate(zip(later, stay, strict=True)):
        await _sleep_until(cutoff - timedelta(seconds=8 - 2 * place))  # the last 2 s before
        put_off = cutoff + timedelta(hours=1)
        said = (
            _say(up, first, revision=2, ends=put_off, action="amended"),
            _say(up, second, revision=2, ends=cutoff, action="rescinded"),
        )
        assert await asyncio.gather(*said) == [202, 202]
    assert datetime.now(UTC) < cutoff, "too slow a machine: HR did not come in time"
    kills = await killing

    assert kills >= 3
    await up.books.closed([_event(person, 1) for person in leave], within_s=2 * PATIENCE_S)
    await _assert_none_early(up, vendors, leave, cutoff)
    await _assert_untouched(up, vendors, [*later, *stay])


def _event(person: Person, revision: int) -> str:
    return f"evt-{person.worker_id}-{revision}"


async def _say(
    up: Installation, person: Person, *, revision: int, ends: datetime, **changes: object
) -> int:
    dates = {"zone": person.time_zone, "access_ends_at": ends.isoformat()}
    event = termination(person, kind="voluntary", revision=revision, dates=dates, **changes)
    return await up.post(_event(person, revision), event)


async def _sleep_until(instant: datetime) -> None:
    await asyncio.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()))


async def _kill_until(up: Installation, end: datetime) -> int:
    """How often a worker was killed; between its end and its successor there is none to kill."""
    kills = 0
    while datetime.now(UTC) < end:
        with contextlib.suppress(AssertionError, ProcessLookupError):
            up.kill("worker")
            kills += 1
        await asyncio.sleep(EVERY_S)
    return kills


async def _assert_none_early(
    up: Installation, vendors: Vendors, people: Sequence[Person], cutoff: datetime
) -> None:
    early = await up.books.ask(
        "select kind, case_id from ledger_entries where kind in"
        " ('case:begun', 'revocation:attempt', 'revocation:outcome') and recorded_at < %(cutoff)s",
        cutoff=cutoff,
    )
    assert early == []
    for person in people:
        for vendor in VENDORS:
            calls = await vendors.calls(vendor, person.worker_id)
            assert all(datetime.fromisoformat(call["at"]) >= cutoff for call in calls)
            [account] = await vendors.accounts(vendor, person.worker_id)
            assert not still_open(vendor, account), vendor


async def _assert_untouched(up: Installation, vendors: Vendors, people: Sequence[Person]) -> None:
    begun = await up.books.ask(
        "select 1 from cases c join inbox i using (case_id)"
        " where i.dedupe_key = any(%(ids)s) and c.begun_at is not null",
        ids=[_event(person, 1) for person in people],
    )
    assert begun == []
    for person in people:
        for vendor in VENDORS:
            assert await vendors.calls(vendor, person.worker_id) == []
            [account] = await vendors.accounts(vendor, person.worker_id)
            assert still_open(vendor, account), vendor
