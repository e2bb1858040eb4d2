"""Workflow tasks are taken on by what they need: the processor, or only a vendor's answer."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

from temporalio.worker import SlotPermit

from lockstep.control.runtime.slots import WaitingSlots

ASKED, GOES_ON = SimpleNamespace(is_sticky=False), SimpleNamespace(is_sticky=True)
GIVEN_BACK = SimpleNamespace(slot_info=None, permit=SlotPermit())


class House:
    """How many tasks wait for vendors, and whether the process keeps up."""

    def __init__(self) -> None:
        self.waiting = 0
        self.behind = False
        self.slots = WaitingSlots(2, 5, waiting=lambda: self.waiting, is_behind=lambda: self.behind)

    def free(self) -> int:
        """Take all that can be had at once; return how many those were."""
        count = 0
        while self.slots.try_reserve_slot(ASKED) is not None:
            count += 1
        return count


def test_few_are_taken_on_while_none_waits():
    """What needs the processor is bounded, so that the rest waits where priority counts."""
    assert House().free() == 2


def test_each_that_waits_for_a_vendor_makes_room_for_another():
    """A task that only waits counts for nothing, up to the most that may be under way."""
    house = House()
    assert house.free() == 2
    house.waiting = 2
    assert house.free() == 2
    house.waiting = 4
    assert (house.free(), house.slots.taken) == (1, 5)


def test_nothing_more_is_taken_on_while_the_process_is_behind():
    """Waiting tasks will need the processor too; a process that is behind takes no more."""
    house = House()
    house.waiting, house.behind = 3, True
    assert house.free() == 2
    house.behind = False
    assert house.free() == 3


async def test_whoever_asks_has_a_slot_as_soon_as_one_is_given_back_by_another_thread():
    """Temporal's core gives slots back from threads of its own; nobody polls for long."""
    house = House()
    house.free()
    asking = asyncio.create_task(house.slots.reserve_slot(ASKED))
    await asyncio.sleep(0)
    thread = threading.Thread(target=house.slots.release_slot, args=(GIVEN_BACK,))
    thread.start()
    async with asyncio.timeout(60):
        assert isinstance(await asking, SlotPermit)
    thread.join()
    assert house.slots.taken == 2


async def test_whoever_asks_sees_that_tasks_have_come_to_wait():
    """Nothing is given back then, and there is room all the same."""
    house = House()
    house.free()
    asking = asyncio.create_task(house.slots.reserve_slot(ASKED))
    await asyncio.sleep(0)
    house.waiting = 1
    async with asyncio.timeout(60):
        await asking
    assert house.slots.taken == 3


async def test_a_worker_that_stops_while_it_asks_takes_no_slot():
    """What is given back later goes to the next that asks."""
    house = House()
    house.free()
    asking = asyncio.create_task(house.slots.reserve_slot(ASKED))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    house.slots.release_slot(GIVEN_BACK)
    assert house.free() == 1


async def test_new_cases_and_those_that_go_on_have_slots_in_turn():
    """Where thousands go on, a dismissal just posted waits for two slots at most."""
    house = House()
    house.free()
    had: list[str] = []

    async def ask(name: str, context: SimpleNamespace) -> None:
        await house.slots.reserve_slot(context)
        had.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(ask(f"goes on {number}", GOES_ON))
        group.create_task(ask("new", ASKED))
        await asyncio.sleep(0)
        for _ in range(5):
            house.slots.release_slot(GIVEN_BACK)
        async with asyncio.timeout(60):
            while len(had) < 5:  # noqa: ASYNC110 - the tasks make it so
                await asyncio.sleep(0)
    assert had.index("new") <= 1
