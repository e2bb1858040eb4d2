"""Falling behind: what is urgent still gets in, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import time

from lockstep.control.runtime.load import BEHIND_S, LoopLag


async def test_a_busy_loop_is_noticed_and_forgiven():
    """A loop that is kept from waking counts as behind, until it wakes in time again."""
    lag = LoopLag()
    task = asyncio.create_task(lag.measure())
    try:
        for _ in range(8):
            time.sleep(BEHIND_S * 2)  # noqa: ASYNC251 - blocking is the point
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert lag.is_behind
        async with asyncio.timeout(60):
            while lag.is_behind:  # noqa: ASYNC110 - there is nothing else to wait for
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_an_unmeasured_loop_is_not_behind():
    """Before the first measurement everything is admitted."""
    assert not LoopLag().is_behind
