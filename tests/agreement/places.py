"""A stage on a database of its own: as many as a property has examples."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from tests.agreement.stage import Stage
from tests.support.ledgers import LedgerBook, plain


@contextlib.asynccontextmanager
async def staged(postgres: EmbeddedPostgres, ring: Keyring) -> AsyncIterator[Stage]:
    """A stage; its database and its folder go with it."""
    with _database(postgres) as name, tempfile.TemporaryDirectory(prefix="lk-") as folder:
        app_url = _at(postgres.app_url, name)
        engine = create_engine(app_url)
        superuser_url = make_url(_at(postgres.owner_url, name)).set(username="postgres")
        url = superuser_url.render_as_string(hide_password=False)
        book = LedgerBook(app_url, url, Path(folder))
        try:
            yield Stage(engine, ring, book, Path(folder))
        finally:
            book.close()
            await engine.dispose()


@contextlib.contextmanager
def _database(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    template = make_url(postgres.owner_url).database
    admin = make_url(_at(postgres.owner_url, "postgres")).set(username="postgres")
    url = plain(admin.render_as_string(hide_password=False))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"create database {name} template {template} owner lockstep_owner".encode()
        )
        yield name
        connection.execute(f"drop database {name} with (force)".encode())


def _at(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
