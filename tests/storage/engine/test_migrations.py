"""The schema: made by migrations only, equal to the tables, and append-only where it must be."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.storage.engine.migrate import drift, migrate, newest_revision


def test_tables_and_migrations_are_equal(database):
    """The tables in code describe exactly what the migrations make."""
    assert drift(database.owner_url) == []


def test_one_step_down_and_up_again(database):
    """The newest migration can be taken back and applied again."""
    after, before = migrate(database.owner_url, "-1")

    assert (after, before is None) == (newest_revision(), False)
    assert migrate(database.owner_url) == (before, newest_revision())
    assert drift(database.owner_url) == []


def test_all_the_way_down_and_up_again(database):
    """Every migration can be taken back, and the schema made anew."""
    assert migrate(database.owner_url, "base") == (newest_revision(), None)
    assert migrate(database.owner_url) == (None, newest_revision())
    assert drift(database.owner_url) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger_entries set kind = 'x'",
        "delete from ledger_entries",
        "truncate ledger_entries",
        "update ledger_leaves set leaf_index = leaf_index + 1",
        "update ledger_leaves set entry_id = 7",
        "delete from ledger_leaves",
        "truncate ledger_leaves",
        "update checkpoints set root = sha256(root)",
        "update checkpoints set note = ''",
        "delete from checkpoints",
        "truncate checkpoints cascade",
    ],
)
@pytest.mark.parametrize("role", ["app_url", "owner_url", "superuser_url"])
def test_the_ledger_cannot_be_changed(database, statement, role):
    """Neither the application's rights nor a stray owner's statement change entry, order, head."""
    url = make_url(getattr(database, role)).set(drivername="postgresql")
    with (
        psycopg.connect(url.render_as_string(hide_password=False)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
