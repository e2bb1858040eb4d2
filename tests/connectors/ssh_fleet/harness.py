"""The fleet's connector against hosts in memory; `test_ssh_fleet.py` has real ones."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from connectors.base import ConnectorOptions
from connectors.ssh_fleet.channel import KIND, PROGRAM, VERSION, Ask, Login, Refusal, Request
from connectors.ssh_fleet.connector import FleetConnector, Opener
from connectors.ssh_fleet.options import Address
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.harness import FaultKind, FaultScript, Injected
from tests.connectors.ssh_fleet.memory_host import MemoryHost

PEER = "the hosts' program in memory, held to the real one; own tests: two real sshd"
SYSTEM = "fleet-test"
_REFUSALS = {
    FaultKind.UNAUTHORIZED: (FaultCategory.CREDENTIALS_REJECTED, "not_let_in"),
    FaultKind.FORBIDDEN: (FaultCategory.PERMISSION_MISSING, "not_root"),
    FaultKind.RATE_LIMITED_WITH_TIME: (FaultCategory.RATE_LIMITED, "busy"),
    FaultKind.RATE_LIMITED_BARE: (FaultCategory.RATE_LIMITED, "busy"),
    FaultKind.SERVER_ERROR: (FaultCategory.VENDOR_ERROR, "usermod"),
    FaultKind.LOST_BEFORE: (FaultCategory.UNREACHABLE, "no_connection"),
    FaultKind.LOST_AFTER: (FaultCategory.UNREACHABLE, "no_connection"),
}
"""What a host or the way to it does instead of answering."""


def new_key() -> str:
    """A private key as settings hold it."""
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()


def fingerprint(of: str) -> str:
    """Such as a key would have."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(of.encode()).digest()).decode().rstrip("=")


class FleetHarness:
    """Hires people with an account, a session, and a key that stands in a shared account too."""

    kind = KIND

    def __init__(self, folder: Path) -> None:
        self.script = FaultScript()
        self.secret = new_key()
        self.host = MemoryHost()
        self.host.create("deploy", "Shared")
        self.host.keys["deploy"] = [fingerprint("another's")]
        self._others = new_key()
        self._folder = folder
        self._listed = folder / "keys"
        self._listed.write_text("# whose a key is\n")
        (folder / "hosts").write_text("one.example.com\n")
        (folder / "known_hosts").write_text("")

    def connector(self, *, secret: str | None = None) -> FleetConnector:
        settings = {
            "hosts": str(self._folder / "hosts"),
            "known_hosts": str(self._folder / "known_hosts"),
            "peoples_keys": str(self._listed),
            "name_is": "email",
            "gecos_holds": "worker_id",
        }
        given = self._others if secret is not None else self.secret
        options = ConnectorOptions(SYSTEM, settings, {"private_key": given})
        return FleetConnector(options, opener=self._between(refuses=secret is not None))

    def _between(self, *, refuses: bool) -> Opener:
        def opened(_: Login, address: Address) -> Ask:
            async def asked(request: Request) -> str:
                if refuses:
                    raise Refusal(FaultCategory.CREDENTIALS_REJECTED, "not_let_in")
                return await self._asked(request)

            return asked

        return opened

    async def _asked(self, request: Request) -> str:
        self.script.calls.append(request.effect)
        fault = self.script.next_for(is_effect=request.effect)
        if fault is not None and fault.kind is not FaultKind.LOST_AFTER:
            return self._instead(fault)
        answer = await self.host.ask(request)
        if request.effect:
            self.script.effects.append(f"{request.verb} {request.name}")
        if fault is not None:
            raise Refusal(*_REFUSALS[fault.kind])
        return self._dated(answer)

    def _dated(self, answer: str) -> str:
        if self.script.clock_off is None:
            return answer
        off = datetime.now(UTC) + self.script.clock_off
        return f"{_first(off)}\n" + answer.partition("\n")[2]

    def _instead(self, fault: Injected) -> str:
        match fault.kind:
            case FaultKind.DONE_NOT:
                return f"{_first(datetime.now(UTC))}\ndone\tlock\ndone\tend\nend\n"
            case FaultKind.NOT_JSON:
                return "Last login: never\n"
            case FaultKind.ECHO_SECRET:
                raise Refusal(FaultCategory.VENDOR_ERROR, self.secret)
            case kind:
                raise Refusal(*_REFUSALS[kind])

    async def hire(self, worker: str) -> LeaverKeys:
        name = f"{worker}@northwind.example.com"
        person = self.host.create(name, f"Somebody,,,,{worker}")
        person.sessions += [next(self.host.pids), next(self.host.pids)]
        key = fingerprint(worker)
        with self._listed.open("a") as listed:
            listed.write(f"{name} {key}\n")
        self.host.keys[name] = [key, fingerprint(f"{worker} at home")]
        self.host.keys["deploy"].append(key)
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, name.title())))

    async def still_in(self, keys: LeaverKeys) -> bool:
        name, key = keys.emails[0].lower(), fingerprint(keys.worker_ids[0])
        one = self.host.people[name]
        stands = any(key in held for held in self.host.keys.values()) or self.host.keys[name]
        return bool(not one.is_locked or one.sessions or stands or key not in self.host.revoked)

    async def give_back(self, keys: LeaverKeys) -> None:
        name = keys.emails[0].lower()
        self.host.people[name].is_locked = False
        self.host.keys[name] = [fingerprint("a new one")]


def _first(clock: datetime) -> str:
    return f"{PROGRAM}\t{VERSION}\t{int(clock.timestamp())}"


@asynccontextmanager
async def harness() -> AsyncIterator[FleetHarness]:
    """One host for the whole run of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        yield FleetHarness(Path(folder))
