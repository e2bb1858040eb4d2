"""A plain connection of one's own: for session locks, and for what must not crowd the pool."""

from __future__ import annotations

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL, make_url

from lockstep.evidence.ledger.entries import Entry, sealed
from lockstep.storage.engine.database import StorageError

Link = psycopg.Connection[TupleRow]

_SESSION = "select " + ", ".join(
    f"set_config('{name}', '{value}', false)"
    for name, value in {
        "timezone": "utc",
        "statement_timeout": "60s",
        "lock_timeout": "5s",
        # The server drops a client whose machine has gone, and its session locks with it.
        "tcp_keepalives_idle": 15,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }.items()
)
"""Said after connecting, not while: a pooler such as PgBouncer refuses startup options."""
_ROUNDS = 40
"""Beside others who are busy, a pooler may happen to give a connection its old session back."""
_SHARED = (
    "database.url: a pooler gives our connections to others between transactions (PgBouncer: "
    "pool_mode = transaction or statement). Session locks, by which one sequencer works at a time, "
    "and LISTEN do not hold there: set pool_mode = session for this database, or connect directly "
    "(docs/operations.md)"
)


def connect(url: str | URL, *, application: str) -> Link:
    """Connect without a pool; every transaction sees one state of the database.

    Raises:
        psycopg.OperationalError: if the server cannot be reached.
    """
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    link = psycopg.connect(
        plain,
        autocommit=True,
        connect_timeout=5,
        application_name=application,
        keepalives_idle=15,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )
    link.execute(_SESSION.encode())
    link.isolation_level = IsolationLevel.REPEATABLE_READ
    return link


def refuse_shared_sessions(url: str | URL) -> None:
    """Refuse a pooler that gives a connection to others between its transactions.

    It is known by what it does: the server process behind a connection that rests becomes that of
    another one, or another comes in its place. In PgBouncer that is `pool_mode = transaction` (or
    `statement`).

    Raises:
        StorageError: saying what to do.
        psycopg.Error: if the server cannot be reached.
    """
    if _shares(url):
        raise StorageError(_SHARED)


def _shares(url: str | URL) -> bool:
    with (
        connect(url, application="lockstep-check") as rests,
        connect(url, application="lockstep-check") as works,
    ):
        ours = _process(rests)
        try:
            for _ in range(_ROUNDS):
                with works.transaction():
                    if _process(works) == ours or _process(rests) != ours:
                        return True
        except psycopg.errors.ProtocolViolation:  # PgBouncer's statement mode knows no transaction
            return True
    return False


def _process(link: Link) -> int:
    row = link.execute("select pg_backend_pid()").fetchone()
    assert row is not None  # noqa: S101 - a function's one row
    return int(row[0])


def append_entry(link: Link, entry: Entry) -> bool:
    """Append one entry; False if its key stands already. The same door as `ledger.append_all`."""
    body, leaf = sealed(entry)
    added = link.execute(
        """
        insert into ledger_entries (key, kind, case_id, system, recorded_at, body, leaf_hash)
        values (%s, %s, %s, %s, %s, %s, %s) on conflict (key) do nothing
        """,
        (
            entry.key,
            entry.kind.value,
            entry.case_id or None,
            entry.system or None,
            entry.recorded_at,
            body,
            leaf,
        ),
    )
    return added.rowcount == 1
