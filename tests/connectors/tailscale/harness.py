"""The Tailscale connector against the sandbox's simulated tailnet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.kit.rest import RestConnector
from connectors.tailscale.spec import KIND, SPEC
from lockstep.domain.systems.owned import OwnedKind
from sandbox import running
from sandbox.vendors.tailscale.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after

PEER = "simulated Tailscale of the sandbox"
SYSTEM = "tailscale-test"
CREDENTIALS = DESCRIPTION.usual


class TailscaleHarness(SandboxHarness):
    kind = KIND
    secret = CREDENTIALS["api_token"]
    shape: ClassVar = {"devices": 2, "keys": 2}
    logs_refusals = False
    owns: ClassVar = {"tagged_device": True, "oauth_clients": 1}
    owned_kinds = (OwnedKind.SERVICE_ACCOUNT, OwnedKind.APP)
    ways = ("sign_in", "usable_devices", "keys")

    def connector(self, *, secret: str | None = None, **settings: object) -> RestConnector:
        transport = FaultTransport(self.script, rate_limit_headers=retry_after)
        return self.connect(transport, secret=secret, **settings)

    def connect(
        self,
        transport: httpx.AsyncBaseTransport,
        secrets: dict[str, str] | None = None,
        *,
        secret: str | None = None,
        **settings: object,
    ) -> RestConnector:
        """A connector over another transport or with other credentials."""
        secrets = secrets or {"api_key": self.secret if secret is None else secret}
        given = {"base_url": f"{self.base_url}/api/v2", **settings}
        options = ConnectorOptions(SYSTEM, given, secrets)
        return RestConnector(SPEC, options, transport=transport)


@asynccontextmanager
async def harness() -> AsyncIterator[TailscaleHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls["tailscale"]) as peer:
        yield TailscaleHarness(urls["tailscale"], peer)
