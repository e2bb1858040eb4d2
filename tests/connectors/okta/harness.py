"""The Okta connector against the simulated Okta organisation."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx

import sandbox
from connectors.base import ConnectorOptions
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.connectors.harness import FaultTransport
from tests.connectors.harness_sandbox import SandboxHarness

PEER = "simulated Okta of the sandbox"
TOKEN = "sandbox-okta-token"
SYSTEM = "okta-test"
_numbers = itertools.count(7001)


class OktaHarness(SandboxHarness):
    """Hires people in the simulator and asks it, not the connector, what is still open."""

    kind = "okta"
    secret = TOKEN
    shape: ClassVar = {
        "sessions": 2,
        "clients": 2,
        "factors": 2,
        "groups": 3,
        "app_groups": 1,
        "roles": ["HELP_DESK_ADMIN"],
    }

    owns: ClassVar = {"api_tokens": 2}
    owned_kinds = (OwnedKind.KEY,)

    def __init__(self, url: str, peer: httpx.AsyncClient) -> None:
        super().__init__(url, peer)
        self.opened: list[OktaConnector] = []

    def connector(self, *, secret: str | None = None) -> OktaConnector:
        return self.connect(FaultTransport(self.script, rate_limit_headers=_reset_header), secret)

    def connect(
        self,
        transport: httpx.AsyncBaseTransport,
        secret: str | None = None,
        **settings: object,
    ) -> OktaConnector:
        """A connector over another transport, with another token or other settings."""
        settings = {"base_url": self.base_url, **settings}
        options = ConnectorOptions(SYSTEM, settings, {"token": secret or TOKEN})
        self.opened.append(OktaConnector(options, transport=transport))
        return self.opened[-1]

    async def hire(self, worker: str, **shape: object) -> LeaverKeys:
        number = str(next(_numbers))
        email = f"{worker}.{number}@corp.example.test".lower()
        person = {
            "worker_id": f"{worker}-{number}",
            "employee_number": number,
            "email": email,
            "username": email,
            "first_name": "Test",
            "last_name": worker,
        }
        await self._post("seed", people=[person], shape={"okta": {**self.shape, **shape}})
        return LeaverKeys(
            (
                Key(KeyKind.WORKER_ID, f"{worker}-{number}"),
                Key(KeyKind.EMPLOYEE_NUMBER, number),
                Key(KeyKind.USERNAME, email),
                Key(KeyKind.EMAIL, email),
            )
        )

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Factors count while the user can be unsuspended; a deactivated user's open nothing."""
        return any(map(_is_open, await self.standing(keys)))

    async def standing(self, keys: LeaverKeys) -> list[dict[str, Any]]:
        """What the simulator knows of each of the person's accounts."""
        answer = await self._peer.get(f"/sandbox/state/{keys.employee_numbers[0]}")
        accounts: list[dict[str, Any]] = answer.raise_for_status().json()["accounts"]
        return [{"id": each["id"], **each["standing"]} for each in accounts]

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """An index that finds nobody, and reads by login that find nobody."""
        path = request.url.path.removeprefix("/api/v1/users")
        if "search" in request.url.params:
            return httpx.Response(200, json=[], request=request)
        is_name = path.startswith("/") and "/" not in path[1:] and not path.startswith("/00u")
        if request.method == "GET" and is_name:
            return httpx.Response(404, json={"errorCode": "E0000007"}, request=request)
        return None


@asynccontextmanager
async def harness() -> AsyncIterator[OktaHarness]:
    """Start the peer; the default policy, which deactivates."""
    async with sandbox.running() as urls, httpx.AsyncClient(base_url=urls["okta"]) as peer:
        yield OktaHarness(urls["okta"], peer)


def _is_open(standing: dict[str, Any]) -> bool:
    kinds = ["sign_in", "sessions", "tokens", "grants", "roles", "groups"]
    if standing["status"] not in {"DEPROVISIONED", "DELETED"}:
        kinds.append("factors")
    return any(standing[kind] for kind in kinds)


def _reset_header(wait_s: int) -> dict[str, str]:
    """Okta gives the end of a limit as whole UTC seconds."""
    return {"X-Rate-Limit-Reset": str(int(time.time()) + wait_s)}
