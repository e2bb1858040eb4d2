"""The GitLab connector against the sandbox's simulated instance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.gitlab.spec import KIND, SPEC
from connectors.kit.rest import RestConnector
from sandbox import running
from sandbox.vendors.gitlab.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after

PEER = "simulated GitLab of the sandbox"
SYSTEM = "gitlab-test"


class GitlabHarness(SandboxHarness):
    kind = KIND
    secret = DESCRIPTION.usual["token"]
    shape: ClassVar = {"impersonations": 0, "projects": 0}
    ways = DESCRIPTION.doors

    def connector(self, *, secret: str | None = None) -> RestConnector:
        transport = FaultTransport(self.script, rate_limit_headers=retry_after, done_status=204)
        return self.connect(transport, secret=secret)

    def connect(
        self, transport: httpx.AsyncBaseTransport, *, secret: str | None = None, **settings: object
    ) -> RestConnector:
        """A connector over another transport or with another token."""
        secrets = {"token": self.secret if secret is None else secret}
        given = {"base_url": f"{self.base_url}/api/v4", **settings}
        return RestConnector(SPEC, ConnectorOptions(SYSTEM, given, secrets), transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although lists show them."""
        return httpx.Response(200, json=[]) if "search" in request.url.params else None


@asynccontextmanager
async def harness() -> AsyncIterator[GitlabHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls[KIND]) as peer:
        yield GitlabHarness(urls[KIND], peer)
