"""The generic SCIM connector against the independent ``scim2-server``, a real process."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from connectors.base import Connector, ConnectorOptions
from connectors.scim.connector import MANIFEST, ScimConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.anchors.peers import free_port
from tests.connectors.harness import FaultScript, FaultTransport

PEER = "scim2-server, an independent implementation of RFC 7644"
TOKEN = "scim-peer-token-4f81c2"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_START_SECONDS = 120.0


class ScimHarness:
    """One tenant of one server, spoken to directly for hiring and for its own truth."""

    kind = MANIFEST.kind
    secret = TOKEN

    def __init__(self, base_url: str, peer: httpx.AsyncClient) -> None:
        self.script = FaultScript()
        self.base_url = base_url
        self.peer = peer
        self._groups: dict[str, tuple[str, ...]] = {}

    def connector(self, *, secret: str | None = None, **settings: object) -> Connector:
        options = ConnectorOptions(
            "scim-test",
            {"base_url": self.base_url, **settings},
            {"token": self.secret if secret is None else secret},
        )
        return ScimConnector(options, transport=self._transport())

    async def hire(self, worker: str) -> LeaverKeys:
        username, email = f'{worker}"q"@example.test', f"{worker}.mail@example.test"
        user = await self._made(
            "/Users",
            {
                "schemas": [_USER, _ENTERPRISE],
                "userName": username,
                "externalId": worker,
                "active": True,
                "emails": [{"value": email, "type": "work"}],
                _ENTERPRISE: {"employeeNumber": f"n-{worker}"},
            },
        )
        colleague = await self._made(
            "/Users", {"schemas": [_USER], "userName": f"colleague.{worker}"}
        )
        members = [{"value": user}, {"value": colleague}]
        self._groups[user] = tuple(
            [
                await self._made(
                    "/Groups",
                    {"schemas": [_GROUP], "displayName": f"{name} {worker}", "members": members},
                )
                for name in ("floor", "payroll")
            ]
        )
        return LeaverKeys(
            (
                Key(KeyKind.ACCOUNT_ID, user, "scim-test"),
                Key(KeyKind.WORKER_ID, worker),
                Key(KeyKind.EMPLOYEE_NUMBER, f"n-{worker}"),
                Key(KeyKind.USERNAME, username),
                Key(KeyKind.EMAIL, email),
            )
        )

    def blind(self, request: httpx.Request) -> httpx.Response | None:
        """A filter that finds nobody; lists and everything else are the server's own."""
        if not (request.url.path.endswith("/Users") and "filter" in request.url.params):
            return None
        return httpx.Response(200, json={"totalResults": 0, "Resources": []}, request=request)

    async def still_in(self, keys: LeaverKeys) -> bool:
        user_id = keys.account_ids("scim-test")[0]
        user = await self.peer.get(f"/Users/{user_id}")
        if user.status_code == httpx.codes.NOT_FOUND:
            return False
        return bool(user.json()["active"]) or user_id in await self.members_of(user_id)

    async def give_back(self, keys: LeaverKeys) -> None:
        user_id = keys.account_ids("scim-test")[0]
        await self._patch(f"/Users/{user_id}", {"op": "replace", "path": "active", "value": True})
        for group in self._groups[user_id]:
            added = {"op": "add", "path": "members", "value": [{"value": user_id}]}
            await self._patch(f"/Groups/{group}", added)

    async def members_of(self, user_id: str) -> set[str]:
        """Everybody in the groups that were made for one person."""
        groups = [await self.peer.get(f"/Groups/{group}") for group in self._groups[user_id]]
        return {one["value"] for group in groups for one in group.json().get("members") or ()}

    async def _made(self, path: str, resource: dict[str, object]) -> str:
        answer = await self.peer.post(path, json=resource)
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def _patch(self, path: str, operation: dict[str, object]) -> None:
        body = {"schemas": [_PATCH], "Operations": [operation]}
        (await self.peer.patch(path, json=body)).raise_for_status()

    def _transport(self) -> FaultTransport:
        return FaultTransport(
            self.script, rate_limit_headers=lambda wait_s: {"Retry-After": str(wait_s)}
        )


_RUNNING: list[ScimHarness] = []


@asynccontextmanager
async def harness() -> AsyncIterator[ScimHarness]:
    """The server that runs already, else a new one: it takes seconds to start."""
    if _RUNNING:
        yield _RUNNING[0]
        return
    async with _started() as made:
        _RUNNING.append(made)
        try:
            yield made
        finally:
            _RUNNING.remove(made)


@asynccontextmanager
async def _started() -> AsyncIterator[ScimHarness]:
    """Start the server on a free port; its output goes to a file, which never fills up."""
    port = free_port()
    command = str(Path(sys.executable).with_name("scim2-server"))
    base_url = f"http://127.0.0.1:{port}/v2"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with tempfile.TemporaryFile() as output:
        server = await asyncio.create_subprocess_exec(
            *(command, "--port", str(port), "--bearer-token", TOKEN),
            stdout=output,
            stderr=output,
        )
        try:
            async with httpx.AsyncClient(base_url=base_url, headers=headers) as peer:
                await _answers(peer, server)
                yield ScimHarness(base_url, peer)
        finally:
            server.terminate()
            await asyncio.wait_for(server.wait(), 60)


async def _answers(peer: httpx.AsyncClient, server: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            (await peer.get("/ServiceProviderConfig")).raise_for_status()
        except httpx.TransportError:
            if server.returncode is not None or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return
