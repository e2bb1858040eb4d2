"""The channel to a database server: bounded, classified, recorded, and silent about secrets.

A vendor gives statements as rows and a driver that opens sessions; what a server answers becomes a
transcript and faults as the answers of a web API do. Statements hold no value of a person: those
travel beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from connectors.base import ConnectorFault, Transcript
from connectors.kit.pacing.pace import OPEN, Pacer
from connectors.kit.pacing.turns import in_turn
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")
Row = Mapping[str, Any]

ACCEPTED: Final = 200
"""What stands for a status where a channel has none: the server carried the statement out."""
REFUSED: Final = 500
"""And where it refused."""
MOST_ROWS: Final = 100_000
UNSTATED: Final = "no_sqlstate"


class Refusal(Exception):  # noqa: N818 - what a server says is no error of ours
    """A server's refusal, or that it fell silent: its SQLSTATE and nothing else.

    The server's own words can name people and repeat what was sent; they are left behind, so a
    driver raises this outside of the handler of its own exception.
    """

    def __init__(self, state: str | None) -> None:
        super().__init__(state or UNSTATED)
        self.state = state


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Args:
        operation: our stable name of it.
        text: with ``%(name)s`` for values and ``{name}`` for names of roles and the like.
        columns: that the answer must have; none for a statement that answers nothing.
        effect: whether it changes anything.
        missing: the permission that it needs.
    """

    operation: str
    text: str
    columns: tuple[str, ...] = ()
    effect: bool = False
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A server's answer: ``columns`` as it names them, and its own clock after it (UTC)."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]] = field(repr=False)
    clock: datetime | None


class Session(Protocol):
    """One open session of a driver. Every method raises `Refusal` for what the server does."""

    async def execute(
        self, statement: Statement, values: Mapping[str, object], names: Mapping[str, str]
    ) -> Rows:
        """Carry one statement out, at once and by itself; at most `MOST_ROWS` rows and one."""

    async def close(self) -> None:
        """End it; never raises."""


Connect = Callable[[], Awaitable[Session]]
"""Opens a session; raises `Refusal`."""


@dataclass(frozen=True, slots=True)
class SqlDialect:
    """How one kind of server refuses.

    Args:
        connector: the connector's kind, first word of every fault.
        faults: categories by SQLSTATE, or by the two digits of its class.
    """

    connector: str
    faults: Mapping[str, FaultCategory] = field(hash=False)

    def category(self, state: str | None) -> FaultCategory:
        """What a refusal is; one without a state is a server that cannot be reached."""
        if state is None:
            return FaultCategory.UNREACHABLE
        by_class = self.faults.get(state[:2], FaultCategory.UNEXPECTED_ANSWER)
        return self.faults.get(state, by_class)


class SqlServer:
    """One server; each piece of work opens a session of its own and closes it.

    A session that is kept would be found dead by the next leaver, in the middle of a change.

    Args:
        dialect: of its kind.
        connect: opens a session.
        secrets: values that must never appear in a fault.
        timeout: bound on connecting, and on each statement.
        pace: whose turn it is.
    """

    def __init__(
        self,
        dialect: SqlDialect,
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
    async def opened(self, transcript: Transcript) -> AsyncIterator[OpenServer]:
        """A session, in its turn.

        Raises:
            ConnectorFault: it cannot be had.
        """
        kind = self._dialect.connector
        async with in_turn(self._pace, transcript, connector=kind, operation="connect"):
            session = await self.bounded("connect", self._connect())
            try:
                yield OpenServer(self, session, transcript)
            finally:
                await session.close()

    async def bounded(self, operation: str, work: Awaitable[T], *, missing: str | None = None) -> T:
        """The result in time.

        Raises:
            ConnectorFault: for a refusal, silence, or no answer in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except Refusal as refusal:
            category, code = self._dialect.category(refusal.state), str(refusal)
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


class OpenServer:
    """A server while a session of it is open."""

    def __init__(self, server: SqlServer, session: Session, transcript: Transcript) -> None:
        self._server = server
        self._session = session
        self._transcript = transcript

    async def run(
        self,
        statement: Statement,
        values: Mapping[str, object] | None = None,
        *,
        names: Mapping[str, str] | None = None,
    ) -> tuple[Sequence[Row], Exchange]:
        """Carry out a statement, and check the form of its answer.

        Args:
            statement: what to do.
            values: that travel beside it.
            names: of roles and the like, quoted by the driver.

        Raises:
            ConnectorFault: for a refusal, no answer in time, another form, too many rows.
        """
        operation, sent = statement.operation, datetime.now(UTC)
        work = self._session.execute(statement, values or {}, names or {})
        try:
            answer = await self._server.bounded(operation, work, missing=statement.missing)
        except ConnectorFault as fault:
            self._record(operation, REFUSED, fault.code.encode(), sent, None)
            raise
        exchange = self._record(
            operation, ACCEPTED, repr((answer.columns, answer.rows)).encode(), sent, answer.clock
        )
        code = ""
        if answer.clock is None or answer.columns[: len(statement.columns)] != statement.columns:
            code = "other_columns"
        elif len(answer.rows) > MOST_ROWS:
            code = "too_many_rows"
        if code:
            raise self._server.fault(FaultCategory.UNEXPECTED_ANSWER, operation, code)
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        return rows, exchange

    def odd(self, statement: Statement, code: str) -> ConnectorFault:
        """The fault of an answer that the documentation does not allow."""
        return self._server.fault(FaultCategory.UNEXPECTED_ANSWER, statement.operation, code)

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
