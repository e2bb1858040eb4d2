"""Alembic's entry: one connection handed in by `lockstep migrate`, one transaction per step."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from lockstep.storage.tables import metadata


def run(connection: Connection) -> None:
    # A migration waits for nobody for long: running workers keep their locks short.
    connection.execute(text("set lock_timeout = '4s'"))
    connection.execute(text("set statement_timeout = '60s'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
