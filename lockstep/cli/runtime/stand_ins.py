"""What stands in for vendors on this machine, as `sandbox/vendors/` describes each of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.embedded.child import ChildSpec
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import WantedPort
from lockstep.settings import Settings
from sandbox.company import company, holders
from sandbox.kit.description import Description, Program
from sandbox.running import hire_simulated
from sandbox.vendors.registry import descriptions, simulated

_POLL_S = 0.05
_HOST = "127.0.0.1"


def usual_ports() -> dict[str, int]:
    """Where each listens unless told otherwise, in the order of the ports."""
    ports = {kind: each.port for kind, each in descriptions().items()}
    return dict(sorted(ports.items(), key=lambda one: one[1]))


def ports_of(settings: Settings) -> dict[str, int]:
    """Where each listens."""
    return {kind: settings.sandbox.port(kind) or usual for kind, usual in usual_ports().items()}


def secret_files() -> dict[str, str]:
    """Credentials of the sample systems by file: published, so no secrets, but read from files."""
    return {
        file: each.usual[name]
        for each in descriptions().values()
        for file, name in each.secrets.items()
    }


def wanted_ports(settings: Settings) -> list[WantedPort]:
    """Every port, and the setting that may change it."""
    return [WantedPort(port, _setting(kind)) for kind, port in ports_of(settings).items()]


def children(settings: Settings, logs: Path) -> list[ChildSpec]:
    """The simulated vendors in one process, and each real server in one of its own.

    Raises:
        EmbeddedError: if a server is not installed.
    """
    ports = ports_of(settings)
    together = {kind: port for kind, port in ports.items() if kind in simulated()}
    found = [_child("sandbox", _simulation(settings, together), together, logs)]
    for kind, each in descriptions().items():
        if each.program is not None:
            given = _credentials(settings, each)
            argv = _installed(each.program.command(ports[kind], given))
            env = each.program.environment
            found.append(_child(kind, quiet(argv), {kind: ports[kind]}, logs, env))
    return found


async def hire(settings: Settings, person: Mapping[str, Any]) -> None:
    """Give a person, a record of the sandbox, real access in every sample system."""
    ports = ports_of(settings)

    def give(kind: str, each: Description) -> None:
        url = f"http://{_HOST}:{ports[kind]}"
        if each.program is None:
            hire_simulated(url, person)
        else:
            each.program.hire(url, _credentials(settings, each), dict(person))

    wanted = [each for each in descriptions().items() if each[1].settings]
    await asyncio.gather(*(asyncio.to_thread(give, kind, each) for kind, each in wanted))


async def populate(settings: Settings) -> None:
    """Give the company's people their accounts in the real servers, which forget all when they end.

    The simulated ones are begun with them.
    """
    people, ports = company(settings.sandbox.people), ports_of(settings)

    def give(kind: str, each: Description, program: Program) -> None:
        for person in holders(people, kind):
            program.hire(
                f"http://{_HOST}:{ports[kind]}", _credentials(settings, each), person.as_json()
            )

    programs = [(k, each, each.program) for k, each in descriptions().items() if each.program]
    await asyncio.gather(*(asyncio.to_thread(give, *one) for one in programs))


def quiet(argv: Sequence[str]) -> list[str]:
    """A command of Python's that logs no request: their addresses and bodies name people."""
    return [sys.executable, "-c", _QUIET, *argv]


_QUIET = (
    "import http.server, logging, runpy, sys; logging.disable(logging.WARNING);"
    " http.server.BaseHTTPRequestHandler.log_message = lambda *_: None;"
    " del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Bounds every logger, also one that sets a level of its own, and what writes to stderr itself."""


def _simulation(settings: Settings, ports: Mapping[str, int]) -> list[str]:
    state = settings.path(settings.data_dir) / "sandbox-state.json"
    flags = [part for kind, port in ports.items() for part in (f"--{kind}-port", str(port))]
    return [
        *(sys.executable, "-m", "sandbox", "--host", _HOST, *flags),
        *("--latency-ms", str(settings.sandbox.latency_ms), "--state-file", str(state)),
        *("--company", str(settings.sandbox.people)),
    ]


def _credentials(settings: Settings, described: Description) -> dict[str, str]:
    """As the files of this installation have them."""
    found = described.usual
    for name, credential in described.secrets.items():
        file = settings.path(settings.data_dir) / name
        if file.exists():
            found[credential] = file.read_text().strip()
    return found


def _installed(argv: Sequence[str]) -> list[str]:
    script = Path(sys.executable).parent / argv[0]
    if not script.exists():
        raise EmbeddedError(f"{script} is not installed: pip install 'lockstep[peers]'")
    return [str(script), *argv[1:]]


def _setting(kind: str) -> str:
    return f"sandbox.{kind}_port"


def _child(
    name: str,
    argv: Sequence[str],
    ports: Mapping[str, int],
    logs: Path,
    env: Mapping[str, str] | None = None,
) -> ChildSpec:
    """One process; ``ports`` by the vendor whose setting they are."""

    def prepare() -> None:
        for kind, port in ports.items():
            WantedPort(port, _setting(kind)).require_free()

    async def ready() -> None:
        for port in ports.values():
            await _accepts(port)

    return ChildSpec(
        name=name,
        argv=tuple(argv),
        log_path=logs / f"{name}.log",
        ready=ready,
        prepare=prepare,
        env={**os.environ, **(env or {})},
        ports=dict(ports),
        owns=tuple(ports.values()),
        stop_grace_s=3,
    )


async def _accepts(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.close()
        await writer.wait_closed()
        return
