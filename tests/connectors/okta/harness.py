"""The Okta connector against the simulated Okta organisation."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

import sandbox
from connectors.base import ConnectorOptions
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness import FaultScript, FaultTransport

PEER = "simulated Okta of the sandbox"
TOKEN = "sandbox-okta-token"
SYSTEM = "okta-test"
SHAPE: dict[str, Any] = {
    "sessions": 2,
    "clients": 2,
    "factors": 2,
    "groups": 3,
    "app_groups": 1,
    "roles": ["HELP_DESK_ADMIN"],
}
_numbers = itertools.count(7001)


class OktaHarness:
    """Hires people in the simulator and asks it, not the connector, what is still open."""

    kind = "okta"
    secret = TOKEN

    def __init__(self, url: str, settings: dict[str, object] | None = None) -> None:
        self.script = FaultScript()
        self._url = url
        self._settings = settings or {}
        self._control = httpx.AsyncClient(base_url=url)
        self._connectors: list[OktaConnector] = []

    def connector(self, *, secret: str | None = None) -> OktaConnector:
        transport = FaultTransport(self.script, rate_limit_headers=_reset_header)
        connector = OktaConnector(
            ConnectorOptions(
                system=SYSTEM,
                settings={"base_url": self._url, **self._settings},
                secrets={"token": secret or TOKEN},
                timeout=timedelta(seconds=5),
            ),
            transport=transport,
        )
        self._connectors.append(connector)
        return connector

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
        await self._post("seed", {"people": [person], "shape": {"okta": {**SHAPE, **shape}}})
        return LeaverKeys(
            (
                Key(KeyKind.WORKER_ID, person["worker_id"]),
                Key(KeyKind.EMPLOYEE_NUMBER, number),
                Key(KeyKind.USERNAME, email),
                Key(KeyKind.EMAIL, email),
            )
        )

    async def still_in(self, keys: LeaverKeys) -> bool:
        return any(map(_is_open, await self.accounts(keys)))

    async def give_back(self, keys: LeaverKeys) -> None:
        await self._post("restore", {"user": keys.employee_numbers[0]})

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

    async def accounts(self, keys: LeaverKeys) -> list[dict[str, Any]]:
        """Everything that the simulator knows of the person's accounts."""
        answer = await self._control.get(f"/sandbox/state/{keys.employee_numbers[0]}")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["accounts"]
        return found

    async def limit_token(self, token: str, *lacks: str) -> None:
        """Make a token that lacks the simulator's permission areas."""
        await self._post("tokens", {"token": token, "lacks": lacks})

    async def aclose(self) -> None:
        for connector in self._connectors:
            await connector.aclose()
        await self._control.aclose()

    async def _post(self, what: str, body: dict[str, Any]) -> None:
        answer = await self._control.post(f"/sandbox/{what}", json=body)
        answer.raise_for_status()


@asynccontextmanager
async def harness() -> AsyncIterator[OktaHarness]:
    """Start the peer; the default policy, which deactivates."""
    async with sandbox.running() as urls:
        peer = OktaHarness(urls["okta"])
        try:
            yield peer
        finally:
            await peer.aclose()


def _is_open(account: dict[str, Any]) -> bool:
    """Sign-in, a session, a token, a consent, a role or a group that can be left.

    Factors count while the user can be unsuspended; a deactivated user's open nothing.
    """
    standing = account["standing"]
    kinds = ["sign_in", "sessions", "tokens", "grants", "roles", "groups"]
    if standing["status"] not in {"DEPROVISIONED", "DELETED"}:
        kinds.append("factors")
    return any(standing[kind] for kind in kinds)


def _reset_header(wait_s: int) -> dict[str, str]:
    """Okta gives the end of a limit as whole UTC seconds."""
    return {"X-Rate-Limit-Reset": str(int(time.time()) + wait_s)}
