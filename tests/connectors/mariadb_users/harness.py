"""The MariaDB connector against a real server of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pymysql

from connectors.base import ConnectorOptions
from connectors.mariadb_users.connector import KIND, MariaConnector
from connectors.mariadb_users.driver import connect
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.connectors.anchors.peers import Authority
from tests.connectors.harness import FaultKind, FaultScript
from tests.connectors.mariadb_users.servers import Server, made, os_user
from tests.connectors.sql_faults import STATES, between
from tests.support.homes import server_home

PEER = "real MariaDB: a server, and a replica that follows it by GTID"
SYSTEM = "mariadb-test"
OURS = "lockstep_revoker"
NUMBERS = {
    **STATES,
    FaultKind.UNAUTHORIZED: "28000",
    FaultKind.FORBIDDEN: "1227",
    FaultKind.RATE_LIMITED_WITH_TIME: "1040",
    FaultKind.RATE_LIMITED_BARE: "1040",
    FaultKind.SERVER_ERROR: "1053",
}
RIGHTS = "CREATE USER, PROCESS, CONNECTION ADMIN, SHOW VIEW, EVENT, TRIGGER"


class MariaHarness:
    """Hires people as users of two hosts, with a session that is open and roles."""

    kind = KIND
    secret = "sQ-9f2c71-not-a-real-password"
    owned_kinds = (OwnedKind.FLOW,)

    def __init__(self, server: Server, template: Server) -> None:
        self.template = template
        self.script = FaultScript()
        self.server = server
        self._sessions: dict[str, pymysql.Connection[Any]] = {}
        server.ask(
            "CREATE ROLE clerks",
            "CREATE ROLE readers",
            "CREATE DATABASE books",
            f"CREATE USER {OURS}@'%' IDENTIFIED BY '{self.secret}'",
            f"GRANT {RIGHTS} ON *.* TO {OURS}@'%'",
            f"GRANT SELECT ON mysql.* TO {OURS}@'%'",
            f"GRANT clerks TO {OURS}@'%' WITH ADMIN OPTION",
            f"GRANT readers TO {OURS}@'%' WITH ADMIN OPTION",
        )

    def connector(self, *, secret: str | None = None) -> MariaConnector:
        return self.connect(secret=secret)

    def connect(
        self, *, secret: str | None = None, user: str = OURS, **settings: object
    ) -> MariaConnector:
        """A connector with another password, user or setting."""
        password = self.secret if secret is None else secret
        said = {
            "server": self.server.address,
            "user": user,
            "tls": "off",
            "user_is": "email",
            "scramble_password": True,
        }
        options = ConnectorOptions(SYSTEM, {**said, **settings}, {"password": password})
        return MariaConnector(
            options,
            opener=lambda place: between(partial(connect, place), self.script, password, NUMBERS),
        )

    async def hire(self, worker: str) -> LeaverKeys:
        name = f"{worker}@northwind.example.com"
        self.create(name, worker)
        self._sessions[name] = self.server.login(name, worker)
        # The directory writes addresses as people do.
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, name.title())))

    async def hire_owner(self, worker: str) -> LeaverKeys:
        keys = await self.hire(worker)
        user = f"`{keys.emails[0].lower()}`@`%`"
        self.server.ask(f"CREATE DEFINER={user} PROCEDURE books.`by_{worker}`() SELECT 1")
        return keys

    def create(self, name: str, password: str) -> None:
        """A user who may come from anywhere, and from here in another way."""
        both = [f"`{name}`@`{host}`" for host in ("%", "127.%")]
        self.server.ask(
            *(f"CREATE USER {one} IDENTIFIED BY '{password}'" for one in both),
            *(f"GRANT clerks TO {one}" for one in both),
            f"GRANT readers TO {both[0]}",
        )

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether the old session answers, a new one can be opened, or a role is left."""
        name, worker = keys.emails[0].lower(), keys.worker_ids[0]
        with contextlib.suppress(pymysql.Error):
            self._sessions[name].ping(reconnect=False)
            return True
        for near in (False, True):
            with contextlib.suppress(pymysql.Error):
                self.server.login(name, worker, near=near).close()
                return True
        query = f"SELECT Role FROM mysql.roles_mapping WHERE User = '{name}'"
        return bool(self.server.ask(query))

    async def give_back(self, keys: LeaverKeys) -> None:
        user = f"`{keys.emails[0].lower()}`@`%`"
        self.server.ask(f"ALTER USER {user} ACCOUNT UNLOCK", f"GRANT clerks TO {user}")

    def ended(self) -> None:
        for session in self._sessions.values():
            with contextlib.suppress(pymysql.Error):
                session.close()


_stack = ExitStack()
_shared: list[MariaHarness] = []


def shared() -> MariaHarness:
    """The server that tests of several files share, over TLS too; it ends with the run."""
    if not _shared:
        folder = _stack.enter_context(server_home())
        template = made(folder / "0")
        Authority.make(folder).server()
        server = template.copied_to(folder / "1", 1)
        _stack.enter_context(server.running(*_over_tls(folder)))
        peer = MariaHarness(server, template)
        _stack.callback(peer.ended)
        _shared.append(peer)
    return _shared[0]


def ended() -> None:
    """See `tests.connectors.conftest`."""
    _shared.clear()
    _stack.close()


def _over_tls(folder: Path) -> tuple[str, ...]:
    """The options of a server with the certificate that the authority issued there."""
    certificate = folder / "localhost.pem"
    key = certificate.with_suffix(".key")
    if os.geteuid() == 0:
        os.chown(key, os_user().pw_uid, -1)
    return f"--ssl-cert={certificate}", f"--ssl-key={key}"


@asynccontextmanager
async def harness() -> AsyncIterator[MariaHarness]:
    """One server for the whole run."""
    yield shared()
