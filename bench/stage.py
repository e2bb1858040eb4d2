"""Everything that is measured, each part in a process of its own, in a throw-away folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from lockstep.contracts.names import SEARCH_ATTRIBUTES
from lockstep.control.runtime.temporal import connect
from lockstep.embedded.child import ChildSpec
from lockstep.embedded.ports import free_port
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.runstate import read_run_state
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.evidence.format.notes import FileSigner
from lockstep.settings import Settings, load_settings
from lockstep.settings.signing import default_origin
from lockstep.storage.engine.database import create_engine
from lockstep.storage.engine.migrate import migrate
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "hr"
_TOKEN = "bench-instant-token"
_TYPES = {"INDEXED_VALUE_TYPE_KEYWORD": "Keyword", "INDEXED_VALUE_TYPE_DATETIME": "Datetime"}
_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Running servers and workers, and the clients that load them."""

    home: Path
    systems: int
    settings: Settings
    engine: AsyncEngine
    inbox: Inbox
    bare_client: Client
    our_client: Client
    instant_url: str
    web_url: str
    webhook_secret: str

    def groups(self) -> dict[str, int]:
        """The process ids by group, for accounting."""
        state = read_run_state(self.home)
        assert state is not None, "the supervisor writes it before anything runs"
        found = {child.name: child.pid for child in state.children if child.pid is not None}
        return {"client": os.getpid(), **found}

    @property
    def profile_path(self) -> Path:
        return self.home / "profile.json"

    def stop_our_worker(self) -> None:
        """Ask it to end, which writes its profile."""
        os.kill(self.groups()["our-worker"], signal.SIGTERM)

    async def has_profile(self) -> bool:
        """Whether the worker under the profiler has ended and written it."""
        return "our-worker" not in self.groups()


@dataclass(frozen=True, slots=True)
class _Places:
    database_url: str
    temporal: str
    instant: int
    web: int


@contextlib.asynccontextmanager
async def staged(
    *, systems: int = 8, profiled: bool = False, is_inside: bool = False, workers: int = 1
) -> AsyncIterator[Stage]:
    """Start everything, yield, stop everything and remove the folder.

    With ``is_inside`` the systems answer in the worker's own process instead of over HTTP.
    ``workers``: processes of ours that work beside each other.
    """
    home = _new_home()
    try:
        async with Supervisor(home, stop_signals=()) as supervisor:
            places = await _start_servers(supervisor, home)
            settings, ring = _write_settings(home, places, systems)
            flags = ["--inside"] if is_inside else []
            if profiled:
                flags += ["--profile", str(home / "profile.json")]
            await _start_processes(supervisor, home, places, systems, flags)
            for number in range(2, workers + 1):
                ours = ("ours", "--config", str(home / "lockstep.toml"), *flags)
                await supervisor.start(_process(home, f"our-worker-{number}", ours))
            engine = create_engine(places.database_url, application="bench")
            yield Stage(
                home=home,
                systems=systems,
                settings=settings,
                engine=engine,
                inbox=Stores(engine, ring, tenant="bench").inbox,
                bare_client=await Client.connect(places.temporal),
                our_client=await connect(settings.temporal_address(), ring),
                instant_url=f"http://127.0.0.1:{places.instant}",
                web_url=f"http://127.0.0.1:{places.web}",
                webhook_secret=settings.source_secrets(SOURCE)[0],
            )
            await engine.dispose()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _new_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="lk-bench-"))
    home.chmod(0o755)  # PostgreSQL runs as a user of its own when we are root
    return home


async def _start_servers(supervisor: Supervisor, home: Path) -> _Places:
    postgres = EmbeddedPostgres(home / "pg")
    await supervisor.start(postgres.child_spec(log_path=home / "postgres.log"))
    await asyncio.to_thread(migrate, postgres.owner_url)
    temporal = TemporalDevServer(
        home / "temporal.db",
        0,
        log_file=home / "temporal.log",
        search_attributes={
            key.name: _TYPES[f"INDEXED_VALUE_TYPE_{key.indexed_value_type.name}"]
            for key in SEARCH_ATTRIBUTES
        },
    )
    await supervisor.start(temporal.child_spec())
    return _Places(postgres.app_url, temporal.address, free_port(), free_port())


def _write_settings(home: Path, places: _Places, systems: int) -> tuple[Settings, Keyring]:
    ring = Keyring.generate()
    ring.save(home / "keyring.json")
    signer = FileSigner.generate(default_origin("bench"))
    (home / "ledger.key").write_text(signer.to_text())
    (home / "instant.token").write_text(_TOKEN)
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    (home / "webhook.secret").write_text(secret)
    config = home / "lockstep.toml"
    config.write_text(settings_text(places.database_url, places.temporal, places.instant, systems))
    return load_settings(config), ring


def settings_text(database_url: str, temporal: str, instant_port: int, systems: int) -> str:
    """What `lockstep worker` would read. No watch: a case's workflow ends when the case closes."""
    lines = [
        'tenant = "bench"',
        'keyring = "file:keyring.json"',
        "[database]",
        'mode = "external"',
        f'url = "{database_url}"',
        "[temporal]",
        'mode = "external"',
        f'address = "{temporal}"',
        "[ledger]",
        'key = "file:ledger.key"',
        "[policy]",
        "watch = []",
        "[brake]",
        "per_hour = 0",
        f"[sources.{SOURCE}]",
        'secrets = ["file:webhook.secret"]',
    ]
    for number in range(1, systems + 1):
        lines += [
            f"[systems.instant-{number}]",
            'connector = "instant"',
            f'base_url = "http://127.0.0.1:{instant_port}"',
            'token = "file:instant.token"',
        ]
    return "\n".join((*lines, ""))


async def _start_processes(
    supervisor: Supervisor, home: Path, places: _Places, systems: int, flags: list[str]
) -> None:
    config = str(home / "lockstep.toml")
    instant = ("-m", "sandbox", "--instant-port", str(places.instant))
    ours = ("ours", "--config", config, *flags)
    bare = ("bare", "--address", places.temporal, "--activities", str(systems))
    web = ("web", "--config", config, "--port", str(places.web))
    await supervisor.start(_python(home, "sandbox", instant, _listening(places.instant)))
    await supervisor.start(_process(home, "bare-worker", bare))
    await supervisor.start(_process(home, "our-worker", ours))
    await supervisor.start(_process(home, "web", web, ready=_listening(places.web)))


def _process(
    home: Path,
    name: str,
    arguments: tuple[str, ...],
    *,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> ChildSpec:
    flag = home / f"{name}.ready"
    command = ("-m", "bench.processes", *arguments, "--ready", str(flag))
    return _python(home, name, command, ready or _exists(flag))


def _python(
    home: Path, name: str, arguments: tuple[str, ...], ready: Callable[[], Awaitable[None]]
) -> ChildSpec:
    environment = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith("LOCKSTEP_")  # the operator's settings must not reach us
    }
    environment["SANDBOX_INSTANT_TOKEN"] = _TOKEN
    return ChildSpec(
        name=name,
        argv=(sys.executable, *arguments),
        log_path=home / f"{name}.log",
        ready=ready,
        ready_timeout_s=_READY_S,
        env=environment,
        cwd=ROOT,
        restart=False,
    )


def _exists(flag: Path) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        while not await asyncio.to_thread(flag.exists):  # noqa: ASYNC110 - made elsewhere
            await asyncio.sleep(0.05)

    return wait


def _listening(port: int) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)

    return wait
