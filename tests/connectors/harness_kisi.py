"""The Kisi connector against the sandbox's simulated organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from connectors.base import ConnectorOptions
from connectors.kisi.spec import KIND, SPEC
from connectors.kit.rest import RestConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from sandbox import Credentials, running
from tests.connectors.harness import FaultScript, FaultTransport

SYSTEM = "kisi-test"
CREDENTIALS = Credentials()
SHAPE: dict[str, Any] = {"logins": 2, "roles": 2, "cards": 2, "teams": 1}


class KisiHarness:
    """Hires people in the simulator and asks it, not the connector, what still opens."""

    kind = KIND
    secret = CREDENTIALS.kisi_key

    def __init__(self, url: str, peer: httpx.AsyncClient) -> None:
        self.script = FaultScript()
        self.base_url = url
        self._peer = peer

    def connector(self, *, secret: str | None = None) -> RestConnector:
        transport = FaultTransport(self.script, rate_limit_headers=_retry_after, done_status=204)
        return self.connect(transport, secret=secret)

    def connect(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        secret: str | None = None,
        **settings: object,
    ) -> RestConnector:
        """A connector over another transport."""
        given = {"base_url": self.base_url, **settings}
        api_key = self.secret if secret is None else secret
        options = ConnectorOptions(SYSTEM, given, {"api_key": api_key})
        return RestConnector(SPEC, options, transport=transport)

    async def hire(self, worker: str, **shape: object) -> LeaverKeys:
        email = f"{worker}@northwind.example.com".lower()
        person = {"worker_id": worker, "email": email, "first_name": "Test", "last_name": worker}
        await self._post("seed", people=[person], shape={"kisi": {**SHAPE, **shape}})
        # The directory writes addresses as people do; Kisi does not.
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, email.title())))

    async def still_in(self, keys: LeaverKeys) -> bool:
        standing = (await self.state(keys))["standing"]
        doors = ("sign_in", "doors", "logins", "role_assignments", "cards", "team_memberships")
        return any(standing[door] for door in doors)

    async def give_back(self, keys: LeaverKeys) -> None:
        await self._post("restore", user=keys.emails[0])

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although lists show them."""
        return httpx.Response(200, json=[]) if "query" in request.url.params else None

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
async def harness() -> AsyncIterator[KisiHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls.kisi) as peer:
        yield KisiHarness(urls.kisi, peer)


def _retry_after(wait_s: int) -> dict[str, str]:
    return {"Retry-After": str(wait_s)}
