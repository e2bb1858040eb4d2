"""`lockstep up`: everything on one machine, in one process tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.context import ConfigOption, embedded_postgres, out, run
from lockstep.cli.people.access import new_link
from lockstep.cli.runtime import stand_ins
from lockstep.cli.runtime.servers import READY_VARIABLE, checked_settings
from lockstep.contracts.names import SEARCH_ATTRIBUTES
from lockstep.embedded.child import ChildSpec
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.events import Event
from lockstep.embedded.ports import WantedPort, require_free_ports
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.settings import DEFAULT_FILE, Settings
from lockstep.storage.engine.migrate import migrate

_POLL_S = 0.05
_LEFT_S = 3.0
"""What a killed run left behind ends by itself within so long."""
_TYPES = {"KEYWORD": "Keyword", "DATETIME": "Datetime"}


def up(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Start the simulated systems as well.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Start PostgreSQL, Temporal, worker and web; Ctrl-C stops all, a restart goes on."""
    settings = checked_settings(config)
    file = config or Path(os.environ.get("LOCKSTEP_CONFIG", DEFAULT_FILE))

    async def work() -> None:
        home = settings.path(settings.data_dir)
        async with Supervisor(home, on_event=_print_event) as supervisor:
            try:
                await start_all(supervisor, settings, file, sandbox=sandbox)
            except EmbeddedError:
                if not supervisor.stop_requested:
                    raise
                return
            if sandbox and settings.sandbox.people:
                await stand_ins.populate(settings)
                out.print(f"{settings.sandbox.people:,} people of a made-up company have accounts:")
                out.print("  lockstep sandbox people, lockstep sandbox leave")
            base = f"http://{settings.web.bind}:{settings.web.port}"
            out.print(f"[bold green]Lockstep is up.[/] HR posts to {base}/hooks/<source>")
            if settings.one_time_links:
                out.print("Console, signed in once, within ten minutes:")
                out.print(f"  {await new_link(settings)}", markup=False, soft_wrap=True)
            await supervisor.wait()

    run(work())


async def start_all(
    supervisor: Supervisor, settings: Settings, file: Path, *, sandbox: bool
) -> None:
    """Start every part in order, each when the one before is ready.

    Raises:
        EmbeddedError: before anything is started if a port cannot be had, naming all such; or if a
            part does not become ready.
    """
    logs = settings.path(settings.data_dir) / "logs"
    temporal = temporal_server(settings, logs) if settings.temporal.mode == "embedded" else None
    wanted = [_web_port(settings), *(stand_ins.wanted_ports(settings) if sandbox else ())]
    wanted += temporal.wanted_ports() if temporal else []
    await asyncio.to_thread(require_free_ports, wanted, patience_s=_LEFT_S)
    if settings.database.mode == "embedded":
        server = embedded_postgres(settings)
        await supervisor.start(server.child_spec(log_path=logs / "postgres.log"))
        await asyncio.to_thread(migrate, server.owner_url)
    if sandbox:
        await asyncio.gather(
            *(supervisor.start(spec) for spec in stand_ins.children(settings, logs))
        )
    if temporal:
        await supervisor.start(temporal.child_spec())
    await supervisor.start(_own_child("worker", settings, file, logs))
    await supervisor.start(_own_child("web", settings, file, logs))


def temporal_server(settings: Settings, logs: Path) -> TemporalDevServer:
    """The embedded Temporal, persisted to a file."""
    table = settings.temporal
    data = settings.path(settings.data_dir)
    return TemporalDevServer(
        data / "temporal" / "temporal.db",
        table.port,
        table.ui_port,
        log_file=logs / "temporal.log",
        namespace=table.namespace,
        search_attributes={
            key.name: _TYPES[key.indexed_value_type.name] for key in SEARCH_ATTRIBUTES
        },
        binary=settings.path(table.binary) if table.binary else None,
        earlier_file=data / "temporal.db",
    )


def _own_child(name: str, settings: Settings, file: Path, logs: Path) -> ChildSpec:
    flag = settings.path(settings.data_dir) / f"{name}.ready"
    argv = (sys.executable, "-m", "lockstep.cli.main", name, "--config", str(file.resolve()))
    ports = {"web": settings.web.port} if name == "web" else {}

    def prepare() -> None:
        flag.unlink(missing_ok=True)
        if ports:
            _web_port(settings).require_free()

    return ChildSpec(
        name=name,
        argv=argv,
        log_path=logs / f"{name}.log",
        ready=_file_appears(flag),
        prepare=prepare,
        env={**os.environ, READY_VARIABLE: str(flag)},
        ports=ports,
        owns=tuple(ports.values()),
        stop_grace_s=20,
    )


def _web_port(settings: Settings) -> WantedPort:
    return WantedPort(settings.web.port, "web.port", host=settings.web.bind, bind="web.bind")


def _file_appears(flag: Path) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        while not flag.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(_POLL_S)

    return ready


def _print_event(event: Event) -> None:
    with contextlib.suppress(OSError):  # a full disk must not end those whom it is told of
        out.print(f"  {event}", markup=False)
