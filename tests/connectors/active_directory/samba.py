"""A real Active Directory domain: Samba's domain controllers, each in a network of its own."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from tests.connectors.anchors.peers import Authority
from tests.support import debian_packages
from tests.support.children import child

SUFFIX = "DC=corp,DC=test"
ADMIN = "Administrator@corp.test"
ADMIN_PASSWORD = "Adm1n-Pass!"
_MOST_S = 1_500
_CALL_S = 180
_SERVICES = "rpc, ldap, cldap, kdc"
_PROGRAMS = (
    ("samba", "samba"),
    ("samba-common-bin", "samba-tool"),
    ("iproute2", "ip"),
    ("ldap-utils", "ldapmodify"),
    ("krb5-user", "kinit"),
)
_SHARED = Path("/usr/share/samba/setup/provision.ldif")


def _run(*argv: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        input=given,
        capture_output=True,
        text=True,
        timeout=_CALL_S,
        check=False,
        env={"PATH": f"{os.defpath}:/usr/sbin:/sbin", **env},
    )


def _done(*argv: str, **env: str) -> str:
    told = _run(*argv, **env)
    assert told.returncode == 0, (argv[:4], told.stdout[-2_000:], told.stderr[-2_000:])
    return told.stdout


@dataclass
class Networks:
    """A bridge, and one namespace for each controller: their ports are fixed."""

    mark: str = field(default_factory=lambda: f"lk{os.getpid() % 100_000}")
    made: list[str] = field(default_factory=list)

    @property
    def net(self) -> str:
        number = os.getpid()
        return f"10.{200 + number % 50}.{number // 50 % 250}"

    def open(self) -> None:
        _done("ip", "link", "add", self.mark, "type", "bridge")
        _done("ip", "addr", "add", f"{self.net}.1/24", "dev", self.mark)
        _done("ip", "link", "set", self.mark, "up")

    def add(self, number: int) -> tuple[str, str]:
        """A namespace, and its address."""
        name, ours, at = f"{self.mark}n{number}", f"{self.mark}v{number}", f"{self.net}.1{number}"
        _done("ip", "netns", "add", name)
        self.made.append(name)
        _done("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", name)
        _done("ip", "link", "set", ours, "master", self.mark, "up")
        _done("ip", "-n", name, "link", "set", "lo", "up")
        _done("ip", "-n", name, "addr", "add", f"{at}/24", "dev", "eth0")
        _done("ip", "-n", name, "link", "set", "eth0", "up")
        return name, at

    def close(self) -> None:
        for name in self.made:
            _run("ip", "netns", "del", name)
        _run("ip", "link", "del", self.mark)


@dataclass
class Controller:
    """One domain controller."""

    name: str
    space: str
    at: str
    folder: Path
    authority: Authority

    @property
    def host(self) -> str:
        return f"{self.name}.corp.test"

    @property
    def address(self) -> str:
        return f"{self.host}={self.at}:636"

    def configure(self) -> None:
        """Only what answers people: nothing is replicated. Its certificate bears its name."""
        names = [x509.DNSName(self.host), x509.IPAddress(ipaddress.ip_address(self.at))]
        pem = self.authority.issue(self.host, (x509.SubjectAlternativeName(names), False))
        pem.with_suffix(".key").chmod(0o600)
        local = self.folder / "run"
        local.mkdir()
        own = "\n".join(
            f"\t{line}"
            for line in (
                f"server services = {_SERVICES}",
                f"log file = {local}/log.%m",
                f"pid directory = {local}",
                f"ntp signd socket directory = {local}/ntp",
                f"ncalrpc dir = {local}/ncalrpc",
                f"winbindd socket directory = {local}/winbindd",
                f"tls certfile = {pem}",
                f"tls keyfile = {pem.with_suffix('.key')}",
                f"tls cafile = {self.authority.ca}",
            )
        )
        conf = self.folder / "etc" / "smb.conf"
        text = re.sub(r"\tserver services = .*|\tlog file = .*", "", conf.read_text())
        conf.write_text(text.replace("[global]", f"[global]\n{own}", 1))

    @contextlib.contextmanager
    def running(self, **env: str) -> Iterator[None]:
        conf = str(self.folder / "etc" / "smb.conf")
        command = ["ip", "netns", "exec", self.space, "samba", "-i", "-M", "single", "-s", conf]
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        surroundings = {"PATH": f"{os.defpath}:/usr/sbin:/sbin", **env}
        with child(command, within_s=_MOST_S, env=surroundings, **options):
            ends = time.monotonic() + 60
            while not self.signs_in(ADMIN, ADMIN_PASSWORD):
                assert time.monotonic() < ends, "samba did not start"
                time.sleep(0.1)
            yield

    def tool(self, name: str, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A program of ldap-utils at this controller."""
        url = f"ldaps://{self.at}"
        certified = {"LDAPTLS_CACERT": str(self.authority.ca)}
        return _run(name, "-x", "-H", url, *args, given=given, **certified)

    def admin(self, ldif: str) -> None:
        told = self.tool("ldapmodify", "-D", ADMIN, "-w", ADMIN_PASSWORD, given=ldif)
        assert told.returncode == 0, told.stderr

    def refusal(self, user: str, password: str) -> str:
        """The oracle: "" where the controller takes the password, else its words."""
        told = self.tool("ldapsearch", "-D", user, "-w", password, "-s", "base", "-b", "", "dn")
        return told.stderr if told.returncode else ""

    def signs_in(self, user: str, password: str) -> bool:
        return not self.refusal(user, password)

    def values(self, wanted: str, attribute: str, *, base: str = SUFFIX) -> list[str]:
        """The peer's own truth."""
        told = self.tool(
            *("ldapsearch", "-D", ADMIN, "-w", ADMIN_PASSWORD, "-LLL", "-o", "ldif-wrap=no"),
            *("-b", base, wanted, attribute),
        )
        found = re.findall(rf"^{attribute}(:?): (.*)$", told.stdout, re.MULTILINE)
        return [base64.b64decode(text).hex() if coded else text for coded, text in found]


class SambaDomain:
    """One controller, and a second one when somebody asks for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.networks = Networks()
        (folder / "ca").mkdir()
        self.authority = Authority.make(folder / "ca")
        self.stack = contextlib.ExitStack()
        self.controllers: list[Controller] = []

    @property
    def first(self) -> Controller:
        return self.controllers[0]

    def start(self) -> None:
        if os.geteuid():
            pytest.skip("network namespaces need root")
        debian_packages.has("samba-ad-dc", Path("/usr/share/doc/samba-ad-dc"))
        debian_packages.has("samba-ad-provision", _SHARED)
        for package, name in _PROGRAMS:
            debian_packages.executable(package, [name])
        self.stack.callback(self.networks.close)
        self.networks.open()
        one = self._controller(1)
        # Not inside: provisioning speaks to nobody.
        _done(
            *("samba-tool", "domain", "provision", f"--targetdir={one.folder}"),
            *("--realm=CORP.TEST", "--domain=CORP", "--server-role=dc", "--dns-backend=NONE"),
            *(f"--adminpass={ADMIN_PASSWORD}", "--host-name=dc1", f"--host-ip={one.at}"),
            *self._bound(one),
        )
        self._run(one)

    def second(self) -> Controller:
        """Another controller: it has joined, and hears of no change since."""
        if len(self.controllers) > 1:
            return self.controllers[1]
        two = self._controller(2)
        _done(
            *("ip", "netns", "exec", two.space, "samba-tool", "domain", "join", "corp.test", "DC"),
            *(f"--server={self.first.at}", f"--targetdir={two.folder}", "--realm=CORP.TEST"),
            *("--dns-backend=NONE", f"-UCORP\\Administrator%{ADMIN_PASSWORD}"),
            *("--option=netbios name=DC2", "--option=workgroup=CORP", *self._bound(two)),
            KRB5_CONFIG=self.kerberos,
        )
        self._run(two)
        return two

    @property
    def kerberos(self) -> str:
        """Where its programs find the controllers that give tickets."""
        path = self.folder / "krb5.conf"
        path.write_text(
            "[libdefaults]\ndefault_realm=CORP.TEST\ndns_lookup_kdc=false\nrdns=false\n"
            f"[realms]\nCORP.TEST={{\n kdc={self.first.at}\n}}\n"
        )
        return str(path)

    def gets_a_ticket(self, user: str, password: str) -> bool:
        """The other oracle: kinit."""
        cache = self.folder / "tickets"
        env = {"KRB5_CONFIG": self.kerberos, "KRB5CCNAME": f"FILE:{cache}"}
        return _run("kinit", f"{user}@CORP.TEST", given=f"{password}\n", **env).returncode == 0

    def _controller(self, number: int) -> Controller:
        space, at = self.networks.add(number)
        folder = self.folder / f"dc{number}"
        return Controller(f"dc{number}", space, at, folder, self.authority)

    def _run(self, one: Controller) -> None:
        one.configure()
        self.controllers.append(one)
        self.stack.enter_context(one.running(KRB5_CONFIG=self.kerberos))

    @staticmethod
    def _bound(one: Controller) -> tuple[str, ...]:
        return (
            f"--option=interfaces={one.at}/24",
            "--option=bind interfaces only=yes",
            "--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb",
        )
