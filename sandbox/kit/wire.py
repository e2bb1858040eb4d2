"""A small HTTP/1.1 server on `asyncio.Protocol`.

Two needs rule out an application server: a fault must be able to drop the connection after the
change was applied and before any answer, and the benchmark must measure Lockstep and not its
target. Handlers are plain functions; waiting is expressed as a delay in the reply, never as a task.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from sandbox.kit.clock import http_date

__all__ = ["Handler", "Listener", "Reply", "Request", "Response", "json_response"]

SIMULATED_HEADER: Final = "X-Simulated: lockstep-sandbox"
MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 64 * 1024 * 1024
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value})


@dataclass(slots=True)
class Request:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "127.0.0.1"
    _query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """Decoded query parameters; the last one wins when a name repeats."""
        if self._query is None:
            text = self.query_string
            self._query = dict(parse_qsl(text, keep_blank_values=True)) if text else {}
        return self._query

    def json(self) -> Any:
        """Decode the body; an empty body is an empty object.

        Raises:
            ValueError: when the body is not JSON.
        """
        return json.loads(self.body) if self.body else {}


@dataclass(slots=True)
class Response:
    """An answer before it is encoded."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = "application/json"

    def encode(self, *, head_only: bool = False) -> bytes:
        """Write the answer as bytes, with the date and the mark that it is simulated."""
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}",
            f"Date: {http_date()}",
            SIMULATED_HEADER,
        ]
        # RFC 9110, 8.6: a 204 carries no Content-Length.
        if self.status not in _BODILESS:
            lines.append(f"Content-Length: {len(self.body)}")
            if self.body:
                lines.append(f"Content-Type: {self.content_type}")
        lines.extend(f"{name}: {value}" for name, value in self.headers)
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if head_only or self.status in _BODILESS else head + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """What to do with a request: answer, or drop the connection, perhaps after a while."""

    response: Response | None
    delay: float = 0.0


Handler = Callable[[Request], Reply]


def json_response(status: int, value: Any) -> Response:
    """An answer with a compact JSON body."""
    return Response(status, json.dumps(value, separators=(",", ":")).encode())


class BadRequestError(ValueError):
    """The bytes on the connection are not a request that this server reads."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def parse_head(head: bytes, peer: str) -> tuple[Request, int]:
    """Read request line and headers.

    Returns:
        The request without its body, and the length of the body that follows.

    Raises:
        BadRequestError: when the head is malformed or its framing is not supported.
    """
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - RFC 9112, 3
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequestError(HTTPStatus.LENGTH_REQUIRED)
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    if int(length) > MAX_BODY:
        raise BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    path, _, query = parts[1].partition("?")
    return Request(parts[0], path, query, headers, b"", peer), int(length)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: requests are answered one after the other, in order."""

    __slots__ = ("_buffer", "_handler", "_needed", "_open", "_peer", "_pending", "_timer", "_wire")

    def __init__(self, handler: Handler, open_connections: "set[_Connection]") -> None:
        self._handler = handler
        self._open = open_connections
        self._buffer = b""
        self._pending: Request | None = None
        self._needed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):  # pragma: no cover - asyncio's own typing
            raise TypeError("the sandbox speaks over stream transports only")
        self._wire = transport
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._wire = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._timer is None:
            self._drain()

    def abort(self) -> None:
        """Close at once, without flushing: the other side sees a broken connection."""
        if self._wire is not None:
            self._wire.abort()

    def _drain(self) -> None:
        while self._wire is not None and self._timer is None:
            try:
                request = self._next_request()
            except BadRequestError as error:
                self._wire.write(Response(error.status.value).encode())
                self._wire.close()
                return
            if request is None:
                return
            reply = self._handler(request)
            if reply.delay > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(reply.delay, self._finish_later, reply, request)
            else:
                self._finish(reply, request)

    def _next_request(self) -> Request | None:
        if self._pending is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return None
            request, self._needed = parse_head(self._buffer[:end], self._peer)
            self._buffer = self._buffer[end + 4 :]
            if self._needed == 0:
                return request
            self._pending = request
            if "expect" in request.headers and self._wire is not None:
                self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._buffer) < self._needed:
            return None
        request, self._pending = self._pending, None
        request.body, self._buffer = self._buffer[: self._needed], self._buffer[self._needed :]
        return request

    def _finish_later(self, reply: Reply, request: Request) -> None:
        self._timer = None
        self._finish(reply, request)
        self._drain()

    def _finish(self, reply: Reply, request: Request) -> None:
        if self._wire is None:
            return
        if reply.response is None:
            self._wire.abort()
            return
        self._wire.write(reply.response.encode(head_only=request.method == "HEAD"))
        if request.headers.get("connection", "").lower() == "close":
            self._wire.close()


class Listener:
    """One listening socket and the handler behind it."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. `url` is set afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._handler, self._open), host, port, backlog=1024
        )
        bound = self._server.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url = f"http://{shown}:{bound[1]}"

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._open):
            connection.abort()
        await self._server.wait_closed()
        self._server = None
