"""Brings the schema to this release; run as the database's owner, never as the application.

Alembic is imported by whoever migrates: every command and process would wait 0.2 s for it
otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

import migrations
from lockstep.storage.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x10C57E9
"""Advisory lock: two migrations at once would race."""


def owner_engine(url: str) -> Engine:
    """A plain engine for the owner's URL."""
    parsed = make_url(url)
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, hide_parameters=True, connect_args={"connect_timeout": 5})


def newest_revision() -> str:
    """The revision that this release needs."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see the module's docstring

    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:  # pragma: no cover - the package always carries its migrations
        raise RuntimeError("no migrations in this installation")
    return head


def migrate(url: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Upgrade (or downgrade) the schema; return the revision before and after.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: if the database cannot be reached or refuses.
    """
    from alembic import command  # noqa: PLC0415 - see the module's docstring

    engine = owner_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
            before = _current(connection)
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            if _is_older(revision, before):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            after = _current(connection)
            connection.commit()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
            return before, after
    finally:
        engine.dispose()


def drift(url: str) -> list[object]:
    """Differences between tables and database; empty when both are equal."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - see the module's docstring
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see the module's docstring

    engine = owner_engine(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            return list(compare_metadata(context, metadata))
    finally:
        engine.dispose()


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see the module's docstring

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def _current(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see the module's docstring

    return MigrationContext.configure(connection).get_current_revision()


def _is_older(revision: str, current: str | None) -> bool:
    return (
        revision == "base"
        or revision.startswith("-")
        or (revision != "head" and current is not None and revision < current)
    )
