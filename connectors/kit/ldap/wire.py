"""One connection to a directory: TLS first, then who we are, then one question after another."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from connectors.kit.ldap import messages
from connectors.kit.ldap.ber import SEQUENCE, BerError, length_of
from connectors.kit.ldap.channel import Edits, Found, Query, Refusal, Result, Session
from connectors.kit.ldap.messages import Answer, Done, Entry

T = TypeVar("T")
MOST_BYTES: Final = 16 * 2**20
"""Of one answer: a photograph is smaller."""
_SILENT: Final = (OSError, EOFError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Place:
    """One server, and who we are there.

    Args:
        host: its address; the path of a Unix socket.
        port: of TCP.
        name: that its certificate must bear.
        tls: checks the certificate; None only on loopback or a Unix socket.
        start_tls: whether the connection begins in plain and turns to TLS before anything is said.
        user: DN or name to bind as.
        password: ours.
    """

    host: str
    port: int
    name: str
    tls: ssl.SSLContext | None = field(repr=False)
    start_tls: bool
    user: str = field(repr=False)
    password: str = field(repr=False)

    async def connect(self) -> Session:
        """A connection that is bound.

        Raises:
            Refusal: there is none to be had.
        """
        wire = await _told(self._open())
        try:
            if self.tls is not None and self.start_tls:
                await _told(wire.start_tls(self.tls, self.name))
            await _told(wire.bind(self.user, self.password))
        except BaseException:
            await wire.close()
            raise
        return wire

    async def _open(self) -> Wire:
        if self.host.startswith("/"):
            return Wire(*await asyncio.open_unix_connection(self.host))
        tls = None if self.start_tls else self.tls
        name = self.name if tls is not None else None
        opening = asyncio.open_connection(self.host, self.port, ssl=tls, server_hostname=name)
        return Wire(*await opening)


class Wire:
    """See `connectors.kit.ldap.channel.Session`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    async def start_tls(self, tls: ssl.SSLContext, name: str) -> None:
        """Turn to TLS; nothing that came before it counts."""
        await self._one(messages.extended(messages.START_TLS), Answer.EXTENDED)
        if self._reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - what came too early was not from the server that the certificate names
            raise BerError("early")
        await self._writer.start_tls(tls, server_hostname=name)

    async def bind(self, user: str, password: str) -> None:
        """Say who we are; a name without a password would be nobody (RFC 4513, 5.1.2)."""
        if not password:
            raise Refusal(Result.INVALID_CREDENTIALS)
        await self._one(messages.bind(user, password), Answer.BOUND)

    async def who_am_i(self) -> str:
        return await _told(self._who())

    async def search(self, query: Query, cookie: bytes = b"") -> Found:
        return await _told(self._search(query, cookie))

    async def change(self, edits: Edits) -> None:
        await _told(self._one(messages.modify(edits.dn, edits.edits), Answer.CHANGED))

    async def close(self) -> None:
        with contextlib.suppress(*_SILENT, RuntimeError):
            self._writer.write(messages.message(self._number + 1, messages.UNBIND))
            self._writer.close()
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def _who(self) -> str:
        done = await self._one(messages.extended(messages.WHO_AM_I), Answer.EXTENDED)
        return done.value.decode(errors="replace")

    async def _search(self, query: Query, cookie: bytes) -> Found:
        request = messages.search(
            query.base,
            query.scope,
            query.wanted,
            query.attributes,
            time_s=query.time_s,
            most=0,
        )
        controls = messages.paged(query.page, cookie) if query.page else b""
        found: list[Entry] = []
        elsewhere = 0
        async for tag, content, told in self._answers(request, controls):
            match tag:
                case Answer.ENTRY:
                    found.append(messages.entry(content))
                case Answer.ELSEWHERE:
                    elsewhere += 1
                case Answer.FOUND:
                    done = self._good(messages.done(content, told))
                    return Found(tuple(found), done.cookie, elsewhere)
                case _:
                    break
            if len(found) > query.most:
                raise Refusal(Result.SIZE_LIMIT_EXCEEDED)
        raise BerError("no end")

    async def _one(self, request: bytes, wanted: Answer) -> Done:
        async for tag, content, controls in self._answers(request):
            if tag != wanted:
                break
            return self._good(messages.done(content, controls))
        raise BerError("another answer")

    @staticmethod
    def _good(done: Done) -> Done:
        if done.code != Result.SUCCESS:
            raise Refusal(done.code, done.words)
        return done

    async def _answers(
        self, request: bytes, controls: bytes = b""
    ) -> AsyncIterator[tuple[int, bytes, bytes]]:
        self._number += 1
        self._writer.write(messages.message(self._number, request, controls))
        await self._writer.drain()
        while True:
            number, tag, content, told = messages.read(await self._message())
            if number != self._number:
                # 0 is the server's notice that it hangs up (RFC 4511, section 4.1.1).
                raise EOFError if number == 0 else BerError("another number")
            yield tag, content, told

    async def _message(self) -> bytes:
        head = await self._reader.readexactly(2)
        if head[0] != SEQUENCE:
            raise BerError("no message")
        while (sizes := length_of(head)) is None:
            head += await self._reader.readexactly(1)
        if sizes[1] > MOST_BYTES:
            raise BerError("too long")
        return await self._reader.readexactly(sizes[1])


async def _told(work: Awaitable[T]) -> T:
    """The result; what went wrong without what was said, which can name people.

    Raises:
        Refusal: always for anything that the server or the network does.
    """
    code: int | None
    try:
        return await work
    except Refusal as refusal:
        code, words = refusal.code, refusal.words
    except TimeoutError:
        raise
    except ssl.SSLError:  # of a certificate it is a ValueError too
        code, words = None, "tls"
    except (BerError, ValueError):
        code, words = Result.PROTOCOL_ERROR, ""
    except _SILENT:
        code, words = None, ""
    raise Refusal(code, words)
