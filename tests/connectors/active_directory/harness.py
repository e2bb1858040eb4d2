"""The Active Directory connector against a real domain of Samba's."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import httpx

from connectors.active_directory.connector import KIND, ActiveDirectoryConnector
from connectors.base import ConnectorOptions
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.connectors.active_directory.samba import SUFFIX, SambaDomain
from tests.connectors.harness import FaultScript
from tests.connectors.ldap_faults import between
from tests.support.homes import server_home

PEER = "real Samba: two domain controllers, each in a network of its own"
SYSTEM = "active-directory-test"
PEOPLE = f"CN=Users,{SUFFIX}"
OURS = "lockstep@corp.test"
SECRET = "aD-7c1f09-Not-a-real-password"
PASSWORD = "Welcome-2026!"
_numbers = count(1)

_SEED = f"""\
dn: CN=lockstep,{PEOPLE}
changetype: add
objectClass: user
sAMAccountName: lockstep
userPrincipalName: {OURS}
userAccountControl: 512
unicodePwd:: {{password}}

dn: CN=clerks,{PEOPLE}
changetype: add
objectClass: group
sAMAccountName: clerks

dn: CN=staff,{PEOPLE}
changetype: add
objectClass: group
sAMAccountName: staff
member: CN=clerks,{PEOPLE}

dn: CN=Domain Admins,{PEOPLE}
changetype: modify
add: member
member: CN=lockstep,{PEOPLE}
"""


def coded(password: str) -> str:
    return base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode()


class ActiveDirectoryHarness:
    """Hires people with a password, hours in which they may sign in, and a group in a group."""

    kind = KIND
    secret = SECRET
    owned_kinds = (OwnedKind.GROUP, OwnedKind.SERVICE_ACCOUNT, OwnedKind.KEY)

    def __init__(self, domain: SambaDomain) -> None:
        self.script = FaultScript()
        self.domain = domain
        domain.first.admin(_SEED.format(password=coded(self.secret)))

    def connector(self, *, secret: str | None = None) -> ActiveDirectoryConnector:
        return self.connect(secret=secret, controllers=["dc1.corp.test"])

    def connect(
        self, *, secret: str | None = None, faulty: bool = True, **settings: object
    ) -> ActiveDirectoryConnector:
        """A connector with another password or setting."""
        password = self.secret if secret is None else secret
        said = {
            "server": "dc1.corp.test",
            "user": OURS,
            "base": SUFFIX,
            "ca_file": str(self.domain.authority.ca),
            "addresses": [each.address for each in self.domain.controllers],
        }
        options = ConnectorOptions(SYSTEM, {**said, **settings}, {"password": password})
        if not faulty:
            return ActiveDirectoryConnector(options)
        return ActiveDirectoryConnector(
            options, opener=lambda place: between(place.connect, self.script, password)
        )

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A controller whose attribute is held and not searched."""
        return httpx.Response(200) if request.url.path == "/people.search" else None

    async def hire(self, worker: str) -> LeaverKeys:
        self.create(worker)
        mail = f"{worker}@northwind.example.com".title()
        kinds = {KeyKind.WORKER_ID: worker, KeyKind.USERNAME: worker, KeyKind.EMAIL: mail}
        return LeaverKeys(tuple(Key(kind, value) for kind, value in kinds.items()))

    def create(self, worker: str, *, cn: str = "", also: str = "") -> str:
        """A person; returns the name of the entry."""
        dn = f"CN={cn or worker},{PEOPLE}"
        self.domain.first.admin(
            f"dn: {dn}\nchangetype: add\nobjectClass: user\nsAMAccountName: {worker}\n"
            f"userPrincipalName: {worker}@corp.test\nmail: {worker}@northwind.example.com\n"
            f"employeeID: {worker}\nuserAccountControl: 512\nunicodePwd:: {coded(PASSWORD)}\n"
            f"{also}\n{self._joins(dn)}"
        )
        return dn

    async def hire_owner(self, worker: str) -> LeaverKeys:
        self.create(worker, also=f"servicePrincipalName: http/{worker}.corp.test\n")
        dn = f"CN={worker},{PEOPLE}"
        self.domain.first.admin(
            f"dn: CN=run-by-{next(_numbers)},{PEOPLE}\nchangetype: add\nobjectClass: group\n"
            f"managedBy: {dn}\n\n"
            f"dn: {dn}\nchangetype: modify\nadd: msDS-AllowedToDelegateTo\n"
            f"msDS-AllowedToDelegateTo: cifs/files.corp.test\n"
        )
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.USERNAME, worker)))

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether the password is taken, or a membership is left."""
        [worker] = keys.usernames
        if self.domain.first.signs_in(f"{worker}@corp.test", PASSWORD):
            return True
        return bool(self.domain.first.values(f"(member=CN={worker},{PEOPLE})", "cn"))

    async def give_back(self, keys: LeaverKeys) -> None:
        dn = f"CN={keys.usernames[0]},{PEOPLE}"
        self.domain.first.admin(
            f"dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 512\n"
            f"-\nreplace: logonHours\n-\nreplace: unicodePwd\nunicodePwd:: {coded(PASSWORD)}\n\n"
            f"{self._joins(dn)}"
        )

    @staticmethod
    def _joins(dn: str) -> str:
        return f"dn: CN=clerks,{PEOPLE}\nchangetype: modify\nadd: member\nmember: {dn}\n"


_ends = contextlib.ExitStack()
_made: list[ActiveDirectoryHarness] = []


@asynccontextmanager
async def harness() -> AsyncIterator[ActiveDirectoryHarness]:
    """One domain for the whole run of tests: it takes seconds to make."""
    if not _made:
        folder = _ends.enter_context(server_home())
        domain = SambaDomain(folder)
        _ends.callback(domain.stack.close)
        domain.start()
        _made.append(ActiveDirectoryHarness(domain))
    yield _made[0]


def ended() -> None:
    """The domain ends with the run."""
    _made.clear()
    _ends.close()
