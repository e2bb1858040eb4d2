"""The Entra connector against the sandbox's simulated tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.entra.connector import EntraConnector
from connectors.entra.spec import KIND
from lockstep.domain.systems.owned import OwnedKind
from sandbox import running
from sandbox.vendors.entra.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after
from tests.support.loopback import loopback

PEER = "simulated Entra of the sandbox"
SYSTEM = "entra-test"


class PastTokens(httpx.AsyncBaseTransport):
    """Sends requests of tokens past the faults: they are in no transcript.

    Where the API has just refused the token, its authority refuses to give another.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._tokens = loopback()
        self._refused = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_token = request.url.path.endswith("/token")
        if is_token and self._refused:
            self._refused = False
            return httpx.Response(401, json={"error": "invalid_client"}, request=request)
        answer = await (self._tokens if is_token else self._inner).handle_async_request(request)
        self._refused = answer.status_code == httpx.codes.UNAUTHORIZED and not is_token
        return answer

    async def aclose(self) -> None:
        await self._tokens.aclose()
        await self._inner.aclose()


class EntraHarness(SandboxHarness):
    kind = KIND
    secret = DESCRIPTION.usual["secret"]
    shape: ClassVar = {
        "consents": 1,
        "methods": 1,
        "roles": 1,
        "eligible": 1,
        "groups": 1,
        "apps": 1,
        "licences": 1,
        "devices": 1,
    }
    ways = DESCRIPTION.doors
    owns: ClassVar = {"owned": 3}
    owned_kinds = (OwnedKind.APP, OwnedKind.SERVICE_ACCOUNT, OwnedKind.GROUP)

    def connector(self, *, secret: str | None = None) -> EntraConnector:
        faults = FaultTransport(self.script, rate_limit_headers=retry_after, done_status=204)
        return self.connect(PastTokens(faults), secret=secret)

    def connect(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        secret: str | None = None,
        **settings: object,
    ) -> EntraConnector:
        """A connector over another transport, with another secret or other settings."""
        given = {
            "base_url": f"{self.base_url}/v1.0",
            "login_url": self.base_url,
            "tenant": "sandbox.example",
            "client_id": "sandbox-entra-client",
            **settings,
        }
        secrets = {"client_secret": self.secret if secret is None else secret}
        return EntraConnector(ConnectorOptions(SYSTEM, given, secrets), transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """Filters that find nobody, and reads by name that find nobody."""
        path = request.url.path.removeprefix("/v1.0/users")
        if path == "" and "$filter" in request.url.params:
            return httpx.Response(200, json={"value": []}, request=request)
        if request.method == "GET" and "@" in path:
            gone = {"error": {"code": "Request_ResourceNotFound"}}
            return httpx.Response(404, json=gone, request=request)
        return None


@asynccontextmanager
async def harness() -> AsyncIterator[EntraHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls["entra"]) as peer:
        yield EntraHarness(urls["entra"], peer)
