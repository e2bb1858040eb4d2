"""The GitHub connector against the sandbox's simulated organisation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx

from connectors.base import ConnectorOptions
from connectors.github.connector import GitHubConnector
from lockstep.domain.systems.owned import OwnedKind
from sandbox import running
from sandbox.vendors.github.description import DESCRIPTION
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness, retry_after

PEER = "simulated GitHub of the sandbox"
SYSTEM = "github-test"
CREDENTIALS = DESCRIPTION.usual


def is_effect(request: httpx.Request) -> bool:
    """A question of GraphQL is a POST, and changes nothing."""
    if request.url.path == "/graphql":
        return json.loads(request.content)["query"].startswith("mutation")
    return request.method not in {"GET", "HEAD"}


class GithubHarness(SandboxHarness):
    kind = "github"
    secret = CREDENTIALS["token"]
    shape: ClassVar = {"credentials": 1, "in_enterprise": False}
    ways = DESCRIPTION.doors
    logs_refusals = False
    owns: ClassVar = {"deploy_keys": 2, "apps": True}
    owned_kinds = (OwnedKind.KEY, OwnedKind.APP)

    def connector(self, *, secret: str | None = None, **settings: object) -> GitHubConnector:
        transport = FaultTransport(
            self.script, rate_limit_headers=retry_after, is_effect=is_effect, done_status=204
        )
        return self.connect(transport, secret=secret, **settings)

    def connect(
        self,
        transport: httpx.AsyncBaseTransport,
        secrets: dict[str, str] | None = None,
        *,
        secret: str | None = None,
        **settings: object,
    ) -> GitHubConnector:
        """A connector over another transport or with other credentials."""
        secrets = secrets or {"token": self.secret if secret is None else secret}
        given = {
            "base_url": self.base_url,
            "organization": CREDENTIALS["organization"],
            "saml": "organization",
            **settings,
        }
        return GitHubConnector(ConnectorOptions(SYSTEM, given, secrets), transport=transport)

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search among identities that finds nobody, although lists show them."""
        if request.url.path != "/graphql":
            return None
        body = json.loads(request.content)
        if body["variables"].get("name") is None:
            return None
        page = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
        found = {"samlIdentityProvider": {"externalIdentities": page}}
        return httpx.Response(200, json={"data": {"organization": found}})


@asynccontextmanager
async def harness() -> AsyncIterator[GithubHarness]:
    """Run the sandbox in this event loop."""
    async with running() as urls, httpx.AsyncClient(base_url=urls["github"]) as peer:
        yield GithubHarness(urls["github"], peer)
