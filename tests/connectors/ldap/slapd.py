"""A real OpenLDAP out of Debian: its password policy, memberOf, and a replica that follows it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.support import debian_packages
from tests.support.children import child
from tests.support.ports import free_port

SUFFIX = "dc=corp,dc=test"
ROOT = f"cn=admin,{SUFFIX}"
ROOT_PASSWORD = "the-peers-own-truth"
_MOST_S = 1_500
_START_S = 20
_CALL_S = 20
_SCHEMA = """
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey'
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey' SUP top AUXILIARY
  MAY ( sshPublicKey $ uid ) )
"""
_COMMON = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include {folder}/ssh.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
moduleload syncprov
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
{tls}
database mdb
suffix "{suffix}"
rootdn "{root}"
rootpw {password}
directory {folder}/db
dbnosync
index objectClass,uid,mail,member,entryUUID eq
index entryCSN eq
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{suffix}"
"""


@dataclass
class Slapd:
    """One server; ``rights`` are lines of its access rules."""

    folder: Path
    rights: str = ""
    follows: int | None = None
    certificate: Path | None = None
    authority: Path | None = None
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    @property
    def socket(self) -> str:
        return str(self.folder / "ldapi")

    @property
    def url(self) -> str:
        return f"ldapi://{quote(self.socket, safe='')}"

    def prepare(self) -> None:
        (self.folder / "db").mkdir(parents=True)
        (self.folder / "ssh.schema").write_text(_SCHEMA)
        tls = ""
        if self.certificate is not None:
            tls = (
                f"TLSCertificateFile {self.certificate}\n"
                f"TLSCertificateKeyFile {self.certificate.with_suffix('.key')}\n"
                f"TLSCACertificateFile {self.authority}\n"
            )
        text = _COMMON.format(
            folder=self.folder, suffix=SUFFIX, root=ROOT, password=ROOT_PASSWORD, tls=tls
        )
        text += "overlay memberof\n"  # a copy without it would go on showing old groups
        if self.follows is None:
            text += "overlay syncprov\n"
        else:
            text += (
                f"syncrepl rid=1 provider=ldap://127.0.0.1:{self.follows} type=refreshAndPersist"
                f' searchbase="{SUFFIX}" bindmethod=simple binddn="{ROOT}"'
                f' credentials={ROOT_PASSWORD} retry="1 +" schemachecking=off\n'
                f"updateref ldap://127.0.0.1:{self.follows}\n"
            )
        (self.folder / "slapd.conf").write_text(text + self.rights)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        program = debian_packages.executable("slapd", ["slapd"])
        urls = [self.url, f"ldap://127.0.0.1:{self.port}"]
        urls += [f"ldaps://127.0.0.1:{self.tls_port}"] if self.certificate else []
        command = [program, "-f", str(self.folder / "slapd.conf"), "-h", " ".join(urls), "-d", "0"]
        with child(command, within_s=_MOST_S, stderr=subprocess.DEVNULL):
            ends = time.monotonic() + _START_S
            while self.tool("ldapwhoami", "-D", ROOT, "-w", ROOT_PASSWORD).returncode:
                assert time.monotonic() < ends, "slapd did not start"
                time.sleep(0.05)
            yield

    def tool(self, name: str, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A program of ldap-utils at this server."""
        program = debian_packages.executable("ldap-utils", [name])
        return subprocess.run(
            [program, "-x", "-H", self.url, *args],
            input=given,
            capture_output=True,
            text=True,
            timeout=_CALL_S,
            check=False,
            env={"PATH": os.defpath},
        )

    def admin(self, ldif: str, *, add: bool = False) -> None:
        """Changes as the server's own administrator."""
        also = ("-a",) if add else ()
        told = self.tool("ldapmodify", "-D", ROOT, "-w", ROOT_PASSWORD, *also, given=ldif)
        assert told.returncode == 0, told.stderr

    def signs_in(self, dn: str, password: str) -> bool:
        """The oracle: whether the server takes the password."""
        return self.tool("ldapwhoami", "-D", dn, "-w", password).returncode == 0

    def values(self, wanted: str, attribute: str) -> list[str]:
        """The peer's own truth."""
        told = self.tool(
            *("ldapsearch", "-D", ROOT, "-w", ROOT_PASSWORD, "-LLL", "-o", "ldif-wrap=no"),
            *("-b", SUFFIX, wanted, attribute),
        )
        lines = told.stdout.splitlines()
        return [line.partition(": ")[2] for line in lines if line.startswith(f"{attribute}: ")]
