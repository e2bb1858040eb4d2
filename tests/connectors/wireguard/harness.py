"""The WireGuard connector against a real interface of wireguard-go, in a namespace of its own."""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from connectors.base import ConnectorOptions
from connectors.wireguard.connector import KIND, WireGuardConnector
from connectors.wireguard.device import DONE
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness import FaultScript
from tests.connectors.line_faults import FaultyStore, between
from tests.support.debian_packages import executable
from tests.support.homes import server_home
from tests.support.namespaces import Namespace, star

PEER = "real wireguard-go, spoken to over its socket"
SYSTEM = "wireguard-test"
_WAIT_S = 10.0
_SOCKETS = Path("/var/run/wireguard")


class Interface:
    """One interface of wireguard-go, and the file from which it is set up."""

    def __init__(self, space: Namespace, name: str, folder: Path, port: int) -> None:
        self.space = space
        self.name = name
        self.socket = _SOCKETS / f"{name}.sock"
        self.config = folder / f"{name}.conf"
        self._log = folder / f"{name}.log"
        self.config.write_text(f"[Interface]\nPrivateKey = {new_key()}\nListenPort = {port}\n")
        self.config.chmod(0o600)

    def start(self) -> None:
        quiet = {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}
        program = executable("wireguard-go", ["wireguard-go"])
        self.process = self.space.start(program, "-f", self.name, log=self._log, env=quiet)
        ends = time.monotonic() + _WAIT_S
        while not self.socket.is_socket():
            assert time.monotonic() < ends
            time.sleep(0.02)
        self.wg("setconf", self.name, str(self.config))

    def stop(self) -> None:
        self.space.end(self.process)
        self.socket.unlink(missing_ok=True)

    def wg(self, *argv: str) -> str:
        """The oracle: wireguard-tools."""
        program = executable("wireguard-tools", ["wg"])
        done = subprocess.run([program, *argv], check=True, capture_output=True, timeout=_WAIT_S)
        return done.stdout.decode()

    def has(self, key: str) -> bool:
        return key in self.wg("show", self.name, "peers").split()

    def add(self, key: str, name: str, *more: str) -> None:
        """A peer, live and in the file."""
        self.wg("set", self.name, "peer", key, *more)
        allowed = f"AllowedIPs = {more[1]}\n" if more else ""
        with self.config.open("a") as file:
            file.write(f"\n# name: {name}\n[Peer]\nPublicKey = {key}\n{allowed}")


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@contextmanager
def interface(space: Namespace, name: str, folder: Path, *, port: int = 0) -> Iterator[Interface]:
    """A running one; without a port that anybody knows unless one is given."""
    made = Interface(space, name, folder, port)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class WireGuardHarness:
    """Hires people as peers, each live and in the file."""

    kind = KIND
    secret = "wG-31f0aa-nothing-asks-for-it"

    def __init__(self, *interfaces: Interface) -> None:
        self.script = FaultScript()
        self.interfaces = interfaces
        self.keys: dict[str, str] = {}

    def connector(self, *, secret: str | None = None) -> WireGuardConnector:
        return self.connect()

    def connect(self, **settings: object) -> WireGuardConnector:
        """A connector of every interface, with other settings."""
        said: dict[str, object] = {
            "gateways": {each.name: str(each.socket) for each in self.interfaces},
            "config": str(self.interfaces[0].config.parent / "{gateway}.conf"),
            "name_is": "email",
            **settings,
        }
        return WireGuardConnector(
            ConnectorOptions(SYSTEM, said),
            opener=lambda line: between(line.connect, self.script, self.secret, done=DONE),
            store=FaultyStore(self.script, self.secret),
        )

    async def hire(self, worker: str) -> LeaverKeys:
        mail = f"{worker}@northwind.example.com"
        self.keys[mail] = new_key()
        for each in self.interfaces:
            each.add(self.keys[mail], mail)
        return LeaverKeys((Key(KeyKind.EMAIL, mail.title()),))

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether an interface has the peer, or its file would bring it back."""
        key = self.keys[keys.emails[0].lower()]
        return any(each.has(key) or key in each.config.read_text() for each in self.interfaces)

    async def give_back(self, keys: LeaverKeys) -> None:
        mail = keys.emails[0].lower()
        for each in self.interfaces:
            each.add(self.keys[mail], mail)


@asynccontextmanager
async def harness() -> AsyncIterator[WireGuardHarness]:
    """An interface for the whole run of these tests; it is never set up: nobody connects."""
    with ExitStack() as stack:
        folder = stack.enter_context(server_home())
        space, _ = stack.enter_context(star("w", []))
        yield WireGuardHarness(stack.enter_context(interface(space, name_of("s"), folder)))


def name_of(purpose: str) -> str:
    """An interface name that no other run has; a socket of that name is seen by all."""
    return re.sub(r"\W", "", f"lkwg{purpose}{os.getpid()}")[:15]
