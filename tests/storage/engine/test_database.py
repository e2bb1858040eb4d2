"""The engine: refuses a database that is not fit, and outlives a restart of the server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from lockstep.embedded.runstate import read_run_state
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.engine.database import StorageError, check_fitness, create_engine
from lockstep.storage.engine.migrate import migrate, newest_revision
from lockstep.storage.ledger.append import Append
from tests.support.casework import termination


async def fitness(url: str, revision: str | None) -> None:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            await check_fitness(connection, expected_revision=revision)
    finally:
        await engine.dispose()


async def test_a_migrated_database_and_the_applications_role_are_fit(database):
    """The shipped roles pass."""
    await fitness(database.app_url, newest_revision())


@pytest.mark.parametrize("role", ["owner_url", "superuser_url"])
async def test_a_role_that_could_rewrite_the_ledger_is_refused(database, role):
    """Owner and superuser are refused, and the error names setting and remedy."""
    with pytest.raises(StorageError, match=r"database\.url: this role may change the ledger"):
        await fitness(getattr(database, role), newest_revision())


async def test_an_older_schema_is_refused(database):
    """The error names both revisions and the command."""
    with pytest.raises(StorageError, match=r"is at 2026.*needs 2099.*lockstep migrate"):
        await fitness(database.app_url, "2099_01_01")


@pytest.mark.parametrize("revision", ["newest", None])
async def test_an_empty_database_is_refused(database, revision):
    """A database without our tables says so, whatever revision is asked for."""
    migrate(database.owner_url, "base")
    wanted = newest_revision() if revision else None
    with pytest.raises(StorageError, match="lockstep migrate"):
        await fitness(database.app_url, wanted)


async def test_a_role_without_our_grants_is_told_so(database):
    """A role outside lockstep_app gets an instruction, not a stack trace."""
    plain = make_url(database.superuser_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(), autocommit=True) as connection:
        connection.execute("create role stranger login")
    try:
        url = make_url(database.app_url).set(username="stranger").render_as_string()
        with pytest.raises(StorageError, match="lockstep_app"):
            await fitness(url, newest_revision())
    finally:
        with psycopg.connect(plain.render_as_string(), autocommit=True) as connection:
            connection.execute("drop role stranger")


@pytest.mark.parametrize("url", ["sqlite://", "mysql://u:hunter2@h/d", "postgresql+asyncpg://h/d"])
def test_only_postgresql_is_accepted(url):
    """Another database is refused without quoting the URL, which may hold a password."""
    with pytest.raises(StorageError, match="only postgresql") as caught:
        create_engine(url)
    assert "hunter2" not in str(caught.value)


async def test_instants_come_back_in_utc(engine):
    """Whatever zone the server is in, our sessions speak UTC."""
    async with engine.connect() as connection:
        assert await connection.scalar(text("show timezone")) == "UTC"


async def test_a_restart_of_the_server_costs_one_try_and_nothing_else(work, servers, session_home):
    """The server dies under open connections; what was committed stands, and work goes on."""
    entry = Entry(
        kind=EntryKind.CASE_BEGUN,
        key="k",
        tenant="acme",
        occurred_at=termination().recorded_at,
        recorded_at=termination().recorded_at,
        case_id="c1",
    )
    case = await work.open()
    await asyncio.gather(*(work.cases.begin(case.case_id) for _ in range(5)))  # a filled pool
    await _restarted(session_home / "servers")
    failures = 0
    while True:
        try:
            await work.ledger.append(Append(entry))
            break
        except DBAPIError:
            failures += 1
            assert failures < 10

    assert failures >= 1
    assert (await work.case(case.case_id))["status"] == "revoking"
    assert await work.kinds("c1") == ["case:begun"]
    results = await asyncio.gather(
        *(work.cases.begin(case.case_id) for _ in range(10)), return_exceptions=True
    )
    assert [r for r in results if isinstance(r, BaseException)] == []


async def _restarted(home: Path) -> None:
    """Kill PostgreSQL, and return once its supervisor has nothing more to do with it.

    The supervisor lives in the tests' own event loop: a next test that began before would stop it
    half way, and find the template in use.
    """
    before = read_run_state(home).child("postgres")
    os.kill(before.pid, signal.SIGQUIT)
    deadline = time.monotonic() + 60
    while not (now := read_run_state(home).child("postgres")).ready or now.pid == before.pid:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
