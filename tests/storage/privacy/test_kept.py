"""What keeps a person's data, and when they are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.cases.terminations import TerminationAction
from lockstep.storage.cases.spells import Obstacle
from lockstep.storage.privacy.erasure import Cause, Ground
from tests.support.casework import (
    OTHER,
    SYSTEM,
    WORKER,
    revised,
    termination,
)
from tests.support.endings import (
    ASKED,
    LONG_AGO,
    WATCH,
    closed,
    ended,
    erase,
    person_of,
    reasons,
    set_back,
    settle,
    spells,
)


@pytest.mark.parametrize("due", [timedelta(days=3), timedelta(0)])
async def test_a_case_under_way_keeps_its_leaver(work, due):
    """Scheduled or revoking: without the keys nobody could be found."""
    case = await work.open(due=due)

    assert reasons(await erase(work, case)) == ["open"]
    assert (await person_of(work, case))[0] is not None


async def test_a_case_that_is_still_watched_keeps_its_leaver(work):
    """To the end of the last look and of the patience with a vendor that does not answer it."""
    case = await closed(work)
    await set_back(work, case.case_id, WATCH - timedelta(minutes=1))
    assert reasons(await erase(work, case)) == ["watched"]

    await set_back(work, case.case_id, WATCH + timedelta(seconds=1))
    assert len((await erase(work, case)).spells) == 1


async def test_a_system_that_is_not_required_keeps_its_leaver_too(work):
    """The case may be closed; the accounts that are still open are found by these keys."""
    case = await work.open()
    async with work.engine.begin() as connection:
        await connection.execute(
            text("update revocations set required = false where system = :s"), {"s": OTHER}
        )
    await settle(work, case.case_id, SYSTEM)
    await work.close(case.case_id, 1)
    await set_back(work, case.case_id, LONG_AGO)
    assert reasons(await erase(work, case)) == ["at_work"]

    await settle(work, case.case_id, OTHER)
    assert len((await erase(work, case)).spells) == 1


async def test_a_rescinded_case_is_over_at_once(work):
    """Nothing was revoked, nothing is watched: the person stays, their data need not."""
    case = await work.open(due=timedelta(days=3))
    said = revised(termination(), 2, action=TerminationAction.RESCINDED)
    await work.cases.rescind(case, said)

    assert len((await erase(work, case)).spells) == 1


async def test_one_persons_spells_stand_and_fall_together(work):
    """What stands about one spell keeps the other; a stranger's is not kept."""
    first = await ended(work, spell="1")
    second = await work.open(termination(spell="2", event_id="evt_other"))
    stranger = await ended(work, "W-2")
    done = await erase(work, first, stranger)

    assert [spell.case_id for spell in done.spells] == [stranger.case_id]
    assert [(row.spell.case_id, row.obstacle) for row in done.kept] == [
        (second.case_id, Obstacle.OPEN)
    ]


async def test_two_spells_of_a_person_are_found_by_the_worker(work, erasure):
    """Each spell has a subject of its own; the blind index knows that they are one person."""
    cases = [await ended(work, spell=spell, event_id=f"evt_{spell}") for spell in ("1", "2")]
    await ended(work, "W-2")
    found = await erasure.spells_of(worker_index=work.cases.worker_index("acme", WORKER))
    done = await erasure.erase(found, ASKED)

    assert {spell.case_id for spell in done.spells} == {case.case_id for case in cases}
    assert await work.count("subjects where wrapped_key is null") == 2


async def test_erased_before_is_no_obstacle_for_a_person_who_came_back(work):
    """The old spell was erased; that a new one is open does not make asking again an error."""
    first = await ended(work, spell="1")
    await erase(work, first)
    await work.open(termination(spell="2", event_id="evt_other"))
    done = await erase(work, first)

    assert (len(done.already), done.kept) == (1, ())


async def test_what_is_due_is_what_ended_before(work, erasure):
    """Page by page, by case id: ended long enough ago and not erased."""
    keep = timedelta(days=730)
    due = [await ended(work, f"W-{n}", ago=keep + WATCH + timedelta(days=1)) for n in range(3)]
    await ended(work, "W-young", ago=keep + WATCH - timedelta(days=1))
    await work.open(termination("W-open"))
    erased = await ended(work, "W-erased", ago=keep * 2)
    await erase(work, erased)
    before = datetime.now(UTC) - keep
    first = await erasure.due(before, limit=2)
    rest = await erasure.due(before, after=first[-1].case_id, limit=2)

    assert [row.case_id for row in (*first, *rest)] == sorted(case.case_id for case in due)


async def test_retention_says_that_it_was_retention(work, erasure):
    """No person asked: the entry names the ground, and no reference."""
    case = await ended(work)
    await erasure.erase(await spells(work, case), Cause(Ground.RETENTION))
    told = (await work.entries(case.case_id))[-1]

    assert (told["actor"], told["data"]) == ({"type": "lockstep"}, {"ground": "retention"})


async def test_the_inventory_counts_what_is_left(work, erasure):
    """Two decisions stay as ciphertext without a key; the event's body is gone."""
    case = await ended(work)
    before = await erasure.inventory(await spells(work, case))
    await erase(work, case)
    after = await erasure.inventory(await spells(work, case))

    assert [(row.events, row.decisions) for row in (before, after)] == [(1, 2), (0, 2)]
