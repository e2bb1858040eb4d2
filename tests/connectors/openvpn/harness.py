"""The OpenVPN connector against a CA of its own, and a stand-in for a server of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.base import ConnectorOptions
from connectors.openvpn.connector import KIND, OpenVpnConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness import FaultScript
from tests.connectors.line_faults import FaultyStore, between
from tests.connectors.openvpn.authority import CertificateAuthority
from tests.connectors.openvpn.gateway import SimulatedGateway
from tests.support.homes import server_home

PEER = "simulated management line, real lists; real OpenVPN 2.6 with a tunnel in its own tests"
SYSTEM = "vpn-test"


class OpenVpnHarness:
    """Hires people as certificates, each with a tunnel that stands."""

    kind = KIND
    secret = "oV-71c2f9-not-a-real-password"

    def __init__(self, folder: Path) -> None:
        self.script = FaultScript()
        self.folder = folder
        self.ca = CertificateAuthority(folder / "pki")
        self.ccd = folder / "ccd"
        self.ccd.mkdir()
        self.gateway = SimulatedGateway(self.ca, self.ccd, self.secret)
        self.socket = folder / "north.sock"
        self.serials: dict[str, int] = {}

    def connector(self, *, secret: str | None = None) -> OpenVpnConnector:
        return self.connect(secret=secret)

    def connect(self, *, secret: str | None = None, **settings: object) -> OpenVpnConnector:
        """A connector with another password or setting; None takes one away."""
        password = self.secret if secret is None else secret
        said: dict[str, object] = {
            "gateways": {"north": str(self.socket)},
            "ca": str(self.ca.folder / "ca.crt"),
            "index": str(self.ca.index),
            "crl": str(self.ca.crl),
            "ca_key": str(self.ca.folder / "ca.key"),
            "name_is": "worker_id",
            **settings,
        }
        given = {name: value for name, value in said.items() if value is not None}
        options = ConnectorOptions(SYSTEM, given, {"password": password})
        return OpenVpnConnector(
            options,
            opener=lambda line: between(line.connect, self.script, password),
            store=FaultyStore(self.script, password),
        )

    async def hire(self, worker: str) -> LeaverKeys:
        mail = f"{worker}@northwind.example.com"
        self.serials[worker] = self.ca.give(worker, subject_mail=mail, files=False)
        assert self.gateway.connect(worker, self.serials[worker])
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, mail.title())))

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether the tunnel stands, or the certificate opens another."""
        worker = keys.worker_ids[0]
        if worker in self.gateway.clients.values():
            return True
        return self.gateway.connect(worker, self.serials[worker])

    async def give_back(self, keys: LeaverKeys) -> None:
        """A new certificate of the same name, as whoever runs the CA would give one."""
        worker = keys.worker_ids[0]
        mail = keys.emails[0].lower()
        self.serials[worker] = self.ca.give(worker, subject_mail=mail, files=False)


@asynccontextmanager
async def harness() -> AsyncIterator[OpenVpnHarness]:
    """A CA and a server for the whole run of these tests."""
    with server_home() as folder:
        made = OpenVpnHarness(folder)
        await made.gateway.start(made.socket)
        try:
            yield made
        finally:
            await made.gateway.stop()
