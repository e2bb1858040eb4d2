"""Long computations: in a thread, over a stream, shared by all who ask, kept for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from fractions import Fraction

import pytest

from lockstep.control.score.answers import MOST_UNDER_WAY, Answers, BusyError
from lockstep.control.score.streaming import over_cases
from lockstep.evidence.ledger.history import facts_document
from lockstep.scorecard.facts import CaseFacts
from tests.support.scoring import facts


async def pages(*sizes: int, error: Exception | None = None) -> AsyncIterator[list[str]]:
    number = 0
    for size in sizes:
        yield [json.dumps(facts_document(facts(f"{number + n}"))) for n in range(size)]
        number += size
    if error:
        raise error


def ids(cases: Iterator[CaseFacts]) -> list[str]:
    return [case.case_id for case in cases]


async def test_a_thread_sees_every_case_once():
    """Many more pages than may wait, an empty one, none at all."""
    many = await over_cases(pages(*[3] * 40, 0), ids)

    assert many == [f"case-{number}" for number in range(120)]
    assert await over_cases(pages(), ids) == []


async def test_pages_that_end_early_give_no_result():
    """Half of the cases must never pass for all."""
    with pytest.raises(OSError, match="gone"):
        await over_cases(pages(3, 3, error=OSError("gone")), ids)


@pytest.mark.parametrize("after", [0, 2])
async def test_a_computation_that_fails_ends_the_reading(after):
    """Nothing hangs, whatever is still to come."""

    def failing(cases):
        for number, _ in enumerate(cases):
            if number == after:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(over_cases(pages(*[3] * 40), failing), 30)


async def test_a_cancelled_computation_ends_its_thread():
    """The one who waits goes away: thread and reading end with it."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def endless():
        while True:
            yield [json.dumps(facts_document(facts("x")))]
            await asyncio.sleep(0.01)

    def count(cases):
        try:
            return sum(1 for _ in cases)
        finally:
            loop.call_soon_threadsafe(ended.set)

    task = asyncio.create_task(over_cases(endless(), count))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 30)


class Tick:
    """A monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_equal_questions_share_a_computation_and_patience_ends():
    """One computes, the others wait; who cannot wait is told so, and the answer is kept."""
    clock, release, made = Tick(), asyncio.Event(), []
    answers = Answers(clock=clock)

    async def compute():
        made.append(1)
        await release.wait()
        return {"n": len(made)}

    brief = timedelta(milliseconds=20)
    with pytest.raises(BusyError):
        await answers.get("q", compute, patience=brief)
    waiting = [asyncio.create_task(answers.get("q", compute)) for _ in range(3)]
    await asyncio.sleep(0)
    release.set()

    assert [await one for one in waiting] == [{"n": 1}] * 3
    assert await answers.get("q", compute) == {"n": 1}
    clock.now = 61
    assert await answers.get("q", compute) == {"n": 2}
    release.clear()
    clock.now = 200
    assert await answers.get("q", compute, patience=brief) == {"n": 2}  # old, but not too old
    clock.now = 2000
    with pytest.raises(BusyError):
        await answers.get("q", compute, patience=brief)
    await answers.aclose()


async def test_what_costs_much_is_kept_longer():
    """Ten times what it cost, so that a large tenant's processor is free for nine tenths."""
    clock = Tick()
    answers = Answers(clock=clock)

    async def compute():
        clock.now += 30
        return {"at": clock.now}

    await answers.get("q", compute)
    clock.now += 299

    assert answers.fresh("q") == {"at": 30}
    clock.now += 2
    assert answers.fresh("q") is None


async def test_too_many_questions_are_turned_away():
    """They are answered one by one; a queue without end would help nobody."""
    answers, never = Answers(), asyncio.Event()

    async def compute():
        await never.wait()
        return {}

    brief = timedelta(milliseconds=10)
    for number in range(MOST_UNDER_WAY):
        with pytest.raises(BusyError, match="still"):
            await answers.get(number, compute, patience=brief)
    with pytest.raises(BusyError, match="too many"):
        await answers.get("one more", compute)
    await answers.aclose()


async def test_a_failed_computation_is_told_and_not_kept():
    """The next one who asks has another try."""
    answers, outcomes = Answers(), [OSError("away"), None]

    async def compute():
        if error := outcomes.pop(0):
            raise error
        return {"value": str(Fraction(1, 2))}

    with pytest.raises(OSError, match="away"):
        await answers.get("q", compute)

    assert await answers.get("q", compute) == {"value": "1/2"}


async def test_whoever_asks_for_new_figures_gets_none_that_are_older():
    """Also where the kept answer is still good for everybody else."""
    now = 0.0
    made = 0

    async def compute():
        nonlocal made
        made += 1
        return {"made": made}

    answers = Answers(clock=lambda: now)
    assert await answers.get("q", compute) == {"made": 1}
    now = 30.0
    assert await answers.get("q", compute) == {"made": 1}
    assert await answers.get("q", compute, at_most=timedelta(seconds=5)) == {"made": 2}
    assert await answers.get("q", compute, at_most=timedelta(seconds=5)) == {"made": 2}
    await answers.aclose()


async def test_an_old_answer_is_none_for_whoever_asks_for_a_new_one():
    """They are told to wait, and not given what they have seen already."""
    now = 0.0
    answers = Answers(clock=lambda: now)

    async def quick():
        return {"made": 1}

    async def slow():
        await asyncio.Event().wait()

    await answers.get("q", quick)
    now = 61.0
    with pytest.raises(BusyError):
        await answers.get("q", slow, patience=timedelta(milliseconds=20), at_most=timedelta())
    assert await answers.get("q", slow, patience=timedelta(milliseconds=20)) == {"made": 1}
    await answers.aclose()
