"""The batcher: many callers, few round trips, and each caller gets its own answer."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import DataError, OperationalError

from lockstep.storage.engine.batching import Batcher


class Runner:
    """Doubles numbers; waits at its gate; fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.refuses: dict[int, Exception] = {}

    async def __call__(self, items):
        self.batches.append(list(items))
        await self.gate.wait()
        if self.error:
            raise self.error
        for item in items:
            if item in self.refuses:
                raise self.refuses[item]
        return [item * 2 for item in items]


@pytest.fixture
async def runner() -> Runner:
    return Runner()


async def _behind_a_closed_gate(batcher: Batcher, runner: Runner, items) -> list[asyncio.Task]:
    """Start one call that waits at the gate, and ``items`` behind it."""
    runner.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await _until(lambda: runner.batches == [[0]])
    rest = [asyncio.create_task(batcher.submit(item)) for item in items]
    await _until(lambda: len(batcher._waiting) == len(rest))
    return [first, *rest]


async def _until(true) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("never became true")


async def test_a_lone_call_runs_at_once(runner):
    """Nobody waits for company."""
    assert await Batcher(runner).submit(21) == 42
    assert runner.batches == [[21]]


async def test_calls_that_wait_form_the_next_batch(runner):
    """Ten calls during one round trip need one more, and each gets its own result."""
    batcher = Batcher(runner)
    calls = await _behind_a_closed_gate(batcher, runner, range(1, 11))
    runner.gate.set()

    assert await asyncio.gather(*calls) == [item * 2 for item in range(11)]
    assert runner.batches == [[0], list(range(1, 11))]


async def test_a_batch_has_a_limit(runner):
    """No batch grows beyond the limit, and nothing is left behind."""
    batcher = Batcher(runner, limit=4)
    calls = await _behind_a_closed_gate(batcher, runner, range(1, 11))
    runner.gate.set()
    await asyncio.gather(*calls)

    assert [len(batch) for batch in runner.batches] == [1, 4, 4, 2]


@pytest.mark.parametrize(
    "error", [DataError("insert", None, Exception("NUL")), ValueError("not canonical")]
)
async def test_a_bad_member_fails_alone(runner, error):
    """A batch refused because of one member is run member by member; the others succeed."""
    batcher = Batcher(runner)
    calls = await _behind_a_closed_gate(batcher, runner, [1, 2, 3])
    runner.refuses = {2: error}
    runner.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert results == [0, 2, error, 6]
    assert runner.batches == [[0], [1, 2, 3], [1], [2], [3]]


async def test_a_lost_connection_reaches_every_caller_once(runner):
    """When the database is away nobody hangs, and the batch is not hammered at it."""
    batcher = Batcher(runner)
    calls = await _behind_a_closed_gate(batcher, runner, [1, 2, 3])
    runner.error = OperationalError("insert", None, Exception("gone"))
    runner.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert results == [runner.error] * 4
    assert runner.batches == [[0], [1, 2, 3]]


async def test_after_a_failure_the_next_call_works(runner):
    """A failed batch leaves nothing stuck behind."""
    batcher = Batcher(runner)
    runner.error = OperationalError("insert", None, Exception("gone"))
    with pytest.raises(OperationalError):
        await batcher.submit(1)
    runner.error = None

    assert await batcher.submit(2) == 4


async def test_a_caller_that_gives_up_takes_nobody_along(runner):
    """A cancelled caller that still waits is not run; the others are served."""
    batcher = Batcher(runner)
    calls = await _behind_a_closed_gate(batcher, runner, [1, 2, 3])
    calls[2].cancel()
    await asyncio.gather(calls[2], return_exceptions=True)
    runner.gate.set()

    assert await asyncio.gather(calls[0], calls[1], calls[3]) == [0, 2, 6]
    assert runner.batches == [[0], [1, 3]]


async def test_a_caller_that_gives_up_mid_way_does_not_stop_its_batch(runner):
    """What has been sent goes on: others of the same batch depend on it."""
    batcher = Batcher(runner)
    calls = await _behind_a_closed_gate(batcher, runner, [1, 2])
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    runner.gate.set()

    assert await asyncio.gather(*calls[1:]) == [2, 4]
    assert runner.batches == [[0], [1, 2]]
