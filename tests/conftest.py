"""Real servers for the tests: one PostgreSQL and one Temporal per session and xdist worker."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# Each fixture imports what it starts: a run of one connector's tests loads no server of ours.
if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from lockstep.embedded.postgres import EmbeddedPostgres
    from lockstep.embedded.supervisor import Supervisor
    from lockstep.embedded.temporal import TemporalDevServer
    from lockstep.storage.keys.keyring import Keyring
    from tests.support.casework import Casework

_MOST_OF_AN_INSTALLATION_S = 1_500


# How long an example takes says something about the machine, and nothing about what must hold.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In continuous integration a part that is missing is a failure, not a skip."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in continuous integration: {report.longrepr}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test has a deadline; those that wait in the event loop are cancelled shortly before.

    What starts whole installations has deadlines of its own, which must come before this one.
    It comes first: side by side, a long file at the end would leave all others waiting for it.
    """
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_MOST_OF_AN_INSTALLATION_S))
        marker = item.get_closest_marker("timeout")
        most = float(marker.args[0] if marker and marker.args else config.getini("timeout"))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = bounded(item.obj, most_s=0.9 * most)


def bounded(
    test: Callable[..., Awaitable[None]], *, most_s: float
) -> Callable[..., Awaitable[None]]:
    """The same test, cancelled after so long.

    The alarm of pytest-timeout is lost where it strikes inside of another task; and only a
    cancellation lets the test's own blocks end their servers and processes.
    """

    @functools.wraps(test)
    async def run(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(most_s):
            await test(*args, **kwargs)

    return run


@pytest.fixture(autouse=True)
def _keep_the_sessions_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is run in this process would bind every logger to a stream that closes."""
    if "lockstep.cli" not in sys.modules:
        return
    from lockstep.cli import context

    monkeypatch.setattr(context, "configure_logging", lambda **_: None)


@dataclass(frozen=True)
class Database:
    """A migrated database of its own. ``app_url`` may not change the ledger."""

    app_url: str
    owner_url: str
    superuser_url: str


def search_attribute_types() -> dict[str, str]:
    """Names and types as the Temporal command line takes them."""
    from lockstep.contracts.names import SEARCH_ATTRIBUTES

    types = {"INDEXED_VALUE_TYPE_KEYWORD": "Keyword", "INDEXED_VALUE_TYPE_DATETIME": "Datetime"}
    return {
        key.name: types[f"INDEXED_VALUE_TYPE_{key.indexed_value_type.name}"]
        for key in SEARCH_ATTRIBUTES
    }


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    from tests.support.homes import server_home

    with server_home() as folder:
        yield folder


@pytest.fixture(scope="session")
async def servers(session_home: Path) -> AsyncIterator[Supervisor]:
    from lockstep.embedded.supervisor import Supervisor

    async with Supervisor(session_home / "servers", stop_signals=()) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
async def postgres(servers: Supervisor, session_home: Path) -> EmbeddedPostgres:
    """A running PostgreSQL with one migrated database, which serves as template."""
    from lockstep.embedded.postgres import EmbeddedPostgres
    from lockstep.storage.engine.migrate import migrate

    server = EmbeddedPostgres(session_home / "pg")
    server.prepare()
    # Each test has a database of its own, which the shipped rights rightly refuse.
    rights = session_home / "pg_hba.conf"
    rights.write_text("local all all trust\n")
    rights.chmod(0o644)
    (server.data_dir / "local.conf").write_text(f"hba_file = '{rights}'\nfsync = off\n")
    await servers.start(server.child_spec(log_path=session_home / "pg.log"))
    migrate(server.owner_url)
    return server


def _at(url: str, *, database: str | None = None, user: str | None = None) -> str:
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    parsed = parsed.set(database=database or parsed.database, username=user or parsed.username)
    return parsed.render_as_string(hide_password=False)


def _plain(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextlib.contextmanager
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh copy of the migrated database."""
    import psycopg
    from sqlalchemy.engine import make_url

    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = _plain(_at(postgres.owner_url, database="postgres", user="postgres"))
    template = make_url(postgres.owner_url).database
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            f"create database {name} template {template} owner lockstep_owner"
            " strategy file_copy".encode()  # a quarter cheaper than through the log
        )
    yield Database(
        app_url=_at(postgres.app_url, database=name),
        owner_url=_at(postgres.owner_url, database=name),
        superuser_url=_at(postgres.owner_url, database=name, user="postgres"),
    )
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh copy of the migrated database."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's engine on a fresh database."""
    from lockstep.storage.engine.database import create_engine

    made = create_engine(database.app_url)
    yield made
    await made.dispose()


@pytest.fixture(scope="session")
def ring() -> Keyring:
    from lockstep.storage.keys.keyring import Keyring

    return Keyring.generate()


@pytest.fixture(scope="session")
async def temporal(servers: Supervisor, session_home: Path) -> TemporalDevServer:
    """A running Temporal dev server, tuned as in production of one machine."""
    from lockstep.embedded.temporal import TemporalDevServer
    from tests.support.ports import free_port

    server = TemporalDevServer(
        None,
        free_port(),
        log_file=session_home / "temporal.log",
        search_attributes=search_attribute_types(),
    )
    await servers.start(server.child_spec())
    return server


@pytest.fixture
async def client(temporal: TemporalDevServer, ring: Keyring):
    """A client whose payloads are encrypted."""
    from lockstep.control.runtime.temporal import TemporalAddress, connect

    return await connect(TemporalAddress(temporal.address), ring)


@pytest.fixture
async def work(engine: AsyncEngine, ring: Keyring) -> Casework:
    """Repositories on one engine, with a policy adopted."""
    from tests.support.casework import Casework

    made = Casework(engine, ring)
    await made.adopt()
    return made
