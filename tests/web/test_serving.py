"""Connections that keep the server waiting end, and those that want something are answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from lockstep.web.serving import ConnectionBounds, bounded

BOUND_S = 20
QUICK = ConnectionBounds(head_s=0.6, body_look_s=0.6, body_rate=1000, drain_s=0.8, most=30)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], "contextlib.AbstractAsyncContextManager[Streams]"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once below ``/early``; streams for long below ``/stream``; else reads it all."""
    assert scope["type"] == "http"
    more = not scope["path"].startswith("/early")
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"].startswith("/flood"):
        for _ in range(2000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    if scope["path"].startswith("/stream"):
        for _ in range(5):
            await send({"type": "http.response.body", "body": b"tick\n", "more_body": True})
            await asyncio.sleep(0.4)
    await send({"type": "http.response.body", "body": b"done"})


@contextlib.asynccontextmanager
async def serving(bounds: ConnectionBounds) -> AsyncIterator[Dial]:
    """A real server on loopback; gives what opens a connection to it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", http=bounded(bounds), timeout_keep_alive=30
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listening]))
        port = listening.getsockname()[1]

        @contextlib.asynccontextmanager
        async def dial() -> AsyncIterator[Streams]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                yield reader, writer
            finally:
                writer.close()

        try:
            async with asyncio.timeout(BOUND_S):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells by this flag
                    await asyncio.sleep(0.01)
            yield dial
        finally:
            server.should_exit = True
            await running


async def lasts(reader: asyncio.StreamReader) -> float:
    """Seconds until the server ended the connection."""
    began = time.monotonic()
    async with asyncio.timeout(BOUND_S):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
    return time.monotonic() - began


async def asked(streams: Streams, request: bytes = GET) -> bytes:
    reader, writer = streams
    writer.write(request)
    async with asyncio.timeout(BOUND_S):
        return await reader.readuntil(b"done")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2]], ids=["nothing", "word", "half-head"])
async def test_who_asks_nothing_is_ended(sent: bytes) -> None:
    """Without a whole head in time, whatever part of it came."""
    async with serving(QUICK) as dial, dial() as (reader, writer):
        writer.write(sent)
        assert 0.4 < await lasts(reader) < 10


async def test_a_second_request_has_its_time_too() -> None:
    """Half a head after an answer ends by the same bound, long before the idle time is over."""
    async with serving(QUICK) as dial, dial() as streams:
        assert b"200" in await asked(streams)
        await asyncio.sleep(0.9)  # idle between two requests is uvicorn's, 30 s
        assert b"200" in await asked(streams)
        streams[1].write(b"GET / HT")
        assert await lasts(streams[0]) < 10


@pytest.mark.parametrize("path", [b"/", b"/early"], ids=["read", "answered-before-it-came"])
async def test_a_body_drop_by_drop_is_ended(path: bytes) -> None:
    """Also where the answer was given without it, as to who is not signed in."""
    head = b"POST " + path + b" HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n"
    async with serving(QUICK) as dial, dial() as (reader, writer):
        writer.write(head)

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        assert await lasts(reader) < 10
        dripping.cancel()


async def test_a_steady_body_is_taken() -> None:
    """However long it takes, as long as it comes."""
    async with serving(QUICK) as dial, dial() as streams:
        streams[1].write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(10):
            streams[1].write(b"x" * 2000)
            await asyncio.sleep(0.2)
        assert b"200" in await asked(streams, b"")


async def test_a_live_page_is_left_alone() -> None:
    """A stream that takes longer than every bound, because the answer is ours to give."""
    async with serving(QUICK) as dial, dial() as streams:
        assert (await asked(streams, GET.replace(b" / ", b" /stream "))).count(b"tick") == 5


async def test_who_does_not_read_the_answer_is_ended() -> None:
    """Its place and what is buffered for it are given back."""
    async with serving(QUICK) as dial, dial() as (reader, writer):
        writer.write(GET.replace(b" / ", b" /flood "))
        await asyncio.sleep(2.5)  # the reader's own buffer is full by now, and the socket's
        assert await lasts(reader) < 10


@pytest.mark.parametrize(
    "bounds",
    [
        ConnectionBounds(most=30),
        ConnectionBounds(most_of_address=30),
        ConnectionBounds(most=30, most_of_address=5, exempt=[ip_network("127.0.0.0/8")]),
    ],
    ids=["in-all", "of-one-address", "of-a-proxy"],
)
async def test_silent_ones_make_room_for_who_asks(bounds: ConnectionBounds) -> None:
    """More idle sockets than there are places: the oldest end, and a request is answered."""
    async with serving(bounds) as dial, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(dial()) for _ in range(60)]
        async with dial() as streams:
            assert b"200" in await asked(streams)
        ended = [one for one in silent if one[0].at_eof() or one[0].exception() is not None]
        assert 25 < len(ended) < 40
        assert await asyncio.wait_for(lasts(silent[0][0]), BOUND_S) < 1, "the oldest go first"


async def test_who_is_being_answered_keeps_its_place() -> None:
    """Nobody is cut off for the many that say nothing."""
    async with serving(QUICK) as dial, dial() as streams, contextlib.AsyncExitStack() as stack:
        answer = asyncio.create_task(asked(streams, GET.replace(b" / ", b" /stream ")))
        await asyncio.sleep(0.2)
        for _ in range(60):
            await stack.enter_async_context(dial())
        assert (await answer).count(b"tick") == 5
