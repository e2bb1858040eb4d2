"""The real PostgreSQL."""

import os
import shutil
import signal
import subprocess
from contextlib import AbstractContextManager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import create_engine, text

from lockstep.embedded import postgres as postgres_module
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.postgres import APP_ROLE, OWNER_ROLE, EmbeddedPostgres, choose_data_dir
from lockstep.embedded.runstate import read_run_state
from lockstep.embedded.supervisor import EventKind
from tests.embedded.conftest import eventually
from tests.support.children import child

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="root only: PostgreSQL then runs as another user"
)


@pytest.fixture
def postgres(home):
    return EmbeddedPostgres(home / "postgres")


@pytest.fixture
def spec(postgres, home):
    return postgres.child_spec(log_path=home / "postgres.log")


def sleeping_as(uid: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return child(["sleep", "60"], run_as=uid)


def connect(postgres: EmbeddedPostgres, role: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(postgres.socket_dir), dbname="lockstep", user=role, autocommit=True
    )


async def test_committed_data_survives_a_killed_server(
    make_supervisor, postgres, spec, home, recorder
):
    """After kill -9 a new server recovers, and what the application committed is there."""
    async with make_supervisor() as supervisor:
        await supervisor.start(spec)
        with connect(postgres, OWNER_ROLE) as owner:
            owner.execute("CREATE TABLE kept (n int)")
            owner.execute(f"GRANT SELECT, INSERT ON kept TO {APP_ROLE}")
        with connect(postgres, APP_ROLE) as app:
            app.execute("INSERT INTO kept VALUES (42)")
        os.kill(read_run_state(home).child("postgres").pid, signal.SIGKILL)
        await eventually(lambda: len(recorder.of(EventKind.READY)) == 2)
        with connect(postgres, APP_ROLE) as app:
            found = app.execute("SELECT n FROM kept").fetchall()

    assert found == [(42,)]


async def test_the_urls_work_with_sqlalchemy_and_the_roles_have_no_power(
    make_supervisor, postgres, spec
):
    """The application can log in and no more; migrations own the database."""
    async with make_supervisor() as supervisor:
        await supervisor.start(spec)
        engine = create_engine(postgres.app_url)
        with engine.connect() as connection:
            row = connection.execute(
                text(
                    "SELECT current_user, rolsuper, rolcreatedb, rolcreaterole,"
                    " current_setting('listen_addresses'), current_setting('TimeZone'),"
                    " current_setting('synchronous_commit'), current_setting('fsync')"
                    " FROM pg_roles WHERE rolname = current_user"
                )
            ).one()
        engine.dispose()
        with (
            connect(postgres, APP_ROLE) as app,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            app.execute("CREATE TABLE mine (n int)")
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(host=str(postgres.socket_dir), dbname="postgres", user=APP_ROLE)

    assert tuple(row) == (APP_ROLE, False, False, False, "", "UTC", "on", "on")
    assert postgres.owner_url.startswith(f"postgresql+psycopg://{OWNER_ROLE}@/lockstep?host=/")


async def test_the_operators_own_settings_win(make_supervisor, postgres, spec):
    """`local.conf` is read after ours."""
    postgres.prepare()
    (postgres.data_dir / "local.conf").write_text("max_connections = 42\n")
    async with make_supervisor() as supervisor:
        await supervisor.start(spec)
        with connect(postgres, APP_ROLE) as app:
            assert app.execute("SHOW max_connections").fetchone() == ("42",)


async def test_a_server_that_cannot_start_is_explained_by_its_log(make_supervisor, postgres, spec):
    """The operator reads PostgreSQL's own words."""
    postgres.prepare()
    (postgres.data_dir / "local.conf").write_text("shared_bufers = 1\n")
    async with make_supervisor() as supervisor:
        with pytest.raises(EmbeddedError, match=r"(?s)postgres ended.*shared_bufers"):
            await supervisor.start(spec)


async def test_a_long_path_puts_the_socket_elsewhere(make_supervisor, home):
    """A Unix socket's path may have about a hundred bytes."""
    postgres = EmbeddedPostgres(home / ("long-" * 20) / "postgres")
    async with make_supervisor() as supervisor:
        await supervisor.start(postgres.child_spec(log_path=home / "postgres.log"))
        connect(postgres, APP_ROLE).close()
    shutil.rmtree(postgres.socket_dir)

    assert len(str(postgres.socket_dir)) < 60


async def test_a_pid_file_whose_pid_is_another_program_now_is_no_obstacle(
    make_supervisor, postgres, spec, home
):
    """In a container pids repeat at each boot."""
    postgres.prepare()
    owner = (postgres.data_dir / "cluster").stat().st_uid
    with sleeping_as(owner) as stranger:
        pid_file = postgres.data_dir / "cluster" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{postgres.data_dir}/cluster\n1\n5432\n\n\n\n")
        async with make_supervisor() as supervisor:
            await supervisor.start(spec)
            connect(postgres, APP_ROLE).close()


@pytest.mark.parametrize(
    "text", ["", "\n", "0\n", "12x", "-", "\0" * 64, "9" * 40 + "\n", "\udcff"]
)
@pytest.mark.parametrize("lock", ["cluster/postmaster.pid", "socket/.s.PGSQL.5432.lock"])
async def test_a_lock_file_that_was_not_written_to_its_end_is_no_obstacle(
    make_supervisor, postgres, spec, lock, text
):
    """A kill -9 may come between making a lock file and writing it."""
    postgres.prepare()
    (postgres.data_dir / lock).write_bytes(text.encode(errors="surrogateescape"))
    async with make_supervisor() as supervisor:
        await supervisor.start(spec)
        connect(postgres, APP_ROLE).close()


@pytest.mark.parametrize("lock", ["cluster/postmaster.pid", "socket/.s.PGSQL.5432.lock"])
async def test_a_lock_file_whose_pid_is_another_clusters_server_now_is_no_obstacle(
    make_supervisor, postgres, spec, home, lock
):
    """Two PostgreSQL servers of one machine: what has the pid is a server, and not of this data."""
    other = EmbeddedPostgres(home / "other")
    async with make_supervisor() as supervisor:
        elsewhere = replace(other.child_spec(log_path=home / "other.log"), name="other")
        await supervisor.start(elsewhere)
        pid = read_run_state(home).child("other").pid
        postgres.prepare()
        (postgres.data_dir / lock).write_text(f"{pid}\n{postgres.data_dir}/cluster\n1\n5432\n\n")

        await supervisor.start(spec)
        connect(postgres, APP_ROLE).close()


@pytest.mark.parametrize("keeps_pid", [True, False])
async def test_the_lock_files_of_a_running_server_stay(make_supervisor, postgres, spec, keeps_pid):
    """The guard against two servers on the same data is never taken away from under one."""
    async with make_supervisor() as supervisor:
        await supervisor.start(spec)
        locks = [
            postgres.data_dir / "cluster" / "postmaster.pid",
            postgres.socket_dir / ".s.PGSQL.5432.lock",
        ]
        before = [lock.read_bytes() for lock in locks]
        if not keeps_pid:  # as if it were about to write it
            for lock in locks:
                lock.write_bytes(b"")

        postgres.prepare()

        assert all(lock.exists() for lock in locks)
        for lock, text in zip(locks, before, strict=True):
            lock.write_bytes(text)


def test_an_empty_folder_is_no_cluster(postgres):
    """Nothing is in it that could be lost."""
    (postgres.data_dir / "cluster").mkdir(parents=True)
    postgres.data_dir.chmod(0o755)

    postgres.prepare()

    assert (postgres.data_dir / "cluster" / "global" / "pg_control").exists()


def test_data_of_another_major_version_is_refused(postgres):
    """The new server could not read it."""
    postgres.prepare()
    (postgres.data_dir / "cluster" / "PG_VERSION").write_text("16\n")

    with pytest.raises(EmbeddedError, match="of PostgreSQL 16, the installed server is 18"):
        postgres.prepare()


def test_a_half_made_cluster_is_made_again(postgres):
    """A kill during initdb leaves a folder that is never taken for data."""
    partial = postgres.data_dir / "cluster.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    postgres.data_dir.chmod(0o755)

    postgres.prepare()

    assert (postgres.data_dir / "cluster" / "global" / "pg_control").exists()
    assert not partial.exists()


def test_missing_programs_say_how_to_get_them(monkeypatch, home):
    """The error names the command that installs them."""
    monkeypatch.setattr(postgres_module, "_PACKAGE", "no_such_package")

    with pytest.raises(EmbeddedError, match="pip install"):
        EmbeddedPostgres(home / "postgres")


@root_only
async def test_root_with_a_closed_home_finds_another_place(make_supervisor, home):
    """Below a 0700 folder the server's user cannot reach its data, so it goes elsewhere."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    chosen = choose_data_dir(closed / "postgres", fallback_root=home)
    postgres = EmbeddedPostgres(chosen)
    async with make_supervisor() as supervisor:
        await supervisor.start(postgres.child_spec(log_path=home / "postgres.log"))
        connect(postgres, APP_ROLE).close()

    assert chosen.parent == home
    assert closed.stat().st_mode & 0o777 == 0o700


@root_only
async def test_root_with_programs_in_a_closed_folder_runs_a_copy(make_supervisor, home, postgres):
    """A virtual environment below /root is out of reach for the server's user."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    original = postgres._original
    for source in (original, original.with_name(original.name + ".libs")):
        if source.is_dir():
            unneeded = shutil.ignore_patterns("pginstall", "*.a")
            shutil.copytree(source, closed / source.name, symlinks=True, ignore=unneeded)
    postgres = EmbeddedPostgres(home / "postgres", package=closed / original.name)
    async with make_supervisor() as supervisor:
        await supervisor.start(postgres.child_spec(log_path=home / "postgres.log"))
        connect(postgres, APP_ROLE).close()

    assert postgres._programs.is_relative_to(home / "postgres")


@root_only
def test_root_without_a_reachable_folder_is_told_so(home):
    """No rights are widened behind the operator's back."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedError, match=rf"user pgserver cannot enter {closed}"):
        EmbeddedPostgres(closed / "postgres").prepare()
    with pytest.raises(EmbeddedError, match=rf"can enter neither .*chmod o\+x {closed}.*data_dir"):
        choose_data_dir(closed / "postgres", fallback_root=closed)
