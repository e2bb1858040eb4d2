"""The channel to a socket that is spoken to by lines: bounded, classified, recorded, silent.

A vendor gives the grammar of its protocol and commands as rows. A password is sent where the other
side asks for one; what arrives unasked is skipped; lines that hold secrets are dropped unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from connectors.base import ConnectorFault, Transcript
from connectors.kit.lines.recorded import (
    CLOSED,
    OTHER_FORM,
    PASSWORD,
    TOO_LONG,
    Answer,
    Recorder,
    Refusal,
)
from connectors.kit.pacing.pace import OPEN, Pacer
from connectors.kit.pacing.turns import in_turn
from lockstep.domain.systems.access import Exchange

MOST_LINE: Final = 16 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of one answer: some hundred thousand sessions."""
_MOST_OPENING = 64
_WORD = re.compile(r"[!-~]{1,512}")

Lines = tuple[str, ...]


def _no_clock(_: Sequence[str]) -> datetime | None:
    return None


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one protocol reads.

    Args:
        ends: whether a line is the last of an answer.
        refused: the code of a refusal that an answer is; "" for none.
        notice: how a line begins that nobody asked for.
        welcome: how the first thing begins that is said to whoever is let in; "" where nothing is.
        prompt: what asks for a password instead, without an end of line.
        let_in: how the answer to the right password begins.
        hidden: how lines begin that hold secrets.
        clock: the other side's clock, where an answer tells it.
    """

    ends: Callable[[str], bool]
    refused: Callable[[Sequence[str]], str]
    notice: str = ""
    welcome: str = ""
    prompt: str = ""
    let_in: str = ""
    hidden: tuple[str, ...] = ()
    clock: Callable[[Sequence[str]], datetime | None] = _no_clock


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        operation: our stable name of it.
        text: with ``{name}`` for words; it may be several lines.
        effect: whether it changes anything.
        missing: the permission that it needs.
    """

    operation: str
    text: str
    effect: bool = False
    missing: str | None = None


class Session(Protocol):
    """An open socket. Raises `Refusal` or ``OSError`` for what the other side does."""

    async def ask(self, command: Command, words: Mapping[str, str]) -> Lines:
        """The lines of the answer, without those that were unasked for or are hidden."""

    async def close(self) -> None:
        """End it; never raises."""


Connect = Callable[[], Awaitable[Session]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a socket is: a path, or a host and a port, and whether TLS is spoken there."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Opens sockets of one place."""

    grammar: Grammar
    place: Place
    password: str = field(default="", repr=False)

    async def connect(self) -> Session:
        """An open socket, past its password.

        Raises:
            Refusal: the password, or what is said instead of a welcome.
        """
        place = self.place
        opening = (
            asyncio.open_unix_connection(place.path, limit=MOST_LINE)
            if place.path
            else asyncio.open_connection(place.host, place.port, limit=MOST_LINE, ssl=place.tls)
        )
        session = StreamSession(*await opening, self.grammar)
        try:
            await session.enter(self.password)
        except BaseException:
            await session.close()
            raise
        return session


class StreamSession:
    """A socket as streams of lines."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, grammar: Grammar
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._grammar = grammar

    async def enter(self, password: str) -> None:
        """Hear the welcome, or answer the question for a password."""
        grammar = self._grammar
        if not grammar.welcome:
            return None
        said = ""
        while not said.startswith(grammar.welcome):
            if grammar.prompt and said.startswith(grammar.prompt):
                return await self._answer(password)
            said += (await self._read(1)).decode("utf-8", "replace")
            if len(said) > _MOST_OPENING:
                raise Refusal(OTHER_FORM)
        await self._line()  # the rest of the welcome
        return None

    async def ask(self, command: Command, words: Mapping[str, str]) -> Lines:
        if not all(map(_WORD.fullmatch, words.values())):
            raise Refusal("word_not_sendable")
        await self._send(command.text.format_map(words))
        lines: list[str] = []
        heard = 0
        while not lines or not self._grammar.ends(lines[-1]):
            line = await self._line()
            if (heard := heard + len(line) + 1) > MOST_BYTES:
                raise Refusal(TOO_LONG)
            if not (self._grammar.notice and line.startswith(self._grammar.notice)):
                lines.append(line)
        if code := self._grammar.refused(lines):
            raise Refusal(code)
        return tuple(line for line in lines if not line.startswith(self._grammar.hidden))

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)

    async def _answer(self, password: str) -> None:
        if not password or not password.isprintable():
            raise Refusal(PASSWORD)
        await self._send(password)
        if not (await self._line()).startswith(self._grammar.let_in):
            raise Refusal(PASSWORD)

    async def _send(self, text: str) -> None:
        self._writer.write(f"{text}\n".encode())
        await self._writer.drain()

    async def _read(self, number: int) -> bytes:
        some = await self._reader.read(number)
        if not some:
            raise Refusal(CLOSED)
        return some

    async def _line(self) -> str:
        try:
            raw = await self._reader.readline()
        except ValueError:  # longer than the reader's limit
            raise Refusal(TOO_LONG) from None
        if not raw.endswith(b"\n"):
            raise Refusal(CLOSED)
        return raw.decode("utf-8", "replace").rstrip("\r\n")


class LineServer:
    """One socket. Each piece of work opens it and closes it: some speak with one at a time.

    Args:
        recorder: of the connector.
        connect: opens it.
        clock: what the grammar says of clocks.
        pace: whose turn it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        connect: Connect,
        *,
        clock: Callable[[Sequence[str]], datetime | None] = _no_clock,
        pace: Pacer = OPEN,
    ) -> None:
        self._recorder = recorder
        self._connect = connect
        self._clock = clock
        self._pace = pace
        self._alone = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def opened(self, transcript: Transcript) -> AsyncIterator[OpenLine]:
        """The open socket, in its turn, and in ours: nobody of this process speaks beside us.

        Raises:
            ConnectorFault: it cannot be had.
        """
        kind = self._recorder.connector
        async with (
            self._alone,
            in_turn(self._pace, transcript, connector=kind, operation="connect"),
        ):
            session = await self._recorder.bounded("connect", self._connect())
            try:
                yield OpenLine(self._recorder, session, self._clock, transcript)
            finally:
                await session.close()


class OpenLine:
    """A socket while it is open."""

    def __init__(
        self,
        recorder: Recorder,
        session: Session,
        clock: Callable[[Sequence[str]], datetime | None],
        transcript: Transcript,
    ) -> None:
        self._recorder = recorder
        self._session = session
        self._clock = clock
        self._transcript = transcript

    async def ask(self, command: Command, **words: str) -> tuple[Lines, Exchange]:
        """Send a command, and hear the answer.

        Raises:
            ConnectorFault: for a refusal, no answer in time, or one that is too long.
        """
        return await self._recorder.carry_out(
            command.operation,
            self._heard(command, words),
            self._transcript,
            missing=command.missing,
        )

    def odd(self, command: Command, code: str = OTHER_FORM) -> ConnectorFault:
        """The fault of an answer that the documentation does not allow."""
        return self._recorder.fault(command.operation, code)

    async def _heard(self, command: Command, words: Mapping[str, str]) -> Answer[Lines]:
        lines = await self._session.ask(command, words)
        return Answer(lines, "\n".join(lines).encode(), self._clock(lines))
