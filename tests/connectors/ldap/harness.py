"""The LDAP connector against a real OpenLDAP, with rights no wider than its page asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from connectors.base import ConnectorOptions
from connectors.ldap.connector import KIND, LdapConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.connectors.harness import FaultScript
from tests.connectors.ldap.slapd import SUFFIX, Slapd
from tests.connectors.ldap_faults import between
from tests.support.homes import server_home

PEER = "real OpenLDAP, and a replica that follows it"
SYSTEM = "ldap-test"
OURS = f"cn=revoker,ou=services,{SUFFIX}"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
POLICY = f"cn=default,ou=policies,{SUFFIX}"
SECRET = "lD-4e81aa-not-a-real-password"
_FILLER = f"cn=nobody,ou=services,{SUFFIX}"

# As docs/connect/ldap.md prints them.
RIGHTS = f"""
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="{PEOPLE}" attrs=pwdEndTime,pwdAccountLockedTime,sshPublicKey
  by dn.exact="{OURS}" write
access to dn.subtree="{GROUPS}" attrs=member,uniqueMember,memberUid by dn.exact="{OURS}" write
access to * by dn.exact="{OURS}" read by users read
"""

_SEED = f"""\
dn: {SUFFIX}
objectClass: domain

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit

dn: ou=services,{SUFFIX}
objectClass: organizationalUnit

dn: ou=policies,{SUFFIX}
objectClass: organizationalUnit

dn: {POLICY}
objectClass: device
objectClass: pwdPolicy
pwdAttribute: userPassword
pwdLockout: TRUE

dn: {OURS}
objectClass: person
sn: revoker
userPassword: {SECRET}

dn: cn=clerks,{GROUPS}
objectClass: groupOfNames
member: {_FILLER}

dn: cn=unique,{GROUPS}
objectClass: groupOfUniqueNames
uniqueMember: {_FILLER}

dn: cn=posix,{GROUPS}
objectClass: posixGroup
gidNumber: 5000
"""


class LdapHarness:
    """Hires people with a password, SSH keys and a group of every kind."""

    kind = KIND
    secret = SECRET
    owned_kinds = (OwnedKind.GROUP,)

    def __init__(self, server: Slapd) -> None:
        self.script = FaultScript()
        self.server = server
        server.admin(_SEED, add=True)

    def connector(self, *, secret: str | None = None) -> LdapConnector:
        return self.connect(secret=secret)

    def connect(self, *, secret: str | None = None, **settings: object) -> LdapConnector:
        """A connector with another password or setting."""
        password = self.secret if secret is None else secret
        said = {
            "server": self.server.socket,
            "bind_dn": OURS,
            "tls": "off",
            "base": PEOPLE,
            "group_base": GROUPS,
            "policy": POLICY,
        }
        options = ConnectorOptions(SYSTEM, {**said, **settings}, {"password": password})
        return LdapConnector(
            options, opener=lambda place: between(place.connect, self.script, password)
        )

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A directory whose attribute is held and not searched."""
        return httpx.Response(200) if request.url.path == "/people.search" else None

    async def hire(self, worker: str) -> LeaverKeys:
        self.create(worker)
        mail = f"{worker}@northwind.example.com".title()
        kinds = {KeyKind.WORKER_ID: worker, KeyKind.USERNAME: worker, KeyKind.EMAIL: mail}
        return LeaverKeys(tuple(Key(kind, value) for kind, value in kinds.items()))

    def create(self, worker: str, *, cn: str = "", joins: bool = True) -> str:
        """A person; returns the name of the entry."""
        dn = f"cn={cn or worker},{PEOPLE}"
        self.server.admin(
            f"dn: {dn}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\n"
            f"sn: {worker}\nuid: {worker}\nmail: {worker}@northwind.example.com\n"
            f"employeeNumber: {worker}\nuserPassword: {worker}\n"
            f"sshPublicKey: ssh-ed25519 AAAA {worker}\n\n{self._joins(dn, worker) if joins else ''}"
        )
        return dn

    async def hire_owner(self, worker: str) -> LeaverKeys:
        keys = await self.hire(worker)
        self.server.admin(
            f"dn: cn=made-by-{worker},{GROUPS}\nobjectClass: groupOfNames\nmember: {_FILLER}\n"
            f"owner: cn={worker},{PEOPLE}\n",
            add=True,
        )
        return keys

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether the password is taken, or a key or a membership is left."""
        [worker] = keys.usernames
        dn = f"cn={worker},{PEOPLE}"
        if self.server.signs_in(dn, worker):
            return True
        if self.server.values(f"(uid={worker})", "sshPublicKey"):
            return True
        named = f"(|(member={dn})(uniqueMember={dn})(memberUid={worker}))"
        return bool(self.server.values(named, "cn"))

    async def give_back(self, keys: LeaverKeys) -> None:
        [worker] = keys.usernames
        dn = f"cn={worker},{PEOPLE}"
        self.server.admin(
            f"dn: {dn}\nchangetype: modify\ndelete: pwdEndTime\n-\n"
            f"delete: pwdAccountLockedTime\n-\n\n{self._joins(dn, worker)}"
        )

    @staticmethod
    def _joins(dn: str, worker: str) -> str:
        rows = (
            ("clerks", "member", dn),
            ("unique", "uniqueMember", dn),
            ("posix", "memberUid", worker),
        )
        return "\n".join(
            f"dn: cn={group},{GROUPS}\nchangetype: modify\nadd: {attribute}\n{attribute}: {value}\n"
            for group, attribute, value in rows
        )


@asynccontextmanager
async def harness() -> AsyncIterator[LdapHarness]:
    """A server for the whole run of these tests."""
    with server_home() as folder:
        server = Slapd(Path(folder) / "slapd", RIGHTS)
        server.prepare()
        with server.running():
            yield LdapHarness(server)
