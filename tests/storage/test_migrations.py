"""The schema: made by migrations only, equal to the tables, and append-only where it must be."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.storage.migrate import drift, migrate, newest_revision


def test_tables_and_migrations_are_equal(database):
    """The tables in code describe exactly what the migrations make."""
    assert drift(database.owner_url) == []


def test_one_step_down_and_up_again(database):
    """The newest migration can be taken back and applied again."""
    assert migrate(database.owner_url, "-1") == (newest_revision(), None)
    assert migrate(database.owner_url) == (None, newest_revision())
    assert drift(database.owner_url) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger_entries set kind = 'x'",
        "delete from ledger_entries",
        "truncate ledger_entries",
    ],
)
@pytest.mark.parametrize("role", ["app_url", "superuser_url"])
def test_the_ledger_cannot_be_changed(database, statement, role):
    """Neither the application's rights nor a stray owner's statement change the ledger."""
    url = make_url(getattr(database, role)).set(drivername="postgresql")
    with (
        psycopg.connect(url.render_as_string(hide_password=False)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
