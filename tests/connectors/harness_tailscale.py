"""The Tailscale connector against the sandbox's simulated tailnet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from connectors.base import ConnectorOptions
from connectors.kit.rest import RestConnector
from connectors.tailscale.spec import KIND, SPEC
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from sandbox import Credentials, running
from tests.connectors.harness import FaultScript, FaultTransport

SYSTEM = "tailscale-test"
CREDENTIALS = Credentials()
SHAPE: dict[str, Any] = {"devices": 2, "keys": 2}


class TailscaleHarness:
    """Hires people in the simulator and asks it, not the connector, what still connects."""

    kind = KIND
    secret = CREDENTIALS.tailscale_token

    def __init__(self, url: str, peer: httpx.AsyncClient) -> None:
        self.script = FaultScript()
        self.base_url = f"{url}/api/v2"
        self._peer = peer

    def connector(self, *, secret: str | None = None, **settings: object) -> RestConnector:
        return self.connect(
            FaultTransport(self.script, rate_limit_headers=_retry_after),
            {"api_key": self.secret if secret is None else secret},
            **settings,
        )

    def connect(
        self, transport: httpx.AsyncBaseTransport, secrets: dict[str, str], **settings: object
    ) -> RestConnector:
        """A connector over another transport or with other credentials."""
        options = ConnectorOptions(SYSTEM, {"base_url": self.base_url, **settings}, secrets)
        return RestConnector(SPEC, options, transport=transport)

    async def hire(self, worker: str, **shape: object) -> LeaverKeys:
        email = f"{worker}@northwind.example.com".lower()
        person = {"worker_id": worker, "email": email, "first_name": "Test", "last_name": worker}
        await self._post("seed", people=[person], shape={"tailscale": {**SHAPE, **shape}})
        # The directory writes addresses as people do; Tailscale does not.
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, email.title())))

    async def still_in(self, keys: LeaverKeys) -> bool:
        standing = (await self.state(keys))["standing"]
        return any(standing[door] for door in ("sign_in", "usable_devices", "keys"))

    async def give_back(self, keys: LeaverKeys) -> None:
        await self._post("restore", user=keys.emails[0])

    async def state(self, keys: LeaverKeys) -> dict[str, Any]:
        """Everything that the simulator knows of the person."""
        answer = await self._peer.get(f"/sandbox/state/{keys.emails[0]}")
        found: dict[str, Any] = answer.raise_for_status().json()["accounts"][0]
        return found

    async def limit_key(self, api_key: str, *lacks: str) -> None:
        """Make an API key that lacks permission areas."""
        await self._post("tokens", token=api_key, lacks=lacks)

    async def _post(self, what: str, **body: Any) -> None:
        (await self._peer.post(f"/sandbox/{what}", json=body)).raise_for_status()


@asynccontextmanager
async def harness() -> AsyncIterator[TailscaleHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls.tailscale) as peer:
        yield TailscaleHarness(urls.tailscale, peer)


def _retry_after(wait_s: int) -> dict[str, str]:
    return {"Retry-After": str(wait_s)}
