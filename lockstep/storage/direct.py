"""A plain connection of one's own: for session locks, and for what must not crowd the pool."""

from __future__ import annotations

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL, make_url

from lockstep.evidence.entries import Entry, sealed

Link = psycopg.Connection[TupleRow]

_SERVER_OPTIONS = " ".join(
    f"-c {name}={value}"
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
        options=_SERVER_OPTIONS,
        keepalives_idle=15,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )
    link.isolation_level = IsolationLevel.REPEATABLE_READ
    return link


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
