"""The database engine, and what must be true of a connection before anything is written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from lockstep.domain.errors import Kind, LockstepError

_SESSION = (
    "select set_config('timezone', 'utc', false), set_config('statement_timeout', '15s', false),"
    " set_config('lock_timeout', '5s', false)"
)
"""Said after connecting, not while: a pooler such as PgBouncer refuses startup options."""


class StorageError(LockstepError, RuntimeError):
    """The database is not fit for use; the text says why and what to do."""

    kind = Kind.UNFIT


def create_engine(url: str, *, pool_size: int = 10, application: str = "lockstep") -> AsyncEngine:
    """An engine for ``postgresql+psycopg://``; parameters never appear in errors or logs.

    Raises:
        StorageError: for any other kind of URL.
    """
    parsed = make_url(url)
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "postgresql+psycopg":
        raise StorageError("database.url: only postgresql:// is supported")
    engine = create_async_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=10,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={"connect_timeout": 5, "application_name": application},
    )
    event.listen(engine.sync_engine, "connect", _begin_session)
    return engine


def single_reads(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, for reads of one statement: one round trip instead of three.

    No transaction is opened around them. What reads twice, or writes, needs ``engine`` itself.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _begin_session(connection: Any, _record: object) -> None:
    """Give a new connection its settings, outside of any transaction that could take them back."""
    cursor = connection.cursor()
    try:
        cursor.execute(_SESSION)
    finally:
        cursor.close()
    connection.commit()


async def check_fitness(connection: AsyncConnection, *, expected_revision: str | None) -> None:
    """Refuse a database that is not migrated, or a role that could rewrite the ledger.

    Raises:
        StorageError: naming the command or the setting that mends it.
    """
    exists = await connection.scalar(text("select to_regclass('alembic_version') is not null"))
    if exists and not await connection.scalar(
        text("select has_table_privilege(current_user, 'alembic_version', 'SELECT')")
    ):
        raise StorageError(
            "database.url: this role may not read our tables: make it a member of lockstep_app "
            "(docs/operations.md, Database roles)"
        )
    found = (
        await connection.scalar(text("select version_num from alembic_version")) if exists else None
    )
    if found is None or (expected_revision is not None and found != expected_revision):
        raise StorageError(
            f"the schema is at {found or 'nothing'}, this release needs "
            f"{expected_revision or 'one'}: run `lockstep migrate`"
        )
    may_change = await connection.scalar(
        text(
            "select bool_or(has_table_privilege(current_user, 'ledger_entries', p))"
            " from unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) as p"
        )
    )
    if may_change:
        raise StorageError(
            "database.url: this role may change the ledger; use one that is only a member of "
            "lockstep_app (docs/operations.md, Database roles)"
        )
