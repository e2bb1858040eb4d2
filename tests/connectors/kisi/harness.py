"""The Kisi connector against the sandbox's simulated organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.kisi.spec import KIND, SPEC
from connectors.kit.rest import RestConnector
from lockstep.domain.systems.owned import OwnedKind
from sandbox import running
from sandbox.vendors.kisi.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after

PEER = "simulated Kisi of the sandbox"
SYSTEM = "kisi-test"


class KisiHarness(SandboxHarness):
    kind = KIND
    secret = DESCRIPTION.usual["key"]
    shape: ClassVar = {"logins": 2, "roles": 2, "cards": 2, "teams": 1}
    ways = DESCRIPTION.doors
    owns: ClassVar = {"links": 2}
    owned_kinds = (OwnedKind.KEY,)

    def connector(self, *, secret: str | None = None) -> RestConnector:
        transport = FaultTransport(self.script, rate_limit_headers=retry_after, done_status=204)
        return self.connect(transport, secret=secret)

    def connect(
        self, transport: httpx.AsyncBaseTransport, *, secret: str | None = None
    ) -> RestConnector:
        """A connector over another transport or with another key."""
        secrets = {"api_key": self.secret if secret is None else secret}
        options = ConnectorOptions(SYSTEM, {"base_url": self.base_url}, secrets)
        return RestConnector(SPEC, options, transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although lists show them."""
        return httpx.Response(200, json=[]) if "query" in request.url.params else None


@asynccontextmanager
async def harness() -> AsyncIterator[KisiHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls["kisi"]) as peer:
        yield KisiHarness(urls["kisi"], peer)
