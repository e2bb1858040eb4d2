"""A made-up vendor, in memory: the peer of the page's example, of recipes and of programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness import FaultScript, FaultTransport
from tests.connectors.harness_sandbox import retry_after

TOKEN = "desk-token-77e0"


class Desk:
    """The vendor, as an `httpx.MockTransport` calls it."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.people: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return httpx.Response(401)
        match request.method, request.url.path.split("/")[1:]:
            case "GET", ["people"]:
                email = request.url.params.get("email", "").lower()
                found = [one for one in self.people.values() if email in {one["email"], ""}]
                return self._page(request, "people", found)
            case "DELETE", ["keys", key]:
                return httpx.Response(200 if self.keys.pop(key, None) else 404)
            case _, ["people", person, *rest] if person in self.people:
                if rest == ["keys"]:
                    own = [key for key in self.keys.values() if key["person"] == person]
                    return self._page(request, "keys", own)
                if rest == ["block"]:
                    self.people[person]["blocked"] = True
                return httpx.Response(200, json=self.people[person])
        return httpx.Response(404)

    def _page(
        self, request: httpx.Request, name: str, found: list[dict[str, Any]]
    ) -> httpx.Response:
        start = int(request.url.params.get("cursor", 0))
        end = start + self.page
        following = {"next": str(end)} if end < len(found) else {}
        return httpx.Response(200, json={name: found[start:end], **following})


class DeskHarness:
    """Hires people at a desk and asks it, not the connector, what still opens."""

    secret = TOKEN

    def __init__(self, kind: str, *, page: int = 3) -> None:
        self.kind = kind
        self.script = FaultScript()
        self.base_url = ""
        self._desk = Desk(page)

    def transport(self) -> FaultTransport:
        """The way to the desk, with the faults of the script on it."""
        return FaultTransport(
            self.script,
            rate_limit_headers=retry_after,
            inner=httpx.MockTransport(self._desk),
        )

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The desk at an address of the loopback."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self.base_url

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one request on to the desk; a reply that is lost is a connection that dies."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        request = httpx.Request(method, f"{self.base_url}{path}", headers=dict(headers))  # type: ignore[arg-type] # pairs
        try:
            answer = await self.transport().handle_async_request(request)
            body = await answer.aread()
        except httpx.TransportError:
            writer.transport.abort()
            return
        answer.headers.pop("content-length", None)
        told = [f"HTTP/1.1 {answer.status_code} -", "Connection: close"]
        told += [f"Content-Length: {len(body)}"]
        told += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*told, "", ""]).encode() + body)
        await writer.drain()
        writer.close()

    async def hire(self, worker: str) -> LeaverKeys:
        person = {
            "id": uuid4().hex,
            "email": f"{worker}@example.test",
            "blocked": False,
            "created_at": datetime.now(UTC).isoformat(),
        }
        self._desk.people[person["id"]] = person
        self._give_keys(person)
        return LeaverKeys((Key(KeyKind.EMAIL, person["email"]), Key(KeyKind.WORKER_ID, worker)))

    async def still_in(self, keys: LeaverKeys) -> bool:
        person = self._of(keys)
        held = any(key["person"] == person["id"] for key in self._desk.keys.values())
        return held or not person["blocked"]

    async def give_back(self, keys: LeaverKeys) -> None:
        person = self._of(keys)
        person["blocked"] = False
        self._give_keys(person)

    def _give_keys(self, person: dict[str, Any]) -> None:
        for key in (uuid4().hex, uuid4().hex):
            self._desk.keys[key] = {"id": key, "person": person["id"]}

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although the list shows them."""
        return httpx.Response(200, json={"people": []}) if request.url.params.get("email") else None

    def _of(self, keys: LeaverKeys) -> dict[str, Any]:
        return next(one for one in self._desk.people.values() if one["email"] == keys.emails[0])
