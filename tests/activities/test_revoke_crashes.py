"""Killed at any point, repeated by another worker: one outcome, everything in it, nothing twice."""

from __future__ import annotations

import pytest

from lockstep.storage.ledger.append import Append, Ledger
from lockstep.storage.systems.revocations import Revocations
from tests.activities.conftest import Bench, Killed
from tests.support.casework import SYSTEM, WORKER


def die() -> None:
    raise Killed


class DyingLedger(Ledger):
    """Kills the process before or after the commit of the nth append."""

    def __init__(self, engine, number: int, moment: str) -> None:
        super().__init__(engine)
        self._left = number
        self._moment = moment

    async def append(self, append: Append) -> bool:
        self._left -= 1
        if self._left == 0 and self._moment == "before":
            raise Killed
        done = await super().append(append)
        if self._left == 0:
            raise Killed
        return done


async def proved_once(bench: Bench) -> None:
    [outcome] = await bench.outcomes()
    row = await bench.work.row(bench.case.case_id)
    removed = [item["ref"] for item in outcome["removed"]]

    assert outcome["outcome"] == row.outcome == "revoked"
    assert len(removed) == len(set(removed)) == row.actions == 3
    assert row.state == "settled"
    assert bench.connector.standing[WORKER] == set()


@pytest.mark.parametrize(
    "point", ["locate", "look", "contain", "read_back", "strip", "mid_strip", "stripped"]
)
async def test_killed_around_a_call_to_the_vendor(bench: Bench, point):
    """Before, within and after each call: the next attempt finishes the work and counts it once."""
    bench.connector.hooks[point] = die
    with pytest.raises(Killed):
        await bench.revoke(1)
    assert await bench.outcomes() == []
    del bench.connector.hooks[point]

    assert await bench.revoke(2) == "revoked"
    await proved_once(bench)


async def test_killed_at_the_last_look(bench: Bench):
    """Everything is closed and nothing is proved: the next attempt proves it."""

    def die_at_the_second() -> None:
        if bench.connector.calls.count("read_back") == 2:
            raise Killed

    bench.connector.hooks["read_back"] = die_at_the_second
    with pytest.raises(Killed):
        await bench.revoke(1)
    bench.connector.hooks.clear()

    assert await bench.revoke(2) == "revoked"
    await proved_once(bench)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_around_a_commit(bench: Bench, number, moment):
    """Before and after the commit of ATTEMPT and of OUTCOME."""
    ledger = DyingLedger(bench.work.engine, number, moment)
    dying = bench.activities(Revocations(bench.work.engine, bench.work.ring, ledger))
    with pytest.raises(Killed):
        await bench.revoke(1, activities=dying)

    assert await bench.revoke(2) == "revoked"
    await proved_once(bench)


async def test_killed_again_and_again(bench: Bench):
    """Eight workers die at eight points in turn; the ninth finishes."""
    points = ["locate", "look", "contain", "read_back", "strip", "mid_strip", "stripped"]
    for number, point in enumerate([*points, *points[2:]], start=1):
        bench.connector.hooks = {point: die}
        with pytest.raises(Killed):
            await bench.revoke(number)
    bench.connector.hooks = {}

    assert await bench.revoke(9) == "revoked"
    await proved_once(bench)


async def test_no_effect_is_ever_without_its_attempt(bench: Bench):
    """Killed before ATTEMPT is durable, the vendor has not been asked to change anything."""
    ledger = DyingLedger(bench.work.engine, 1, "before")
    dying = bench.activities(Revocations(bench.work.engine, bench.work.ring, ledger))
    with pytest.raises(Killed):
        await bench.revoke(1, activities=dying)

    assert bench.connector.effects == []
    assert await bench.kinds() == []
    assert (await bench.work.row(bench.case.case_id, SYSTEM)).state == "scheduled"
