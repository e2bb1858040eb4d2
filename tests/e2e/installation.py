"""One Lockstep installation in a folder of its own, run by the real `lockstep` command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import psutil
from standardwebhooks import Webhook

from lockstep.cli.context import embedded_postgres
from lockstep.cli.runtime import templates
from lockstep.cli.runtime.init import SECRET, write_home
from lockstep.cli.runtime.stand_ins import usual_ports
from lockstep.embedded.runstate import read_run_state
from lockstep.settings import Settings, load_settings
from tests.e2e.books import Books
from tests.e2e.processes import (
    PATIENCE_S,
    ROOT,
    alive,
    ended,
    eventually,
    family,
    put_down,
    spawn,
)
from tests.e2e.vendors import SIMULATED
from tests.support.ports import free_port
from tests.support.ready import loaded_once

COMMAND = (sys.executable, "-m", "lockstep.cli.main")
UP = b"Lockstep is up."


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON; the whole answer is shown where it is none."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise AssertionError(f"no JSON: {self}") from error


def settings_text(
    vendor_ports: Mapping[str, int],
    *,
    systems: Collection[str] = SIMULATED,
    more: str = "",
    watch: str = '["1h"]',
) -> str:
    """A settings file with free ports and the chosen systems of the template."""
    ports = {name: vendor_ports.get(name) or free_port() for name in usual_ports()}
    head, *tables = templates.sandbox_systems(ports).split("\n[systems.")
    chosen = [table for table in tables if table.partition("]")[0] in systems]
    return templates.settings_text(
        tenant="e2e-bpo",
        keyring=".lockstep/keyring.json",
        secret=SECRET,
        systems="\n[systems.".join([head, *chosen]) + more,
        temporal_port=free_port(),
        web_port=free_port(),
        watch=watch,
    )


class Installation:
    """Settings, the supervisor's process, its webhook, its command line and its database."""

    def __init__(self, home: Path, text: str, *, secrets: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.file = home / "lockstep.toml"
        if text:
            write_home(home, text, secrets)
        self.settings: Settings = load_settings(self.file)
        self.log = home / "up.log"
        self.data = self.settings.path(self.settings.data_dir)
        self._process: Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self._http = httpx.AsyncClient(
            trust_env=False,
            # A pool of its own measure: hundreds may wait their turn.
            timeout=httpx.Timeout(60, pool=2 * PATIENCE_S),
            limits=httpx.Limits(max_connections=64),
        )

    @property
    def books(self) -> Books:
        return Books(embedded_postgres(self.settings).app_url)

    @property
    def superuser_url(self) -> str:
        url = embedded_postgres(self.settings).owner_url
        return url.replace("lockstep_owner@", "postgres@")

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        assert self._process is not None, "not started"
        return self._process.pid

    async def up(self, *flags: str, within_s: float = 2 * PATIENCE_S) -> None:
        """Start `lockstep up` unless it runs, and return when it says that it is up."""
        if self._process is not None and self._process.poll() is None:
            return
        begin = self.log.stat().st_size if self.log.exists() else 0
        self._process = spawn([*COMMAND, "up", *flags, "--config", str(self.file)], self.log)

        async def says_so() -> bool:
            text = self.log.read_bytes()[begin:]
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"`lockstep up` ended:\n{text.decode()}")
            return UP in text

        await eventually(says_so, within_s=within_s, what=f"`lockstep up` (see {self.log})")
        self._family = family(self.pid)

    async def down(self) -> None:
        """End it, whatever state it is in; for clean-up."""
        await self._http.aclose()
        if self._process is not None:
            await put_down(self._process)

    async def terminate(self, *, within_s: float) -> tuple[int, float]:
        """SIGTERM; return the exit code and how long it took."""
        assert self._process is not None
        self._family = family(self.pid)
        began = time.monotonic()
        self._process.terminate()
        code = await ended(self._process, within_s=within_s)
        return code, time.monotonic() - began

    async def kill_supervisor(self) -> None:
        """SIGKILL, and wait until the kernel has ended everything below."""
        assert self._process is not None
        self._family = family(self.pid)
        self._process.kill()
        await ended(self._process)

        async def gone() -> bool:
            return not self.left_behind()

        await eventually(gone, what="the end of every process below")

    def left_behind(self) -> list[str]:
        """What still runs of the last process tree."""
        return alive(self._family)

    def child(self, name: str) -> int:
        """The pid of one part."""
        state = read_run_state(self.data)
        assert state is not None, "no run.json"
        pid = state.child(name).pid
        assert pid is not None, f"{name} is not running"
        return pid

    def restarts(self, name: str) -> int:
        state = read_run_state(self.data)
        return state.child(name).restarts if state else 0

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.child(name), number)

    async def post(self, event_id: str, event: Mapping[str, object]) -> int:
        """Sign and deliver an event as HR would; return the status."""
        return (await self.send(event_id, event)).status_code

    async def send(self, event_id: str, event: Mapping[str, object]) -> httpx.Response:
        """As `post`; return the whole answer."""
        body = json.dumps(event)
        now = datetime.now(UTC)
        secret = self.settings.source_secrets(templates.SOURCE)[0]
        return await self._http.post(
            f"http://127.0.0.1:{self.settings.web.port}/hooks/{templates.SOURCE}",
            content=body,
            headers={
                "content-type": "application/json",
                "webhook-id": event_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(secret).sign(event_id, now, body),
            },
        )

    async def deliver(
        self, event_id: str, event: Mapping[str, object], *, within_s: float = PATIENCE_S
    ) -> int:
        """Deliver as HR does: again and again until somebody acknowledges."""

        async def acknowledged() -> int:
            try:
                status = await self.post(event_id, event)
            except httpx.HTTPError:
                return 0
            return status if status in {200, 202} else 0

        return await eventually(
            acknowledged, within_s=within_s, what="an acknowledgement", poll_s=0.2
        )

    async def run(
        self, *arguments: str, config: Path | None = None, within_s: float = PATIENCE_S
    ) -> Said:
        """Run one `lockstep` command with these settings, to its end."""
        return await lockstep(*arguments, "--config", str(config or self.file), within_s=within_s)


async def lockstep(
    *arguments: str, within_s: float = PATIENCE_S, command: Sequence[str] = ()
) -> Said:
    """Run one `lockstep` command to its end: a process of its own, loaded beforehand."""
    process = await asyncio.create_subprocess_exec(
        *(command or loaded_once()),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError(f"no end within {within_s:.0f} s: {arguments}") from None
    return Said(process.returncode or 0, out.decode(), err.decode())


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
