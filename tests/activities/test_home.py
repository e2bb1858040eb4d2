"""The first try at home: bounded, and left to the queue where it would hold others up."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from activities import home as home_module
from activities.home import ELSEWHERE, HomeActivities, Turnstile
from lockstep.contracts.payloads import RevokeInput, RevokeResult

GIVEN = RevokeInput("c1", "okta", 1)


class Access:
    """Stands for one system's activities: does what the test sets."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0

    async def revoke_access(self, given):
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return RevokeResult("revoked")


def at_home(access: Access, limit: int = 2) -> HomeActivities:
    return HomeActivities({"okta": access}, lambda _: limit)


async def refused(home: HomeActivities, given: RevokeInput = GIVEN) -> bool:
    """Whether the try was sent to the queue without touching the system."""
    try:
        await home.revoke_access(given)
    except ApplicationError as error:
        return error.type == ELSEWHERE and not error.non_retryable
    return False


async def test_a_system_that_answers_is_settled_at_home():
    access = Access()
    assert (await at_home(access).revoke_access(GIVEN)).outcome == "revoked"


async def test_a_system_without_a_connector_here_is_left_to_its_queue():
    """A worker of an older configuration, or one that lacks the credential."""
    assert await refused(at_home(Access()), RevokeInput("c1", "vpn", 1))


async def test_no_more_at_once_than_the_system_may_have():
    """The bulkhead is the same as the queue's."""
    access = Access()
    access.gate.clear()
    home = at_home(access, limit=2)
    running = [asyncio.create_task(home.revoke_access(GIVEN)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await refused(home)
    access.gate.set()
    assert [result.outcome for result in await asyncio.gather(*running)] == ["revoked"] * 2
    assert not await refused(home)
    assert access.calls == 3


@pytest.mark.parametrize(
    ("error", "rests"),
    [
        (ApplicationError("down", type="unreachable"), True),
        (ApplicationError("no such scope", type="permission_missing", non_retryable=True), False),
    ],
)
async def test_a_failing_system_rests_and_a_persons_trouble_does_not(error, rests):
    access = Access()
    access.error = error
    home = at_home(access)
    with pytest.raises(ApplicationError):
        await home.revoke_access(GIVEN)
    access.error = None
    assert await refused(home) is rests


async def test_a_hanging_system_rests_once_its_first_try_is_given_up():
    access = Access()
    access.gate.clear()
    home = at_home(access)
    hanging = asyncio.create_task(home.revoke_access(GIVEN))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    access.gate.set()
    assert await refused(home)


async def test_a_slow_system_rests_and_is_tried_again_later(monkeypatch):
    monkeypatch.setattr(home_module, "SLOW_S", 0.0)
    monkeypatch.setattr(home_module, "REST_S", 0.05)
    access = Access()
    home = at_home(access)
    asyncio.get_running_loop().call_later(0.01, access.gate.set)
    access.gate.clear()
    await home.revoke_access(GIVEN)
    assert await refused(home)
    await asyncio.sleep(0.06)
    assert not await refused(home)


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
