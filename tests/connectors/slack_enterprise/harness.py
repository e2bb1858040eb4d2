"""The Slack connector against the sandbox's simulated organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.kit.rest import RestConnector
from connectors.slack_enterprise.spec import KIND, SPEC
from lockstep.domain.systems.owned import OwnedKind
from sandbox import running
from sandbox.vendors.slack_enterprise.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after

PEER = "simulated Slack of the sandbox"
SYSTEM = "slack-test"


class SlackHarness(SandboxHarness):
    kind = KIND
    secret = DESCRIPTION.usual["token"]
    shape: ClassVar = {"sessions": 2}
    ways = DESCRIPTION.doors
    owns: ClassVar = {"workflows": 2}
    owned_kinds = (OwnedKind.FLOW,)

    def connector(self, *, secret: str | None = None) -> RestConnector:
        transport = FaultTransport(self.script, rate_limit_headers=retry_after)
        return self.connect(transport, secret=secret)

    def connect(
        self, transport: httpx.AsyncBaseTransport, *, secret: str | None = None
    ) -> RestConnector:
        """A connector over another transport or with another token."""
        secrets = {"token": self.secret if secret is None else secret}
        options = ConnectorOptions(SYSTEM, {"base_url": f"{self.base_url}/api"}, secrets)
        return RestConnector(SPEC, options, transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although lists show them."""
        if not request.url.path.endswith("users.lookupByEmail"):
            return None
        return httpx.Response(200, json={"ok": False, "error": "users_not_found"})


@asynccontextmanager
async def harness() -> AsyncIterator[SlackHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls[KIND]) as peer:
        yield SlackHarness(urls[KIND], peer)
