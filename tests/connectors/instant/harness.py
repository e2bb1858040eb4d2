"""The Instant connector against the sandbox's simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from connectors.base import Connector, ConnectorOptions
from connectors.instant.connector import MANIFEST, InstantConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from sandbox.running import running
from sandbox.vendors.instant.description import DESCRIPTION
from tests.connectors.harness import FaultScript, FaultTransport

PEER = "simulated vendor of the sandbox; there is no product of this name"


class InstantHarness:
    """The sandbox's Instant; everybody has an account there from the start."""

    kind = MANIFEST.kind
    logs_refusals = True
    owned_kinds = (OwnedKind.AGENT,)

    def __init__(self, base_url: str, peer: httpx.AsyncClient, token: str) -> None:
        self.script = FaultScript()
        self.secret = token
        self._base_url = base_url
        self._peer = peer

    def connector(self, *, secret: str | None = None) -> Connector:
        transport = FaultTransport(
            self.script, rate_limit_headers=lambda wait_s: {"Retry-After": str(wait_s)}
        )
        options = ConnectorOptions(
            "instant-test",
            {"base_url": self._base_url},
            {"token": self.secret if secret is None else secret},
        )
        return InstantConnector(options, transport=transport)

    async def hire(self, worker: str, **shape: object) -> LeaverKeys:
        person, shape = {"worker_id": worker}, {"seat": True, **shape}
        await self._post("seed", people=[person], shape={self.kind: shape})
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker),))

    async def still_in(self, keys: LeaverKeys) -> bool:
        state = await self._peer.get(f"/sandbox/state/{keys.worker_ids[0]}")
        standing = state.raise_for_status().json()["accounts"][0]["standing"]
        return bool(standing["sign_in"] or standing["sessions"] or standing["seat"])

    async def give_back(self, keys: LeaverKeys) -> None:
        await self._post("restore", user=keys.worker_ids[0])

    async def hire_owner(self, worker: str) -> LeaverKeys:
        return await self.hire(worker, robots=2)

    async def use(self, keys: LeaverKeys, *, refused: bool, at: datetime) -> None:
        stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await self._post("use", user=keys.worker_ids[0], refused=refused, at=stamp)

    async def _post(self, what: str, **body: object) -> None:
        (await self._peer.post(f"/sandbox/{what}", json=body)).raise_for_status()


@asynccontextmanager
async def harness() -> AsyncIterator[InstantHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls["instant"]) as peer:
        yield InstantHarness(urls["instant"], peer, DESCRIPTION.usual["token"])
