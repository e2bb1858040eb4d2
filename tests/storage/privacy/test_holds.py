"""Legal holds: told to us, committed to in the ledger, and binding."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from lockstep.storage.keys.subjects import SubjectErasedError
from lockstep.storage.privacy.holds import Holds, UnknownHoldError
from tests.support.endings import (
    ACTOR,
    REASON,
    ended,
    erase,
    person_of,
    reasons,
)


async def test_a_hold_tells_who_and_why_to_us_only(work):
    """Both are encrypted under the person's key; the ledger has a commitment."""
    case = await ended(work)
    holds = Holds(work.engine, work.ring)
    hold_id = await holds.place(case.case_id, actor=ACTOR, reason=REASON)
    await holds.release(case.case_id, hold_id, actor="counsel", reason="it is over")
    [hold] = await holds.of([case.case_id])
    entries = (await work.entries(case.case_id))[-2:]
    raw = b"".join(await work.ledger.entries(case.case_id))

    assert (hold.placed_by, hold.reason) == (ACTOR, REASON)
    assert (hold.released_by, hold.release_reason) == ("counsel", "it is over")
    assert hold.released_at is not None
    assert [entry["kind"] for entry in entries] == ["hold:placed", "hold:released"]
    assert all(entry["data"] == {"hold": hold_id} for entry in entries)
    assert all(len(entry["actor"]["ref"]) == 32 for entry in entries)
    for secret in (ACTOR, REASON, "counsel"):
        assert secret.encode() not in raw


async def test_a_hold_is_released_once_and_on_its_own_case(work):
    """A second release, or one on another case, is an error and writes nothing."""
    case, other = await ended(work), await ended(work, "W-2")
    holds = Holds(work.engine, work.ring)
    hold_id = await holds.place(case.case_id, actor=ACTOR, reason=REASON)
    with pytest.raises(UnknownHoldError):
        await holds.release(other.case_id, hold_id, actor=ACTOR, reason=REASON)
    await holds.release(case.case_id, hold_id, actor=ACTOR, reason=REASON)
    with pytest.raises(UnknownHoldError):
        await holds.release(case.case_id, hold_id, actor=ACTOR, reason=REASON)

    assert (await work.kinds(case.case_id)).count("hold:released") == 1
    assert "hold:released" not in await work.kinds(other.case_id)


async def test_an_open_case_can_be_held(work):
    """A dispute may begin before the last day."""
    case = await work.open(due=timedelta(days=3))
    holds = Holds(work.engine, work.ring)
    await holds.place(case.case_id, actor=ACTOR, reason=REASON)

    assert [hold.released_at for hold in await holds.of([case.case_id])] == [None]


async def test_holds_of_an_erased_person_show_their_dates_only(work):
    """That there was a hold stands in the ledger; who wanted it, and why, is gone."""
    case = await ended(work)
    holds = Holds(work.engine, work.ring)
    hold_id = await holds.place(case.case_id, actor=ACTOR, reason=REASON)
    await holds.release(case.case_id, hold_id, actor=ACTOR, reason=REASON)
    await erase(work, case)
    [hold] = await holds.of([case.case_id])

    assert (hold.hold_id, hold.placed_by, hold.reason) == (hold_id, "", "")
    with pytest.raises(SubjectErasedError):
        await holds.place(case.case_id, actor=ACTOR, reason=REASON)


async def test_a_legal_hold_keeps_everything(work):
    """Nothing is destroyed while it stands, and everything can be once it is released."""
    case = await ended(work)
    holds = Holds(work.engine, work.ring)
    hold = await holds.place(case.case_id, actor=ACTOR, reason=REASON)

    assert reasons(await erase(work, case)) == ["held"]
    assert (await person_of(work, case))[0] is not None
    await holds.release(case.case_id, hold, actor=ACTOR, reason="settled out of court")
    assert (await erase(work, case)).kept == ()
    assert await work.count("holds where private = ''") == 1


async def test_a_hold_and_an_erasure_at_once_end_one_way(work):
    """Whichever comes first, the other knows: never an erased person under a standing hold."""
    holds = Holds(work.engine, work.ring)
    for number in range(8):
        case = await ended(work, f"W-{number}")
        placed, done = await asyncio.gather(
            holds.place(case.case_id, actor=ACTOR, reason=REASON),
            erase(work, case),
            return_exceptions=True,
        )
        if isinstance(placed, str):
            assert reasons(done) == ["held"]
        else:
            assert isinstance(placed, SubjectErasedError)
            assert len(done.spells) == 1
