"""Sessions with a MariaDB or MySQL server, by PyMySQL.

PyMySQL waits for its socket, so each session has a thread of its own; its bounds end it there too.
Values are sent as hexadecimal literals and names between backticks: neither hangs on the server's
SQL mode or character set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import pymysql

from connectors.kit.databases.addresses import Place
from connectors.kit.sql import MOST_ROWS, Refusal, Rows, Statement

T = TypeVar("T")
_CLOCK: Final = "SELECT UTC_TIMESTAMP(6)"
_SILENT: Final = range(2000, 3000)
"""What the client says by itself: the server said nothing, or no more."""
_GRACE_S: Final = 2.0
"""The caller's own bound comes first; this one ends the thread."""
NOT_LET_IN: Final = "28000"
_REFUSED_AT_THE_DOOR: Final = frozenset({1044, 1045, 1130, 1698, 1862, 3118, 3878, 4151})


async def connect(place: Place) -> MariaSession:
    """Open a session; no option file has a say.

    Raises:
        Refusal: the server refuses us, or cannot be reached.
    """
    thread = ThreadPoolExecutor(1, "database")
    opening = thread.submit(_open, place)
    try:
        return MariaSession(thread, await _told(opening, at_the_door=True))
    except BaseException:
        opening.add_done_callback(_dropped)
        thread.shutdown(wait=False)
        raise


def _open(place: Place) -> pymysql.Connection[Any]:
    is_socket = place.host.startswith("/")
    bound = place.timeout_s + _GRACE_S
    trust = place.trust()
    return pymysql.connect(
        host="localhost" if is_socket else place.host,
        port=place.port,
        unix_socket=place.host if is_socket else None,
        user=place.user,
        password=place.password.encode(),
        charset="utf8mb4",
        autocommit=True,
        ssl=trust,
        ssl_disabled=trust is None,
        connect_timeout=max(1, int(bound)),
        read_timeout=bound,
        write_timeout=bound,
        # A change that waits for somebody's lock must not be made after we have gone.
        init_command=f"SET SESSION lock_wait_timeout = {max(1, int(place.timeout_s))}",
        program_name="lockstep",
    )


def _dropped(opening: Future[pymysql.Connection[Any]]) -> None:
    """Nobody waits for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        _end(opening.result())


def _end(connection: pymysql.Connection[Any]) -> None:
    with contextlib.suppress(pymysql.Error, OSError):
        connection.close()


class MariaSession:
    """See `connectors.kit.sql.Session`."""

    def __init__(self, thread: ThreadPoolExecutor, connection: pymysql.Connection[Any]) -> None:
        self._thread = thread
        self._connection = connection

    async def execute(
        self, statement: Statement, values: Mapping[str, object], names: Mapping[str, str]
    ) -> Rows:
        text = written(statement.text, values, names)
        return await _told(self._thread.submit(self._execute, text))

    async def close(self) -> None:
        self._thread.submit(_end, self._connection)
        self._thread.shutdown(wait=False)

    def _execute(self, text: str) -> Rows:
        cursor = self._connection.cursor()
        cursor.execute(text)
        columns = tuple(column[0] for column in cursor.description or ())
        rows = cursor.fetchmany(MOST_ROWS + 1) if columns else []
        cursor.execute(_CLOCK)
        [clock] = cursor.fetchone() or [None]
        return Rows(columns, rows, clock.replace(tzinfo=UTC) if _is_instant(clock) else None)


def _is_instant(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None


def written(text: str, values: Mapping[str, object], names: Mapping[str, str]) -> str:
    """A statement with its values and names in it."""
    quoted = {name: "`" + value.replace("`", "``") + "`" for name, value in names.items()}
    # Values first: a host is often %.
    return (text % {name: _literal(value) for name, value in values.items()}).format(**quoted)


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else f"_utf8mb4 X'{str(value).encode().hex()}'"


async def _told(work: Future[T], *, at_the_door: bool = False) -> T:
    """The result; PyMySQL's words stay here, because they quote the server's.

    Raises:
        Refusal: with the server's number of its refusal, where it gave one.
    """
    try:
        return await asyncio.wrap_future(work)
    except pymysql.Error as error:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    except (OSError, RuntimeError):
        number = 0
    if at_the_door and number in _REFUSED_AT_THE_DOOR:
        raise Refusal(NOT_LET_IN)
    raise Refusal(str(number) if number and number not in _SILENT else None)
