"""Workers that share a vendor's limit through PostgreSQL, against a vendor that enforces it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.pace import Line
from connectors.saas.instant import InstantConnector
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.pace import Band, Limit, Urgency
from lockstep.storage.engine.database import create_engine
from lockstep.storage.systems.paces import PaceLeases
from sandbox.running import running
from sandbox.settings import Credentials
from tests.conftest import Database

CALLS = 3
"""Of one leaver: find, shut, read back."""
AT_ONCE = 8
"""A worker's activities of one system."""


@dataclass
class Vendor:
    """The simulator, which refuses what is above its limit."""

    url: str
    http: httpx.AsyncClient

    async def takes(self, per_second: int) -> None:
        """From now on it takes so many calls in any second, and says 429 to others."""
        fault = {"kind": "throttle", "per_second": per_second, "reset_header": False}
        answer = await self.http.put("/sandbox/faults", json=[fault])
        answer.raise_for_status()


@dataclass
class Worker:
    """A worker's share of the work: its own connections, its own line of callers."""

    line: Line
    connector: InstantConnector
    answers: list[tuple[float, int]] = field(default_factory=list)

    async def revoke(self, names: Sequence[str], urgency: Urgency) -> None:
        """Revoke many leavers, a few at a time; whoever is refused is tried again."""
        waiting = iter(names)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._some(waiting, urgency))

    async def _some(self, waiting: Iterator[str], urgency: Urgency) -> None:
        for name in waiting:
            for _ in range(100):
                if await self._one(name, urgency):
                    break
                await asyncio.sleep(1.0)

    async def _one(self, name: str, urgency: Urgency) -> bool:
        transcript = Transcript(urgency=urgency)
        keys = LeaverKeys((Key(KeyKind.WORKER_ID, name),))
        try:
            match = (await self.connector.locate(keys, transcript)).matches[0]
            if match.seen is not None and match.seen.signs_in:
                await self.connector.contain(match.account, match.seen, transcript)
            return not (await self.connector.read_back(match.account, transcript)).standing
        except ConnectorFault:
            return False
        finally:
            now = asyncio.get_running_loop().time()
            self.answers += [(now, one.status) for one in transcript.exchanges]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opened."""
    async with AsyncExitStack() as made:
        yield made


@pytest.fixture
async def vendor(stack: AsyncExitStack) -> Vendor:
    """The simulator on a port of its own."""
    urls = await stack.enter_async_context(running())
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=urls.instant))
    return Vendor(urls.instant, http)


async def hired(
    stack: AsyncExitStack, database: Database, vendor: Vendor, limit: Limit, count: int
) -> list[Worker]:
    """Workers that know each other by the database only."""
    workers = []
    for number in range(count):
        engine = create_engine(database.app_url, pool_size=2)
        stack.push_async_callback(engine.dispose)
        line = Line(limit, PaceLeases(engine, "instant", f"worker-{number}"))
        stack.push_async_callback(line.aclose)
        options = ConnectorOptions(
            "instant", {"base_url": vendor.url}, {"token": Credentials().instant_token}, pace=line
        )
        connector = InstantConnector(options)
        stack.push_async_callback(connector.aclose)
        workers.append(Worker(line, connector))
    return workers


def refused(workers: Sequence[Worker]) -> int:
    """Calls that the vendor refused."""
    return sum(status == 429 for worker in workers for _, status in worker.answers)


def asked(workers: Sequence[Worker]) -> int:
    """Calls that the vendor answered."""
    return sum(len(worker.answers) for worker in workers)


async def test_two_workers_stay_ahead_of_a_hard_limit(
    database: Database, vendor: Vendor, stack: AsyncExitStack
) -> None:
    """64 leavers take at most 1.2 times the least possible, and hardly a call is refused."""
    await vendor.takes(5)
    workers = await hired(stack, database, vendor, Limit(5), 2)
    names = [f"L{number}" for number in range(64)]
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for number, worker in enumerate(workers):
            group.create_task(worker.revoke(names[number::2], Urgency(Band.REVOKE, 3)))
    took = asyncio.get_running_loop().time() - began
    least = (64 * CALLS - 5) / 5

    assert took <= 1.2 * least
    assert refused(workers) < 0.01 * asked(workers)
