"""What `lockstep connector check` asks holds of a right connector, and notices a wrong one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.base import Transcript
from connectors.kit.questions.asking import Answer, Questions, Verdict
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Action, Location, Observation
from tests.connectors.harness import FaultKind, Injected
from tests.connectors.recipe.harness import SYSTEM, RecipeHarness

TOLERANCE = timedelta(seconds=5)


class Lying:
    """A connector that is wrong in the ways that a subclass says."""

    def __init__(self, inner) -> None:
        self._inner = inner

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


class TellsAnybody(Lying):
    async def locate(self, keys, transcript, *, not_theirs: Collection[str] = ()) -> Location:
        every = LeaverKeys((Key(KeyKind.EMAIL, "somebody@example.test"), *keys.keys))
        return await self._inner.locate(every, transcript, not_theirs=not_theirs)


class ShutsNothing(Lying):
    async def contain(self, account, before, transcript) -> tuple[Action, ...]:
        return ()


class LeavesKeys(Lying):
    async def strip(self, account, before, transcript) -> tuple[Action, ...]:
        return ()


class ClosesAgain(Lying):
    async def strip(self, account, before, transcript) -> tuple[Action, ...]:
        done = await self._inner.strip(account, before, transcript)
        made = transcript.exchanges[-1]
        return done or (Action(self.way, made.answered_at, made.operation),)

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        seen = await self._inner.look(account, transcript)
        self.way = (*seen.standing, getattr(self, "way", None))[0]
        return seen


class ForgetsALists(Lying):
    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        seen = await self._inner.look(account, transcript)
        return replace(seen, standing=seen.standing)


async def answers(harness: RecipeHarness, connector: object, *, whole: bool) -> dict[str, Answer]:
    await harness.hire("somebody")
    keys = await harness.hire("pat")
    questions = Questions(connector, SYSTEM, {"session"}, TOLERANCE)  # type: ignore[arg-type] # lying
    told = [answer async for answer in questions.reads(keys)]
    if whole:
        transcript = Transcript()
        answer, account = await questions.find(keys, transcript)
        told.append(answer)
        if account is not None:
            told += [answer async for answer in questions.whole(account, transcript)]
    return {answer.question: answer for answer in told}


@pytest.fixture
def harness() -> RecipeHarness:
    return RecipeHarness()


async def test_a_right_connector_is_found_right(harness):
    """Every question that can be asked holds; what a system does not say is not known."""
    told = await answers(harness, harness.connector(), whole=True)

    assert {one.question for one in told.values() if one.verdict is not Verdict.HOLDS} == {
        "clock", "paging",
    }  # fmt: skip
    assert told["strip"].found == "2 ways in were closed; outlives it: session (unknown)"
    assert not await harness.still_in(LeaverKeys((Key(KeyKind.EMAIL, "pat@example.test"),)))


async def test_reads_change_nothing(harness):
    """Without a leaver no effect reaches the system."""
    await answers(harness, harness.connector(), whole=False)

    assert harness.script.effects == []


@pytest.mark.parametrize(
    ("lie", "question"),
    [
        (TellsAnybody, "nobody"),
        (ShutsNothing, "contain"),
        (LeavesKeys, "strip"),
        (ClosesAgain, "again"),
        (ForgetsALists, "read_back"),
    ],
)
async def test_a_wrong_connector_is_noticed(harness, lie, question):
    """Each lie fails the question that is there for it."""
    told = await answers(harness, lie(harness.connector()), whole=True)

    assert told[question].verdict is Verdict.FAILS


async def test_a_blind_search_is_not_believed(harness):
    """Nobody is found by a search that finds nobody at all: a list must say so."""
    harness.script.instead = harness.blind
    told = await answers(harness, harness.connector(), whole=False)

    assert told["paging"].verdict is Verdict.HOLDS
    assert "listed" in told["nobody"].found


async def test_a_refusal_is_told_and_the_next_is_asked(harness):
    """A fault is an answer, and no exception."""
    harness.script.inject(Injected(FaultKind.FORBIDDEN, times=500))
    told = await answers(harness, harness.connector(), whole=False)

    assert {told[name].verdict for name in ("health", "nobody", "locate")} == {Verdict.FAILS}
    assert "people.read" in told["nobody"].found


async def test_a_clock_that_differs_is_a_problem(harness):
    """The system's own record would not count."""
    harness.script.clock_off = timedelta(hours=1)
    told = await answers(harness, harness.connector(), whole=False)

    assert told["clock"].verdict is Verdict.FAILS
