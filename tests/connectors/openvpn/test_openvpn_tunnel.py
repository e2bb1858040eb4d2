"""Real OpenVPN servers and clients in network namespaces: a tunnel that goes dead, or does not."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.base import ConnectorOptions, Transcript
from connectors.openvpn import management
from connectors.openvpn.connector import OpenVpnConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account
from tests.connectors.openvpn.authority import CertificateAuthority
from tests.connectors.openvpn.gateway import HEADER
from tests.connectors.revoking import revoke
from tests.support.debian_packages import executable
from tests.support.homes import server_home
from tests.support.namespaces import Namespace, star

_PATIENCE_S = 20.0
_INSIDE = "10.92.0.1"
_PASSWORD = "oV-tunnel-not-a-real-password"

_SERVER = """\
dev tun
proto udp
port 1194
server 10.92.0.0 255.255.255.0
topology subnet
dh none
ca {pki}/ca.crt
cert {pki}/vpn.crt
key {pki}/vpn.key
crl-verify {pki}/crl.pem
client-config-dir {folder}/ccd
keepalive 1 4
management {folder}/vpn.sock unix {folder}/password
verb 3
"""
_CLIENT = """\
client
dev tun
proto udp
remote {server} 1194
nobind
ca {pki}/ca.crt
cert {pki}/{name}.crt
key {pki}/{name}.key
remote-cert-tls server
connect-retry 1 1
verb 3
"""


@dataclass(slots=True)
class Vpn:
    """A server in the middle, and people around it."""

    folder: Path
    ca: CertificateAuthority
    server: Namespace
    people: dict[str, Namespace]
    clients: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def config(self) -> Path:
        return self.folder / "server.conf"

    def start(self) -> None:
        pki = self.ca.folder
        (self.folder / "ccd").mkdir()
        (self.folder / "password").write_text(_PASSWORD)
        (self.folder / "password").chmod(0o600)
        self.config().write_text(_SERVER.format(pki=pki, folder=self.folder))
        program = executable("openvpn", ["openvpn"])
        self.server.start(program, str(self.config()), log=self.folder / "server.log")
        until(lambda: "Initialization Sequence Completed" in self.log)

    def come(self, name: str) -> None:
        """Somebody's client, which comes back for as long as it runs."""
        config = self.folder / f"{name}.conf"
        number = 1 + list(self.people).index(name)
        told = _CLIENT.format(pki=self.ca.folder, name=name, server=f"10.91.{number}.1")
        config.write_text(told)
        program = executable("openvpn", ["openvpn"])
        log = self.folder / f"{name}.log"
        self.clients[name] = self.people[name].start(program, str(config), log=log)
        until(lambda: self.is_in(name))

    def leave(self, name: str) -> None:
        self.people[name].end(self.clients.pop(name))

    def dial_again(self, name: str) -> None:
        """The client begins anew at once, not when it has noticed the silence."""
        self.clients[name].send_signal(signal.SIGUSR1)

    def is_in(self, name: str) -> bool:
        return self.people[name].pings(_INSIDE)

    def connect(self, **settings: object) -> OpenVpnConnector:
        said = {
            "gateways": {"vpn": str(self.folder / "vpn.sock")},
            "ca": str(self.ca.folder / "ca.crt"),
            "index": str(self.ca.index),
            "certificates": str(self.ca.certs),
            "crl": str(self.ca.crl),
            "ca_key": str(self.ca.folder / "ca.key"),
            "ccd": str(self.folder / "ccd"),
            "config": str(self.config()),
            **settings,
        }
        return OpenVpnConnector(ConnectorOptions("vpn", said, {"password": _PASSWORD}))


def until(holds: Callable[[], object]) -> None:
    """Wait for something that another process does, within a bound."""
    ends = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture(scope="module")
def vpn() -> Iterator[Vpn]:
    executable("openvpn", ["openvpn"])
    with server_home() as folder, star("vpn", ["ada", "bob"]) as (server, people):
        ca = CertificateAuthority(folder / "pki")
        made = Vpn(folder, ca, server, people)
        ca.give("vpn", is_server=True)
        ca.give("bob", mail="bob@northwind.example.com")
        made.start()
        made.come("bob")
        yield made


@pytest.fixture
def ada(vpn: Vpn) -> Iterator[LeaverKeys]:
    """Somebody whose tunnel stands, with a certificate of now."""
    vpn.ca.give("ada", mail="ada@northwind.example.com")
    vpn.come("ada")
    yield LeaverKeys((Key(KeyKind.EMAIL, "Ada@Northwind.example.com"),))
    vpn.leave("ada")
    (vpn.folder / "ccd" / "ada").unlink(missing_ok=True)
    vpn.ca.write_list(())
    _ask(vpn, "kill ada", b"ada")


def _ask(vpn: Vpn, command: str, ends: bytes) -> str:
    """The management line, spoken to without the connector."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_PATIENCE_S)
        line.connect(str(vpn.folder / "vpn.sock"))
        line.sendall(f"{_PASSWORD}\n{command}\n".encode())
        heard = b""
        while ends not in heard:
            heard += line.recv(65_536)
    return heard.decode()


def _names(vpn: Vpn) -> list[str]:
    """Who is connected."""
    heard = _ask(vpn, "status 3", b"\r\nEND\r\n")
    assert HEADER in heard
    rows = [row.split("\t") for row in heard.splitlines()]
    return [row[1] for row in rows if row[0] == "CLIENT_LIST"]


async def found(connector: OpenVpnConnector, keys: LeaverKeys, transcript: Transcript) -> Account:
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account


@pytest.mark.parametrize("how", ["crl", "ccd"])
async def test_the_tunnel_dies_and_does_not_come_back(vpn: Vpn, ada: LeaverKeys, how: str) -> None:
    """A ping through it works before and fails after; who comes again is refused; Bob stays."""
    connector, transcript = vpn.connect(revoke=how), Transcript()
    account = await found(connector, ada, transcript)
    before = await connector.read_back(account, transcript)
    heard = len(vpn.log)
    await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)
    vpn.dial_again("ada")
    refusal = "certificate revoked" if how == "crl" else "rejected due to 'disable'"
    until(lambda: refusal in vpn.log[heard:])

    assert AccessKind.SESSION in {way.kind for way in before.standing}
    assert after.is_closed
    assert not vpn.is_in("ada")
    assert vpn.is_in("bob")


async def test_a_tunnel_that_is_only_ended_is_back(vpn: Vpn, ada: LeaverKeys) -> None:
    """Without a block the server says success, and the client dials in again within seconds."""
    connector, transcript = vpn.connect(), Transcript()
    account = await found(connector, ada, transcript)
    before = await connector.read_back(account, transcript)
    only = [way for way in before.standing if way.kind is AccessKind.SESSION]
    gateway = connector._gateways["vpn"]
    ended = await gateway.end("ada", only, transcript)
    vpn.dial_again("ada")
    until(lambda: vpn.is_in("ada"))
    after = await connector.read_back(account, transcript)

    assert [action.operation for action in ended] == [management.KILL.operation]
    assert after.signs_in
    assert AccessKind.SESSION in {way.kind for way in after.standing}


async def test_a_list_of_another_ca_shuts_nobody_out(vpn: Vpn, ada: LeaverKeys) -> None:
    """The server then checks nothing: it is never called closed, and health says so."""
    connector, transcript = vpn.connect(), Transcript()
    account = await found(connector, ada, transcript)
    vpn.leave("ada")
    other = CertificateAuthority(vpn.folder / "other", "Another CA")
    other.write_list(range(0x1F00, 0x1FFF))
    right = vpn.ca.crl.read_bytes()
    vpn.ca.crl.write_bytes(other.crl.read_bytes())
    try:
        vpn.come("ada")
        seen = await connector.read_back(account, transcript)
        health = await connector.health(transcript)
    finally:
        vpn.ca.crl.write_bytes(right)

    assert vpn.is_in("ada")
    assert not seen.is_closed
    assert AccessKind.SIGN_IN in {row.kind for row in seen.unread}
    assert not health.is_ready


async def test_the_server_of_the_page_is_healthy(vpn: Vpn) -> None:
    """With its configuration named, nothing is left to say, in both ways of blocking."""
    for how in ("crl", "ccd"):
        health = await vpn.connect(revoke=how).health(Transcript())
        assert health.problems == ()
