"""The Google connector against the sandbox's simulated Workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import ClassVar

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.base import ConnectorOptions
from connectors.google_workspace.connector import GoogleConnector
from connectors.google_workspace.spec import KIND
from sandbox import running
from sandbox.vendors.google_workspace.description import ADMIN, DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after
from tests.support.loopback import loopback

PEER = "simulated Google Workspace of the sandbox"
SYSTEM = "google-test"


@cache
def private_key() -> str:
    """Some key: the simulator reads who signs, and not the signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    plain, pkcs8 = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


class PastTokens(httpx.AsyncBaseTransport):
    """Sends requests of tokens past the faults: they are in no transcript.

    Where the API has just refused the token, no other is given.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._tokens = loopback()
        self._refused = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_token = request.url.path == "/token"
        if is_token and self._refused:
            self._refused = False
            return httpx.Response(400, json={"error": "invalid_grant"}, request=request)
        answer = await (self._tokens if is_token else self._inner).handle_async_request(request)
        self._refused = answer.status_code == httpx.codes.UNAUTHORIZED and not is_token
        return answer

    async def aclose(self) -> None:
        await self._tokens.aclose()
        await self._inner.aclose()


class GoogleHarness(SandboxHarness):
    kind = KIND
    secret = private_key()
    shape: ClassVar = {"tokens": 1, "asps": 1, "roles": 1, "groups": 1}
    ways = DESCRIPTION.doors

    def connector(self, *, secret: str | None = None) -> GoogleConnector:
        faults = FaultTransport(self.script, rate_limit_headers=retry_after, done_status=204)
        return self.connect(PastTokens(faults), secret=secret)

    def connect(
        self, transport: httpx.AsyncBaseTransport, *, secret: str | None = None, **settings: object
    ) -> GoogleConnector:
        """A connector over another transport, of another service account or other settings."""
        given = {
            "base_url": self.base_url,
            "token_url": f"{self.base_url}/token",
            "service_account": DESCRIPTION.usual["account"] if secret is None else "another",
            "admin": ADMIN,
            **settings,
        }
        options = ConnectorOptions(SYSTEM, given, {"private_key": self.secret})
        return GoogleConnector(options, transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although lists show them."""
        kind = {"kind": "admin#directory#users"}
        is_search = "query" in request.url.params
        return httpx.Response(200, json=kind, request=request) if is_search else None


@asynccontextmanager
async def harness() -> AsyncIterator[GoogleHarness]:
    """Run the sandbox in this event loop."""
    kind = DESCRIPTION.kind
    async with running() as urls, httpx.AsyncClient(base_url=urls[kind]) as peer:
        yield GoogleHarness(urls[kind], peer)
