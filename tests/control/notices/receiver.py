"""A scorecard's webhook: a real HTTP server that can be down, fail, redirect, stall and accept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from standardwebhooks import Webhook

from lockstep.control.notices.outbox import Outbox, Webhooks
from lockstep.storage.outgoing.deliveries import Deliveries

STALL = -1
"""Take the request and never answer it."""


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``condition`` holds; fail when it does not within half a minute."""
    deadline = time.monotonic() + 60
    for wait in itertools.repeat(0.02):
        if await condition():
            return
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(wait)


@contextlib.asynccontextmanager
async def outbox_to(
    deliveries: Deliveries, url: str, secret: str, *, patience: timedelta = timedelta(seconds=30)
) -> AsyncIterator[Outbox]:
    """An outbox to be stepped by hand."""
    webhooks = Webhooks(url, secret, patience=patience)
    try:
        yield Outbox(deliveries, webhooks, target="scorecard")
    finally:
        await webhooks.aclose()


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """``answers`` are given in order (status, or `STALL`), then 204 for ever."""

    secret: str
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)
    on_request: Callable[[Received], None] = lambda _: None
    port: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/people?key=hidden"

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def until(self, count: int) -> list[Received]:
        """Wait until so many messages were accepted."""

        async def enough() -> bool:
            return len(self.accepted) >= count

        await eventually(enough)
        return self.accepted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Received(first.split(" ")[1], headers, body)
        Webhook(self.secret).verify(body, headers)
        self.seen.append(request)
        self.on_request(request)
        status = self.answers.pop(0) if self.answers else 204
        if status == STALL:
            await reader.read()
            return False
        if 200 <= status < 300:
            self.accepted.append(request)
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{more}\r\n".encode())
        await writer.drain()
        return True
