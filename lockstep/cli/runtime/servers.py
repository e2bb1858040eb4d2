"""`lockstep worker`, `web`, `migrate`: the parts by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import psycopg
import structlog
import typer
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client

from lockstep.cli.context import (
    ConfigOption,
    database_url,
    die,
    finish,
    out,
    run,
    settings_or_die,
)
from lockstep.control.runtime.temporal import connect
from lockstep.settings import Part, Settings, SettingsError, check_settings
from lockstep.storage.engine.database import StorageError, create_engine
from lockstep.storage.engine.direct import refuse_shared_sessions
from lockstep.storage.engine.migrate import migrate as migrate_schema
from lockstep.storage.keys.check import check_keyring
from lockstep.storage.keys.keyring import Keyring

log = structlog.get_logger("lockstep.cli")

READY_VARIABLE = "LOCKSTEP_READY_FILE"
"""A supervisor sets it; the file appears when the process is ready."""
_RECONNECT_S = 2.0


def worker(config: ConfigOption = None) -> None:
    """Dispatch the inbox, run the cases, speak to every system. Stops cleanly on SIGTERM."""
    import uvloop  # noqa: PLC0415 - see below

    from lockstep.worker import build_parts, run_worker, spare_collector  # noqa: PLC0415 - see below

    settings = checked_settings(config, Part.WORKER)

    async def work() -> None:
        stop = stop_event()
        ring = settings.open_keyring()
        client = await _connect_patiently(settings, ring, stop)
        if client is None:
            return
        await asyncio.to_thread(require_own_sessions, database_url(settings))
        parts = build_parts(settings, database_url(settings), ring)

        def ready() -> None:
            spare_collector()
            say_ready()

        await run_worker(settings, client, parts, stop=stop, ready=ready)

    try:
        run(work(), new_loop=uvloop.new_event_loop)
    except typer.Exit as error:
        finish(error.exit_code)
    finish()


def web(config: ConfigOption = None) -> None:
    """Serve the webhooks. Temporal is not needed for this."""
    # Late, here and above: these take half a second that every other command would wait for.
    import uvicorn  # noqa: PLC0415

    from lockstep.web.app import build_app  # noqa: PLC0415
    from lockstep.web.serving import ConnectionBounds, bounded  # noqa: PLC0415

    settings = checked_settings(config, Part.WEB)
    try:
        require_own_sessions(database_url(settings))
        run(_require_own_keyring(settings))
        app = build_app(settings, database_url(settings), settings.open_keyring())
    except (SettingsError, StorageError) as error:
        die(str(error))

    class Server(uvicorn.Server):
        """Says that it is ready once it listens itself: an answer by http could be another's."""

        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            if self.started:
                say_ready()

    server = Server(
        uvicorn.Config(
            app,
            host=settings.web.bind,
            port=settings.web.port,
            loop="asyncio",  # the bounds on connections were proved with this one
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.web.proxies,
            http=bounded(ConnectionBounds(exempt=[*map(ip_network, settings.web.proxies)])),
            limit_concurrency=900,  # more than the connections; of these 500 may be live pages
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=32 * 1024,
            timeout_graceful_shutdown=10,
        )
    )
    # Streams of live pages never end by themselves: they must know when they have to.
    app.state.is_stopping = lambda: server.should_exit
    server.run()
    if not server.started:
        die(f"web.port: cannot listen on {settings.web.bind}:{settings.web.port}: is it in use?")


def migrate(
    revision: Annotated[str, typer.Argument(help="`head`, `-1`, or a revision.")] = "head",
    config: ConfigOption = None,
) -> None:
    """Bring the database schema to this release, as the database's owner."""
    settings = settings_or_die(config)
    try:
        require_own_sessions(database_url(settings, owner=True))
        before, after = migrate_schema(database_url(settings, owner=True), revision)
    except (SettingsError, StorageError) as error:
        die(str(error))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0][:300]
        die(f"database.owner_url: {reason}")
    out.print(f"schema: {before or 'empty'} -> {after or 'empty'}")


def require_own_sessions(url: str) -> None:
    """Refuse a pooler that shares sessions; a database that is away is waited for elsewhere.

    Raises:
        StorageError: naming the setting that mends it.
    """
    with contextlib.suppress(psycopg.Error):
        refuse_shared_sessions(url)


async def _require_own_keyring(settings: Settings) -> None:
    """Refuse another installation's keyring; where the database is away, its inbox asks later.

    Raises:
        StorageError: what would be acknowledged, no worker could read.
    """
    engine = create_engine(database_url(settings), pool_size=1, application="lockstep-web")
    try:
        with contextlib.suppress(SQLAlchemyError, OSError):
            await check_keyring(engine, settings.open_keyring())
    finally:
        await engine.dispose()


def checked_settings(config: Path | None, *parts: Part) -> Settings:
    """Settings of a server: what ``parts`` of it need is checked before it starts."""
    settings = settings_or_die(config)
    if problems := check_settings(settings, *parts):
        die("\n".join(problems))
    return settings


def stop_event() -> asyncio.Event:
    """Set by SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def say_ready() -> None:
    """Tell a supervisor that the process is ready."""
    if place := os.environ.get(READY_VARIABLE):
        Path(place).touch()


async def _connect_patiently(
    settings: Settings, ring: Keyring, stop: asyncio.Event
) -> Client | None:
    """Wait for Temporal: events are safe in the inbox meanwhile. None if told to stop."""
    where = settings.temporal_address()
    while not stop.is_set():
        try:
            return await connect(where, ring)
        except RuntimeError:
            log.warning("temporal_unreachable", address=where.address)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RECONNECT_S)
    return None
