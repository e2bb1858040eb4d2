"""deploy/postgres/10-roles.sql on a real PostgreSQL, with passwords, as the container runs it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.supervisor import Supervisor
from lockstep.storage.engine.database import StorageError, check_fitness, create_engine
from lockstep.storage.engine.migrate import migrate, newest_revision
from tests.deploy.compose_file import ROOT

SQL = ROOT / "deploy" / "postgres" / "10-roles.sql"
PASSWORDS = """\
local all postgres trust
local replication postgres trust
local all all scram-sha-256
"""


class Cluster:
    """A fresh cluster whose roles are made by our script alone."""

    def __init__(self, home):
        self.server = EmbeddedPostgres(home / "pg")
        self.secrets = home / "secrets"
        spec = self.server.child_spec(log_path=home / "pg.log")
        # Its own readiness would make the embedded roles.
        self.spec = dataclasses.replace(spec, ready=self._answers)
        self.psql = Path(spec.argv[0]).with_name("psql")

    async def _answers(self):
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await self.server._connect("postgres", "postgres"):
                    return
            await asyncio.sleep(0.05)

    def url(self, secret):
        """The URL of a secret, by the socket instead of the container's network."""
        parsed = make_url((self.secrets / secret).read_text())
        moved = parsed.set(host=None, port=None, query={"host": str(self.server.socket_dir)})
        return moved.render_as_string(hide_password=False)

    def connect(self, role, password, database="lockstep"):
        socket = str(self.server.socket_dir)
        return psycopg.connect(
            host=socket, user=role, password=password, dbname=database, autocommit=True
        )

    def password(self, name):
        return (self.secrets / f"{name}_password").read_text()

    def run_script(self, secrets):
        """As the image's entry point does: psql, no password, stop at the first error."""
        return subprocess.run(
            [
                *(self.psql, "-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", "-f", SQL),
                *("--username=postgres", "--dbname=postgres"),
                f"--host={self.server.socket_dir}",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": os.defpath, "LOCKSTEP_SECRETS": str(secrets)},
        )


@pytest.fixture(scope="module")
def prepared():
    """A cluster that has not been started, with our secrets, in a folder of its own."""
    home = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    home.chmod(0o755)
    made = Cluster(home)
    made.server.prepare()
    rights = home / "hba.conf"
    rights.write_text(PASSWORDS)
    rights.chmod(0o644)
    (made.server.data_dir / "local.conf").write_text(f"hba_file = '{rights}'\nfsync = off\n")
    subprocess.run(
        ["sh", ROOT / "deploy/make-secrets.sh", made.secrets],
        check=True,
        capture_output=True,
        timeout=120,
    )
    yield made
    shutil.rmtree(home)


@pytest.fixture(scope="module")
async def cluster(prepared):
    """The cluster, running; the script has not run yet."""
    async with Supervisor(prepared.secrets.parent / "run", stop_signals=()) as supervisor:
        await supervisor.start(prepared.spec)
        yield prepared


@pytest.fixture(scope="module")
def ready(cluster):
    """First a run without secrets, which must leave nothing; then the real one; then migrate."""
    empty = cluster.secrets.parent / "empty"
    empty.mkdir()
    failed = cluster.run_script(empty)
    assert failed.returncode != 0
    assert "make-secrets.sh" in failed.stderr
    assert not roles(cluster)
    done = cluster.run_script(cluster.secrets)
    assert done.returncode == 0, done.stderr
    before, after = migrate(cluster.url("database_owner_url"))
    assert (before, after) == (None, newest_revision())
    return cluster


def roles(cluster):
    with cluster.connect("postgres", "", "postgres") as connection:
        rows = connection.execute(
            "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls"
            " or rolreplication, rolcanlogin from pg_roles where rolname !~ '^(pg_|postgres$)'"
        )
        return {name: (mighty, may_login) for name, mighty, may_login in rows}


def test_roles_have_no_more_than_they_need(ready):
    """No role of ours is superuser or may make roles or databases; nobody logs in as the group."""
    assert roles(ready) == {
        "lockstep_owner": (False, True),
        "lockstep_app": (False, False),
        "lockstep_service": (False, True),
        "temporal": (False, True),
    }


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger_entries set kind = 'x'",
        "delete from ledger_entries",
        "truncate ledger_entries",
        "alter table ledger_entries disable trigger all",
        "drop table ledger_entries",
        "create table more (x int)",
        "set role lockstep_owner",
    ],
)
def test_the_service_cannot_touch_the_ledger(ready, statement):
    """After `migrate` the role of worker and web can neither change nor replace the ledger."""
    with (
        ready.connect("lockstep_service", ready.password("service")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_service_can_do_its_work(ready):
    """The same role reads and appends to the ledger and works on the inbox."""
    with ready.connect("lockstep_service", ready.password("service")) as connection:
        rows = connection.execute(
            "select has_table_privilege('ledger_entries', 'insert'),"
            " has_table_privilege('ledger_entries', 'select'),"
            " has_table_privilege('inbox', 'update')"
        ).fetchone()
    assert rows == (True, True, True)


async def test_the_worker_accepts_the_service_and_refuses_the_owner(ready):
    """The check at start passes with one URL and fails with the other."""
    for secret, fit in (("database_url", True), ("database_owner_url", False)):
        engine = create_engine(ready.url(secret))
        async with engine.connect() as connection:
            check = check_fitness(connection, expected_revision=newest_revision())
            if fit:
                await check
            else:
                with pytest.raises(StorageError, match="lockstep_app"):
                    await check
        await engine.dispose()


@pytest.mark.parametrize(
    ("role", "password", "database"),
    [
        ("lockstep_service", "service", "temporal"),
        ("lockstep_owner", "owner", "temporal"),
        ("lockstep_service", "service", "temporal_visibility"),
        ("temporal", "temporal", "lockstep"),
    ],
)
def test_nobody_enters_a_database_of_others(ready, role, password, database):
    """Temporal does not reach our data, nor we Temporal's, whatever the password."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ready.connect(role, ready.password(password), database)


def test_passwords_are_the_secrets(ready):
    """Each role gets in with its own password and with no other."""
    for role, secret in (
        ("lockstep_owner", "owner"),
        ("lockstep_service", "service"),
        ("temporal", "temporal"),
    ):
        database = "temporal" if role == "temporal" else "lockstep"
        ready.connect(role, ready.password(secret), database).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ready.connect(role, ready.password("postgres"), database)


def test_temporal_can_make_its_tables(ready):
    """Temporal's role owns its databases, so that the schema job needs nobody else."""
    for database in ("temporal", "temporal_visibility"):
        with ready.connect("temporal", ready.password("temporal"), database) as connection:
            connection.execute("create table schema_version (version text)")


def test_the_documented_backup_is_a_whole_copy(ready):
    """The command of docs/operations.md writes one archive with the log that a restore needs."""
    page = (ROOT / "docs/operations.md").read_text()
    [arguments] = re.findall(r"exec -T postgres pg_basebackup (.*) >", page)
    done = subprocess.run(
        [ready.psql.with_name("pg_basebackup"), *arguments.split(), "-c", "fast"],
        check=True,
        capture_output=True,
        timeout=180,
        env={"PATH": os.defpath, "PGHOST": str(ready.server.socket_dir)},
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        names = archive.getnames()
    assert "backup_label" in names
    assert any(name.startswith("pg_wal/0") for name in names)
