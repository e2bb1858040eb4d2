"""The sandbox's servers keep nothing of the people in it in their logs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from lockstep.cli.runtime.stand_ins import quiet
from sandbox.vendors.registry import descriptions
from tests.support.ports import free_port

EMAIL = "maria.evangelista@example.com"
WITHIN_S = 60
BIN = Path(sys.executable).parent


def server(kind: str, port: int) -> list[str]:
    """The command of a real server that stands in for a vendor."""
    described = descriptions()[kind]
    assert described.program is not None
    script, *arguments = described.program.command(port, described.usual)
    return [str(BIN / script), *arguments]


async def log_of(argv: list[str], port: int, file: Path) -> str:
    """What a server wrote while it was asked about somebody."""
    with file.open("wb") as log:
        child = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(WITHIN_S):
            while True:
                try:
                    address = f"http://127.0.0.1:{port}/v2/Users?filter=userName eq {EMAIL}"
                    await client.get(address)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                else:
                    break
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), WITHIN_S)
    return file.read_text()  # noqa: ASYNC240 - a short local file


@pytest.mark.parametrize("kind", [kind for kind, it in descriptions().items() if it.program])
async def test_no_peer_of_the_sandbox_logs_whom_it_is_asked_about(kind, tmp_path):
    """None of the real servers; and without our bridle each of them does."""
    port = free_port()
    argv = server(kind, port)
    silent = await log_of(quiet(argv), port, tmp_path / "quiet.log")
    loud = await log_of(argv, port, tmp_path / "loud.log")

    assert "maria" not in silent
    assert "maria" in loud
