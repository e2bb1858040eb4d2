"""`lockstep up`: everything on one machine, in one process tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.context import ConfigOption, embedded_postgres, out, run
from lockstep.cli.people.access import new_link
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
SCIM_TOKEN_NAME = "sandbox-scim"  # noqa: S105 - the name of a file


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
    wanted = [_web_port(settings), *(_sandbox_ports(settings) if sandbox else ())]
    wanted += temporal.wanted_ports() if temporal else []
    await asyncio.to_thread(require_free_ports, wanted, patience_s=_LEFT_S)
    if settings.database.mode == "embedded":
        server = embedded_postgres(settings)
        await supervisor.start(server.child_spec(log_path=logs / "postgres.log"))
        await asyncio.to_thread(migrate, server.owner_url)
    if sandbox:
        await asyncio.gather(
            *(supervisor.start(spec) for spec in _sandbox_children(settings, logs))
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


def _sandbox_ports(settings: Settings) -> list[WantedPort]:
    table = settings.sandbox
    names = ("okta_port", "tailscale_port", "kisi_port", "instant_port", "scim_port", "aws_port")
    return [WantedPort(getattr(table, name), f"sandbox.{name}") for name in names]


def _sandbox_children(settings: Settings, logs: Path) -> list[ChildSpec]:
    """Simulated vendors, and real local peers: a SCIM server and moto."""
    table = settings.sandbox
    data = settings.path(settings.data_dir)
    bin_dir = Path(sys.executable).parent
    ports = {"okta": table.okta_port, "tailscale": table.tailscale_port, "kisi": table.kisi_port}
    flags = [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    simulators = [
        *(sys.executable, "-m", "sandbox", "--host", "127.0.0.1", *flags),
        *("--instant-port", str(table.instant_port), "--latency-ms", str(table.latency_ms)),
        *("--state-file", str(data / "sandbox-state.json")),
    ]
    token = (data / SCIM_TOKEN_NAME).read_text().strip()
    scim = [
        *(str(bin_dir / "scim2-server"), "--hostname", "127.0.0.1"),
        *("--port", str(table.scim_port), "--bearer-token", token),
    ]
    aws = [str(bin_dir / "moto_server"), "-H", "127.0.0.1", "-p", str(table.aws_port)]
    for argv in (scim, aws):
        if not Path(argv[0]).exists():
            raise EmbeddedError(f"{argv[0]} is not installed: pip install 'lockstep[peers]'")
    return [
        _peer("sandbox", simulators, {**ports, "instant": table.instant_port}, logs),
        _peer("scim", quiet(scim), {"scim": table.scim_port}, logs),
        # The connector attaches AWS's own deny policy, which moto loads only on request.
        _peer(
            "aws",
            quiet(aws),
            {"aws": table.aws_port},
            logs,
            MOTO_IAM_LOAD_MANAGED_POLICIES="true",
        ),
    ]


def quiet(argv: list[str]) -> list[str]:
    """A command of Python's that logs no request: their addresses and bodies name people."""
    return [sys.executable, "-c", _QUIET, *argv]


_QUIET = (
    "import http.server, logging, runpy, sys; logging.disable(logging.WARNING);"
    " http.server.BaseHTTPRequestHandler.log_message = lambda *_: None;"
    " del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Bounds every logger, also one that sets a level of its own, and what writes to stderr itself."""


def _peer(
    name: str, argv: list[str], ports: Mapping[str, int], logs: Path, **env: str
) -> ChildSpec:
    """One of the sandbox's servers; ``ports`` by the vendor whose setting they are."""

    def prepare() -> None:
        for vendor, port in ports.items():
            WantedPort(port, f"sandbox.{vendor}_port").require_free()

    async def ready() -> None:
        for port in ports.values():
            await _accepts(port)

    return ChildSpec(
        name=name,
        argv=tuple(argv),
        log_path=logs / f"{name}.log",
        ready=ready,
        prepare=prepare,
        env={**os.environ, **env},
        ports=dict(ports),
        owns=tuple(ports.values()),
        stop_grace_s=3,
    )


def _file_appears(flag: Path) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        while not flag.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(_POLL_S)

    return ready


async def _accepts(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.close()
        await writer.wait_closed()
        return


def _print_event(event: Event) -> None:
    with contextlib.suppress(OSError):  # a full disk must not end those whom it is told of
        out.print(f"  {event}", markup=False)
