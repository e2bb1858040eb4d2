"""Sessions with a PostgreSQL server, by psycopg."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg import sql

from connectors.kit.databases.addresses import Place as At
from connectors.kit.sql import MOST_ROWS, Refusal, Rows, Statement

T = TypeVar("T")
_CLOCK: LiteralString = "SELECT pg_catalog.clock_timestamp()"


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and the database there."""

    at: At
    database: str

    async def connect(self) -> PostgresSession:
        """Open a session; nothing of the environment (PGPASSFILE, PGSERVICE …) has a say.

        Raises:
            Refusal: the server refuses us, or cannot be reached.
        """
        at = self.at
        options = {
            "host": at.host,
            "port": str(at.port),
            "dbname": self.database,
            "user": at.user,
            "password": at.password,
            "sslmode": "disable" if at.tls == "off" else at.tls,
            "sslrootcert": at.ca_file or ("system" if at.tls == "verify-full" else ""),
            "gssencmode": "disable",
            "passfile": "/dev/null",
            "target_session_attrs": "any",
            "application_name": "lockstep",
            "connect_timeout": str(max(2, int(at.timeout_s))),
            # A role that may create objects must not stand between us and the catalogue.
            "options": "-c search_path=pg_catalog -c client_min_messages=error"
            f" -c statement_timeout={int(at.timeout_s * 1000)} -c timezone=UTC",
        }
        opening = psycopg.AsyncConnection.connect(
            **cast("dict[str, Any]", options), autocommit=True, prepare_threshold=None
        )
        return PostgresSession(await _told(opening))


class PostgresSession:
    """See `connectors.kit.sql.Session`."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Statement, values: Mapping[str, object], names: Mapping[str, str]
    ) -> Rows:
        return await _told(self._execute(statement, values, names))

    async def close(self) -> None:
        with contextlib.suppress(psycopg.Error):
            await self._connection.close()

    async def _execute(
        self, statement: Statement, values: Mapping[str, object], names: Mapping[str, str]
    ) -> Rows:
        quoted = {name: sql.Identifier(value) for name, value in names.items()}
        query = sql.SQL(statement.text).format(**quoted)
        cursor = await self._connection.execute(query, values or None)
        columns: tuple[str, ...] = ()
        rows: list[tuple[Any, ...]] = []
        if cursor.description is not None:
            columns = tuple(column.name for column in cursor.description)
            rows = await cursor.fetchmany(MOST_ROWS + 1)
        clock = await (await self._connection.execute(_CLOCK)).fetchone()
        return Rows(columns, rows, _instant(clock[0] if clock else None))


def _instant(value: object) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else None


async def _told(work: Awaitable[T]) -> T:
    """The result; psycopg's words stay here, because they quote the server's.

    Raises:
        Refusal: with the SQLSTATE, where the server stated one.
    """
    state: str | None
    try:
        return await work
    except psycopg.Error as error:
        state = error.sqlstate or _state_of(error)
    raise Refusal(state)


def _state_of(error: psycopg.Error) -> str | None:
    """The SQLSTATE of a refused connection, which libpq tells in words only."""
    words = str(error)
    known = {
        "password authentication failed": "28P01",
        "no pg_hba.conf entry": "28000",
        "is not permitted to log in": "28000",
        "does not exist": "28000" if 'role "' in words else "3D000",
        "too many clients": "53300",
        "too many connections": "53300",
        "remaining connection slots": "53300",
        "the database system is": "57P03",
        "permission denied for database": "42501",
    }
    return next((state for text, state in known.items() if text in words), None)
