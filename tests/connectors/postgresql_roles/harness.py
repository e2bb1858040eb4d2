"""The PostgreSQL connector against a real cluster of its own, and a real hot standby of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from connectors.base import ConnectorOptions
from connectors.postgresql_roles.connector import KIND, PostgresConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from lockstep.embedded import placement
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.supervisor import Supervisor
from tests.connectors.harness import FaultScript
from tests.connectors.sql_faults import between
from tests.support.homes import server_home

PEER = "real PostgreSQL: a cluster, and a hot standby that follows it"
SYSTEM = "postgresql-test"
OURS = "lockstep_revoker"
_START_S = 60

_RIGHTS = """\
local all,replication postgres trust
local lockstep lockstep_app,lockstep_owner trust
local all all scram-sha-256
"""


class Cluster:
    """A cluster that asks for passwords, as one in the field does."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedPostgres(folder / "pg")
        self.folder = folder

    @property
    def address(self) -> str:
        return str(self.server.socket_dir)

    def prepare(self) -> None:
        self.server.prepare()
        rights = self.folder / "pg_hba.conf"
        rights.write_text(_RIGHTS)
        rights.chmod(0o644)
        local = f"hba_file = '{rights}'\nfsync = off\nhot_standby_feedback = on\n"
        (self.server.data_dir / "local.conf").write_text(local)

    def admin(self) -> psycopg.Connection:
        """The peer's own truth: a superuser's session that the connector knows nothing of."""
        return self.login("postgres", "")

    def login(self, role: str, password: str) -> psycopg.Connection:
        return psycopg.connect(
            host=self.address, user=role, password=password, dbname="postgres", autocommit=True
        )


class PostgresHarness:
    """Hires people as roles, with a session that is open and rights of every kind."""

    kind = KIND
    secret = "sQ-9f2c71-not-a-real-password"
    owned_kinds = (OwnedKind.FLOW,)

    def __init__(self, cluster: Cluster) -> None:
        self.script = FaultScript()
        self.cluster = cluster
        self._sessions: dict[str, psycopg.Connection] = {}
        with cluster.admin() as admin:
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(
                    sql.Identifier(OURS), sql.Literal(self.secret)
                )
            )
            admin.execute("CREATE ROLE clerks")
            admin.execute("CREATE ROLE readers")

    def connector(self, *, secret: str | None = None) -> PostgresConnector:
        return self.connect(secret=secret)

    def connect(
        self, *, secret: str | None = None, user: str = OURS, **settings: object
    ) -> PostgresConnector:
        """A connector with another password, role or setting."""
        password = self.secret if secret is None else secret
        said = {
            "server": self.cluster.address,
            "user": user,
            "tls": "off",
            "role_is": "email",
            "comment_holds": "worker_id",
        }
        options = ConnectorOptions(SYSTEM, {**said, **settings}, {"password": password})
        return PostgresConnector(
            options, opener=lambda place: between(place.connect, self.script, password)
        )

    async def hire(self, worker: str) -> LeaverKeys:
        role = f"{worker}@northwind.example.com"
        self.create(role, worker)
        self._sessions[role] = self.cluster.login(role, worker)
        # The directory writes addresses as people do.
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, role.title())))

    async def hire_owner(self, worker: str) -> LeaverKeys:
        keys = await self.hire(worker)
        made, role = sql.Identifier(f"made_by_{worker}"), sql.Identifier(keys.emails[0].lower())
        body = "RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
        with self.cluster.admin() as admin:
            admin.execute(sql.SQL("CREATE FUNCTION {}() " + body).format(made))
            admin.execute(sql.SQL("ALTER FUNCTION {}() OWNER TO {}").format(made, role))
        return keys

    def create(self, role: str, worker: str, *rights: str) -> None:
        """A role with every kind of right, and without a session."""
        name = sql.Identifier(role)
        also = sql.SQL(" ".join(rights or ("CREATEDB",)))  # type: ignore[arg-type]
        with self.cluster.admin() as admin:
            make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}")
            admin.execute(make.format(name, sql.Literal(worker), also))
            admin.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(worker)))
            admin.execute(sql.SQL("GRANT clerks, readers TO {}").format(name))

    async def still_in(self, keys: LeaverKeys) -> bool:
        """Whether the old session answers, a new one can be opened, or a membership is left."""
        role, worker = keys.emails[0].lower(), keys.worker_ids[0]
        with contextlib.suppress(psycopg.OperationalError):
            self._sessions[role].execute("SELECT 1")
            return True
        with contextlib.suppress(psycopg.OperationalError):
            self.cluster.login(role, worker).close()
            return True
        query = "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole"
        with self.cluster.admin() as admin:
            row = admin.execute(query, (f'"{role}"',)).fetchone()
        return row is None or row[0] > 0

    async def give_back(self, keys: LeaverKeys) -> None:
        name = sql.Identifier(keys.emails[0].lower())
        with self.cluster.admin() as admin:
            admin.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB").format(name))
            admin.execute(sql.SQL("GRANT clerks TO {}").format(name))

    def ended(self) -> None:
        for session in self._sessions.values():
            session.close()


@asynccontextmanager
async def harness() -> AsyncIterator[PostgresHarness]:
    """A cluster for the whole run of these tests."""
    with server_home() as folder:
        cluster = Cluster(folder)
        cluster.prepare()
        async with Supervisor(folder / "servers", stop_signals=()) as supervisor:
            await supervisor.start(cluster.server.child_spec(log_path=folder / "pg.log"))
            made = PostgresHarness(cluster)
            try:
                yield made
            finally:
                made.ended()


def copy_of(cluster: Cluster, folder: Path) -> Cluster:
    """A hot standby of a running cluster, by pg_basebackup; not started yet."""
    copy = Cluster(folder)
    target = placement.cluster_folder(copy.server.data_dir)
    user = placement.server_user(copy.server.data_dir)
    placement.make_folder(copy.server.data_dir)
    placement.claim_private_folder(copy.server.socket_dir, user)
    placement.claim_private_folder(target, user)
    log = folder / "pg.log"
    program = Path(cluster.server.child_spec(log_path=log).argv[0]).with_name("pg_basebackup")
    subprocess.run(
        [program, "-h", cluster.address, "-U", "postgres", "-D", target, "-R", "-c", "fast"],
        check=True,
        timeout=_START_S,
        env={"PATH": os.defpath},
        cwd="/",
        capture_output=True,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )
    return copy
