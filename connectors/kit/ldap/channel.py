"""The channel to a directory: bounded, classified, recorded, and silent about secrets.

As with the other channels, what a server answers becomes a transcript and faults. Filters hold
values as octets, names of entries are used as the server gave them; neither is ever recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from connectors.base import ConnectorFault, Transcript
from connectors.kit.ldap.filters import Filter
from connectors.kit.ldap.instants import generalized
from connectors.kit.ldap.messages import Edit, Entry, Scope
from connectors.kit.pacing.pace import OPEN, Pacer
from connectors.kit.pacing.turns import in_turn
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")

ACCEPTED: Final = 200
"""What stands for a status where a channel has none: the server carried the operation out."""
REFUSED: Final = 500
"""And where it refused."""
MOST_ENTRIES: Final = 200_000
PAGE: Final = 500
_MOST_PAGES: Final = 2 * MOST_ENTRIES // PAGE


class Result(IntEnum):
    """Result codes (RFC 4511, appendix A) that something hangs on."""

    SUCCESS = 0
    OPERATIONS_ERROR = 1
    PROTOCOL_ERROR = 2
    TIME_LIMIT_EXCEEDED = 3
    SIZE_LIMIT_EXCEEDED = 4
    AUTH_METHOD_NOT_SUPPORTED = 7
    STRONGER_AUTH_REQUIRED = 8
    REFERRAL = 10
    ADMIN_LIMIT_EXCEEDED = 11
    UNAVAILABLE_CRITICAL_EXTENSION = 12
    CONFIDENTIALITY_REQUIRED = 13
    NO_SUCH_ATTRIBUTE = 16
    UNDEFINED_ATTRIBUTE_TYPE = 17
    CONSTRAINT_VIOLATION = 19
    ATTRIBUTE_OR_VALUE_EXISTS = 20
    INVALID_ATTRIBUTE_SYNTAX = 21
    NO_SUCH_OBJECT = 32
    INVALID_DN_SYNTAX = 34
    INAPPROPRIATE_AUTHENTICATION = 48
    INVALID_CREDENTIALS = 49
    INSUFFICIENT_ACCESS_RIGHTS = 50
    BUSY = 51
    UNAVAILABLE = 52
    UNWILLING_TO_PERFORM = 53
    OBJECT_CLASS_VIOLATION = 65
    OTHER = 80


FAULTS: Final[Mapping[int, FaultCategory]] = {
    Result.OPERATIONS_ERROR: FaultCategory.VENDOR_ERROR,
    Result.TIME_LIMIT_EXCEEDED: FaultCategory.TIMEOUT,
    Result.SIZE_LIMIT_EXCEEDED: FaultCategory.MISCONFIGURED,  # of our own account at the server
    Result.AUTH_METHOD_NOT_SUPPORTED: FaultCategory.MISCONFIGURED,
    Result.STRONGER_AUTH_REQUIRED: FaultCategory.MISCONFIGURED,
    Result.REFERRAL: FaultCategory.MISCONFIGURED,  # a copy that takes no changes
    Result.ADMIN_LIMIT_EXCEEDED: FaultCategory.MISCONFIGURED,
    Result.UNAVAILABLE_CRITICAL_EXTENSION: FaultCategory.MISCONFIGURED,
    Result.CONFIDENTIALITY_REQUIRED: FaultCategory.MISCONFIGURED,
    Result.UNDEFINED_ATTRIBUTE_TYPE: FaultCategory.MISCONFIGURED,
    Result.INVALID_ATTRIBUTE_SYNTAX: FaultCategory.MISCONFIGURED,
    Result.NO_SUCH_OBJECT: FaultCategory.MISCONFIGURED,
    Result.INVALID_DN_SYNTAX: FaultCategory.MISCONFIGURED,
    Result.INAPPROPRIATE_AUTHENTICATION: FaultCategory.CREDENTIALS_REJECTED,
    Result.INVALID_CREDENTIALS: FaultCategory.CREDENTIALS_REJECTED,
    Result.INSUFFICIENT_ACCESS_RIGHTS: FaultCategory.PERMISSION_MISSING,
    Result.BUSY: FaultCategory.RATE_LIMITED,
    Result.UNAVAILABLE: FaultCategory.VENDOR_ERROR,
    Result.UNWILLING_TO_PERFORM: FaultCategory.MISCONFIGURED,
    Result.OTHER: FaultCategory.VENDOR_ERROR,
}
"""What a refusal is, by its code; a dialect may say otherwise."""


class Refusal(Exception):  # noqa: N818 - what a server says is no error of ours
    """A server's refusal by its code, or that it fell silent (None).

    Of its words only a number at their beginning is shown, as Windows puts it there; the rest can
    name people and repeat what was sent.
    """

    def __init__(self, code: int | None, words: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.words = words

    @property
    def told(self) -> str:
        """The code in the RFC's words, and Windows' own."""
        if self.code is None:
            return self.words or "no_connection"
        known = {int(one): one.name.lower() for one in Result}
        own = re.match(r"[0-9A-Fa-f]{8}(?=:)", self.words)
        name = known.get(self.code, f"result_{self.code}")
        return f"{name}/{own[0]}" if own else name


@dataclass(frozen=True, slots=True)
class Query:
    """One search.

    Args:
        operation: our stable name of it.
        base: where it begins.
        wanted: which entries.
        attributes: that are returned; operational ones only by name.
        scope: how far it reaches.
        page: entries in one answer; 0 for a search that needs no pages.
        most: entries in all.
        time_s: after which the server itself gives up.
        missing: the permission that it needs.
        elsewhere: whether a part of the tree may be on another server.
    """

    operation: str
    base: str = field(repr=False)
    wanted: Filter = field(repr=False)
    attributes: tuple[str, ...]
    scope: Scope = Scope.SUBTREE
    page: int = PAGE
    most: int = MOST_ENTRIES
    time_s: int = 15
    missing: str | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes of one entry, all or none."""

    operation: str
    dn: str = field(repr=False)
    edits: tuple[Edit, ...] = field(repr=False)
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search: the cookie of the next one, and references to other servers."""

    entries: tuple[Entry, ...]
    cookie: bytes = b""
    elsewhere: int = 0


class Session(Protocol):
    """One bound connection. Every method raises `Refusal` for what the server does."""

    async def search(self, query: Query, cookie: bytes = b"") -> Found:
        """One page."""

    async def change(self, edits: Edits) -> None:
        """Change one entry."""

    async def who_am_i(self) -> str:
        """Our own name, as the server sees it (RFC 4532)."""

    async def close(self) -> None:
        """End it; never raises."""


Connect = Callable[[], Awaitable[Session]]


@dataclass(frozen=True, slots=True)
class LdapDialect:
    """How one kind of directory refuses: categories by code where they differ from `FAULTS`."""

    connector: str
    faults: Mapping[int, FaultCategory] = field(default_factory=dict, hash=False)

    def category(self, code: int | None) -> FaultCategory:
        if code is None:
            return FaultCategory.UNREACHABLE
        known = FAULTS.get(code, FaultCategory.UNEXPECTED_ANSWER)
        return self.faults.get(code, known)


class LdapServer:
    """One server; each piece of work opens a connection of its own and closes it.

    Args:
        dialect: of its kind.
        connect: opens a session.
        secrets: values that must never appear in a fault.
        timeout: bound on connecting, and on each operation.
        pace: whose turn it is.
    """

    def __init__(
        self,
        dialect: LdapDialect,
        connect: Connect,
        *,
        secrets: Collection[str] = (),
        timeout: timedelta = timedelta(seconds=20),
        pace: Pacer = OPEN,
    ) -> None:
        self._dialect = dialect
        self._connect = connect
        self._secrets = tuple(secret for secret in secrets if secret)
        self._timeout_s = timeout.total_seconds()
        self._pace = pace

    @contextlib.asynccontextmanager
    async def opened(self, transcript: Transcript) -> AsyncIterator[OpenDirectory]:
        """A connection, in its turn.

        Raises:
            ConnectorFault: it cannot be had.
        """
        kind = self._dialect.connector
        async with in_turn(self._pace, transcript, connector=kind, operation="bind"):
            session = await self.bounded("bind", self._connect())
            try:
                yield OpenDirectory(self, session, transcript)
            finally:
                await session.close()

    async def bounded(
        self,
        operation: str,
        work: Awaitable[T],
        *,
        missing: str | None = None,
        faults: Mapping[int, FaultCategory] | None = None,
    ) -> T:
        """The result in time.

        Raises:
            ConnectorFault: for a refusal, silence, or no answer in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except Refusal as refusal:
            own = (faults or {}).get(-1 if refusal.code is None else refusal.code)
            category, code = own or self._dialect.category(refusal.code), refusal.told
        except TimeoutError:
            category, code = FaultCategory.TIMEOUT, "no_answer"
        # Outside of the handlers: nothing of theirs hangs on the fault.
        raise self.fault(category, operation, code, missing=missing)

    def fault(
        self, category: FaultCategory, operation: str, code: str, *, missing: str | None = None
    ) -> ConnectorFault:
        """A fault of this server."""
        lacks = missing if category is FaultCategory.PERMISSION_MISSING else None
        clean = "redacted" if any(secret in code for secret in self._secrets) else code
        return ConnectorFault(
            category,
            connector=self._dialect.connector,
            operation=operation,
            code=clean[:64],
            missing=lacks,
        )


class OpenDirectory:
    """A server while a connection to it is open."""

    def __init__(self, server: LdapServer, session: Session, transcript: Transcript) -> None:
        self._server = server
        self._session = session
        self._transcript = transcript

    async def all(self, query: Query) -> tuple[Entry, ...]:
        """Every entry that a search finds, page by page.

        Raises:
            ConnectorFault: for a refusal, too many entries, or a search that comes to no end.
        """
        seen: dict[str, Entry] = {}
        cookie = b""
        for _ in range(_MOST_PAGES):
            page = await self._page(query, cookie)
            if page.elsewhere and not query.elsewhere:
                raise self._server.fault(FaultCategory.MISCONFIGURED, query.operation, "referral")
            new = {one.dn: one for one in page.entries if one.dn not in seen}
            seen |= new
            if len(seen) > query.most:
                break
            if not page.cookie:
                return tuple(seen.values())
            if page.entries and not new:
                break
            cookie = page.cookie
        code = "too_many_entries" if len(seen) > query.most else "page_repeats"
        raise self._server.fault(FaultCategory.UNEXPECTED_ANSWER, query.operation, code)

    async def some(self, query: Query) -> tuple[Entry, ...]:
        """The first page alone."""
        return (await self._page(query, b"")).entries

    async def base(self, query: Query) -> Entry | None:
        """The entry at the base itself; None where there is none."""
        try:
            entries = await self.all(query)
        except ConnectorFault as fault:
            if fault.code.partition("/")[0] == Result.NO_SUCH_OBJECT.name.lower():
                return None
            raise
        return next(iter(entries), None)

    async def change(
        self, edits: Edits, *, faults: Mapping[int, FaultCategory] | None = None
    ) -> Exchange:
        """Change one entry.

        Raises:
            ConnectorFault: for a refusal, or no answer in time.
        """
        sent = datetime.now(UTC)
        work = self._session.change(edits)
        await self._made(edits.operation, work, sent, edits.missing, faults)
        return self._record(edits.operation, ACCEPTED, b"success", sent, None)

    async def who_am_i(self) -> str:
        """Our own name, as the server sees it."""
        sent = datetime.now(UTC)
        name = await self._made("whoami", self._session.who_am_i(), sent, None, None)
        self._record("whoami", ACCEPTED, name.encode(), sent, None)
        return name

    def odd(self, operation: str, code: str) -> ConnectorFault:
        """The fault of an answer that the documentation does not allow."""
        return self._server.fault(FaultCategory.UNEXPECTED_ANSWER, operation, code)

    def fault(self, category: FaultCategory, operation: str, code: str) -> ConnectorFault:
        """A fault of this server."""
        return self._server.fault(category, operation, code)

    async def _page(self, query: Query, cookie: bytes) -> Found:
        sent = datetime.now(UTC)
        work = self._session.search(query, cookie)
        page = await self._made(query.operation, work, sent, query.missing, None)
        raw = repr([(one.dn, sorted(one.values.items())) for one in page.entries]).encode()
        clocks = (generalized(one.one("currentTime")) for one in page.entries)
        clock = next((one for one in clocks if one is not None), None)
        self._record(query.operation, ACCEPTED, raw, sent, clock)
        return page

    async def _made(
        self,
        operation: str,
        work: Awaitable[T],
        sent: datetime,
        missing: str | None,
        faults: Mapping[int, FaultCategory] | None,
    ) -> T:
        try:
            return await self._server.bounded(operation, work, missing=missing, faults=faults)
        except ConnectorFault as fault:
            self._record(operation, REFUSED, fault.code.encode(), sent, None)
            raise

    def _record(
        self, operation: str, status: int, raw: bytes, sent: datetime, clock: datetime | None
    ) -> Exchange:
        time = answer_time(clock, sent=sent, answered=datetime.now(UTC))
        exchange = Exchange(
            operation=operation,
            status=status,
            answered_at=time.at,
            skew=time.skew,
            digest=hashlib.sha256(raw).hexdigest(),
        )
        self._transcript.add(exchange)
        return exchange
