"""What runs beside the cases in a worker goes on."""

from __future__ import annotations

import asyncio

import pytest

from lockstep import worker
from lockstep.worker import running


async def test_a_loop_that_ends_by_a_fault_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without its dispatcher looks alive, and nothing that HR says is carried out."""
    monkeypatch.setattr(worker, "AGAIN_S", 0.01)
    begun = 0
    again = asyncio.Event()

    async def loop() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            again.set()
            await asyncio.Event().wait()
        raise OSError(28, "no room")

    async with running((), loop):
        await asyncio.wait_for(again.wait(), 30)

    assert begun == 3
