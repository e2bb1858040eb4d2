"""The first try at home: bounded, and left to the queue where it would hold others up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities import home as home_module
from activities.home import ELSEWHERE, HomeActivities, Turnstile
from connectors.base import OUR_PACE
from lockstep.contracts.payloads import HomeInput, HomeTry, RevokeResult

GIVEN = HomeInput("c1", ["okta"])


class Access:
    """Stands for one system's activities: does what the test sets."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0
        self.waits = 0.0
        self.is_paced = False

    def waits_s(self, priority):
        return self.waits

    async def revoke_access(self, given):
        assert (given.case_id, given.round, given.opening) == ("c1", 1, 1)
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return RevokeResult("revoked")


def at_home(access: Access, limit: int = 2) -> HomeActivities:
    return HomeActivities({"okta": access}, lambda _: limit)


async def tried(home: HomeActivities) -> HomeTry:
    [found] = (await home.try_at_home(GIVEN)).tries
    return found


REFUSED = HomeTry("okta", category=ELSEWHERE)


async def test_a_system_that_answers_is_settled_at_home():
    assert await tried(at_home(Access())) == HomeTry("okta", "revoked")


async def test_all_systems_are_tried_side_by_side_and_none_without_a_connector():
    """A worker of an older configuration may lack one."""
    first, second = Access(), Access()
    first.gate.clear()
    home = HomeActivities({"okta": first, "vpn": second}, lambda _: 2)
    asking = asyncio.create_task(home.try_at_home(HomeInput("c1", ["okta", "vpn", "badge"])))
    await settled()
    assert second.calls == 1, "nobody waits for another system"
    first.gate.set()
    assert (await asking).tries == [
        HomeTry("okta", "revoked"),
        HomeTry("vpn", "revoked"),
        HomeTry("badge", category=ELSEWHERE),
    ]


async def test_no_more_at_once_than_the_system_may_have():
    """The bulkhead is the same as the queue's."""
    access = Access()
    access.gate.clear()
    home = at_home(access, limit=2)
    running = [asyncio.create_task(tried(home)) for _ in range(2)]
    await settled()
    assert await tried(home) == REFUSED
    access.gate.set()
    assert [found.outcome for found in await asyncio.gather(*running)] == ["revoked"] * 2
    assert await tried(home) != REFUSED
    assert access.calls == 3


async def test_first_tries_that_take_a_while_count_as_waiting_for_a_vendor(monkeypatch):
    """Only then may another case be taken on beside them; those that answer at once never count."""
    monkeypatch.setattr(home_module, "WAITS_S", 0.0)
    access = Access()
    access.gate.clear()
    home = at_home(access)
    running = asyncio.create_task(tried(home))
    async with asyncio.timeout(60):
        while not home.waiting:  # noqa: ASYNC110 - a timer of the loop makes it so
            await asyncio.sleep(0)
    access.gate.set()
    await running
    assert home.waiting == 0
    monkeypatch.setattr(home_module, "WAITS_S", 600.0)
    await tried(home)
    assert home.waiting == 0


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ApplicationError("down", type="unreachable"), False),
        (ApplicationError("no such scope", type="permission_missing", non_retryable=True), True),
    ],
)
async def test_a_failing_system_rests_and_a_persons_trouble_does_not(error, final):
    access = Access()
    access.error = error
    home = at_home(access)
    assert await tried(home) == HomeTry("okta", category=error.type, final=final)
    access.error = None
    assert (await tried(home) == REFUSED) is not final


async def test_a_hanging_system_rests_once_its_first_try_is_given_up(monkeypatch):
    monkeypatch.setattr(home_module, "HOME_PATIENCE", timedelta(milliseconds=10))
    access = Access()
    access.gate.clear()
    home = at_home(access)
    assert await tried(home) == HomeTry("okta", category="timeout")
    access.gate.set()
    assert await tried(home) == REFUSED


async def test_a_system_is_not_called_slow_by_a_process_that_is_behind(monkeypatch):
    """It was we who took so long; its queue would cost us ten times as much."""
    monkeypatch.setattr(home_module, "SLOW_S", 0.0)
    for is_behind in (True, False):
        home = HomeActivities(
            {"okta": Access()}, lambda _: 2, lambda is_behind=is_behind: is_behind
        )
        assert (await tried(home)).outcome == "revoked"
        assert (await tried(home) == REFUSED) is not is_behind


async def test_a_slow_system_rests_and_is_tried_again_later(monkeypatch):
    monkeypatch.setattr(home_module, "SLOW_S", 0.0)
    long, short = at_home(Access()), at_home(Access())
    for home, rest_s in ((long, 600.0), (short, 0.05)):
        monkeypatch.setattr(home_module, "REST_S", rest_s)
        assert (await tried(home)).outcome == "revoked"

    assert await tried(long) == REFUSED
    async with asyncio.timeout(30):
        while await tried(short) == REFUSED:  # noqa: ASYNC110 - the clock's own time
            await asyncio.sleep(0.02)


class Crowd:
    """Tries that enter a turnstile one after another; ``inside`` lists them as they get in."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *tries: tuple[str, int]) -> None:
        for name, priority in tries:
            self.tasks[name] = asyncio.create_task(self._enter(name, priority))
            await settled()

    async def _enter(self, name: str, priority: int) -> None:
        await self.turnstile.enter(priority)
        self.inside.append(name)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_while_the_process_keeps_up_everyone_goes_in():
    crowd = Crowd(Turnstile(lambda: False, few=1))
    await crowd.come(("a", 4), ("b", 4), ("c", 1))
    assert crowd.inside == ["a", "b", "c"]


async def test_while_it_is_behind_the_urgent_goes_first_and_a_few_only_at_once():
    crowd = Crowd(Turnstile(lambda: True, few=1))
    await crowd.come(("a", 4), ("b", 4), ("urgent", 1), ("c", 4))
    assert crowd.inside == ["a"]
    for expected in ("urgent", "b", "c"):
        crowd.turnstile.leave()
        await settled()
        assert crowd.inside[-1] == expected


async def test_when_it_has_caught_up_all_that_wait_go_in():
    behind = True
    crowd = Crowd(Turnstile(lambda: behind, few=1))
    await crowd.come(("a", 4), ("b", 4), ("c", 4))
    behind = False
    crowd.turnstile.leave()
    await settled()
    assert crowd.inside == ["a", "b", "c"]


async def test_who_gives_up_waiting_keeps_no_place():
    """Before its turn, and in the moment in which it was called."""
    crowd = Crowd(Turnstile(lambda: True, few=1))
    await crowd.come(("a", 4), ("b", 4), ("c", 4), ("d", 4))
    crowd.tasks["b"].cancel()
    await settled()
    crowd.turnstile.leave()
    crowd.tasks["c"].cancel()  # its turn has come, it has not run yet
    await settled()
    assert crowd.inside == ["a", "d"]


async def test_who_would_wait_long_for_turns_goes_to_the_queue_at_once():
    """Nothing is tried, so nothing failed: others of the case are not held up by it."""
    access = Access()
    access.waits = 3.0
    assert await tried(at_home(access)) == REFUSED
    assert access.calls == 0


async def test_a_wait_for_our_own_turn_is_no_fault_of_the_system():
    """The next case tries it at home again; after a refusal of the vendor it would not."""
    access = Access()
    access.error = ApplicationError("later", OUR_PACE, type="rate_limited")
    home = at_home(access)
    assert await tried(home) == HomeTry("okta", category="rate_limited")
    access.error = None
    assert await tried(home) == HomeTry("okta", "revoked")
