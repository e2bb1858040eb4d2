"""Behind a real PgBouncer: session mode works, transaction mode is refused with the reason."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.cli.runtime import doctor
from lockstep.evidence.format.notes import FileSigner
from lockstep.settings import load_settings
from lockstep.storage.engine.database import StorageError, create_engine
from lockstep.storage.engine.direct import connect, refuse_shared_sessions
from tests.support import pgbouncer
from tests.support.casework import Casework
from tests.support.homes import server_home
from tests.support.ledgers import ORIGIN, LedgerBook, settle
from tests.support.pgbouncer import Bouncer

SHARED = ("transaction", "statement")


@pytest.fixture(scope="module")
def bouncers(postgres) -> Iterator[dict[str, Bouncer]]:
    with contextlib.ExitStack() as stack:
        made = {}
        for mode in ("session", *SHARED):
            folder = stack.enter_context(server_home())
            made[mode] = stack.enter_context(pgbouncer.running(postgres, folder, mode=mode))
        yield made


async def test_a_connection_has_its_settings_behind_session_mode(bouncers, database):
    """PgBouncer refuses startup options: what they would say is said afterwards."""
    engine = create_engine(bouncers["session"].before(database.app_url), pool_size=2)
    names = ("timezone", "statement_timeout", "lock_timeout")
    async with engine.connect() as connection:
        shown = [await connection.scalar(text(f"show {name}")) for name in names]
        await connection.rollback()
        again = [await connection.scalar(text(f"show {name}")) for name in names]
    await engine.dispose()

    assert [value.lower() for value in shown] == ["utc", "15s", "5s"]
    assert again == shown, "a transaction that is rolled back does not take them along"


def test_a_connection_of_ones_own_has_its_settings_too(bouncers, database):
    """Those of the sequencer and of proofs."""
    with connect(bouncers["session"].before(database.app_url), application="test") as link:
        shown = [
            link.execute(f"show {name}".encode()).fetchone()[0]
            for name in ("timezone", "statement_timeout", "lock_timeout")
        ]
    assert [value.lower() for value in shown] == ["utc", "1min", "5s"]


async def test_cases_and_the_sequencer_work_behind_session_mode(bouncers, database, ring, tmp_path):
    """A case is opened, its entries are placed and sealed, and only one is the sequencer."""
    url = bouncers["session"].before(database.app_url)
    engine = create_engine(url, pool_size=2)
    work = Casework(engine, ring)
    await work.adopt()
    await work.open()
    await engine.dispose()
    with contextlib.closing(LedgerBook(url, database.superuser_url, tmp_path)) as book:
        first, second = book.sequencer(), book.sequencer()
        settle(first)
        assert book.unplaced() == 0
        assert second.step().value == "waiting"
        first.close()
        second.close()


def test_session_mode_is_let_in(bouncers, database):
    """As is a connection without a pooler."""
    refuse_shared_sessions(bouncers["session"].before(database.app_url))
    refuse_shared_sessions(database.app_url)


@pytest.mark.parametrize("busy", [0, 4])
@pytest.mark.parametrize("mode", SHARED)
def test_shared_sessions_are_refused_with_the_reason(bouncers, database, mode, busy):
    """Every time, also while others use the pooler."""
    url = bouncers[mode].before(database.app_url)
    stop = threading.Event()
    others = [threading.Thread(target=_work, args=(url, stop)) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        for _ in range(10):
            with pytest.raises(StorageError, match=r"pool_mode = session for this database"):
                refuse_shared_sessions(url)
    finally:
        stop.set()
        for other in others:
            other.join(30)


def _work(url: str, stop: threading.Event) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True, prepare_threshold=None) as link:
        while not stop.wait(0.001):
            link.execute("select pg_sleep(0.002)")


SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "file:db"
owner_url = "file:owner"

[ledger]
key = "file:ledger.key"

[temporal]
mode = "external"
address = "127.0.0.1:1"

[systems.by-hand]
connector = "manual"
"""


@pytest.fixture
def home(bouncers, database, ring, tmp_path) -> Path:
    """An installation that is to use the pooler of transaction mode."""
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(bouncers["transaction"].before(database.app_url))
    (tmp_path / "owner").write_text(bouncers["transaction"].before(database.owner_url))
    (tmp_path / "ledger.key").write_text(FileSigner.generate(ORIGIN).to_text())
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return tmp_path / "lockstep.toml"


@pytest.mark.parametrize("command", ["web", "migrate"])
def test_nothing_starts_behind_transaction_mode(home, command):
    """Each says what to set, and exits with a fault."""
    result = CliRunner().invoke(app, [command, "--config", str(home)])

    assert result.exit_code != 0
    assert "set pool_mode = session for this database" in " ".join(result.output.split())


async def test_doctor_tells_of_transaction_mode(home):
    """As a problem of the database."""
    checks = await doctor.examine(load_settings(home))
    [told] = [check for check in checks if check.part == "database"]
    assert told.level == "problem"
    assert "pool_mode = session" in told.says
