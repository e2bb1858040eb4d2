"""A real PgBouncer before the tests' PostgreSQL, as strict as Debian ships it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from lockstep.embedded import leash
from lockstep.embedded.postgres import APP_ROLE, OWNER_ROLE, EmbeddedPostgres
from tests.support import debian_packages
from tests.support.children import child
from tests.support.ports import free_port

_START_S = 30
_MOST_S = 1_500
"""It serves the tests of a file; this is for a run that hangs."""


@dataclass(frozen=True)
class Bouncer:
    """Where it listens."""

    port: int

    def before(self, url: str) -> str:
        """A database's address, by way of the pooler."""
        where = make_url(url).set(host="127.0.0.1", port=self.port, query={})
        return where.render_as_string(hide_password=False)


@contextlib.contextmanager
def running(
    server: EmbeddedPostgres, folder: Path, *, mode: str, size: int = 20
) -> Iterator[Bouncer]:
    """A pooler of ``mode`` with ``size`` connections for each user and database."""
    program = debian_packages.executable("pgbouncer", ["pgbouncer"])
    place = make_url(server.app_url).query
    made = Bouncer(free_port())
    (folder / "users.txt").write_text(f'"{APP_ROLE}" ""\n"{OWNER_ROLE}" ""\n')
    (folder / "pgbouncer.ini").write_text(f"""
[databases]
* = host={place["host"]}{f" port={place['port']}" if "port" in place else ""}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {made.port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = {size}
""")
    log = folder / "pgbouncer.log"
    command = [  # on a leash: a test run that is killed leaves none behind
        *(sys.executable, "-I", "-S", str(leash.__file__)),
        *("exec" if sys.platform == "linux" else "watch", str(os.getpid())),
        *(str(int(signal.SIGKILL)), *map(str, _owner(server, folder))),
        *(program, str(folder / "pgbouncer.ini")),
    ]
    silent = subprocess.DEVNULL
    with (
        log.open("wb") as lines,
        child(command, within_s=_MOST_S, stdin=silent, stdout=silent, stderr=lines) as process,
    ):
        _wait(process, made.port, log)
        yield made


def _owner(server: EmbeddedPostgres, folder: Path) -> tuple[int, int]:
    """PgBouncer does not run as root: then as whoever may enter the folder of the socket."""
    if os.geteuid() != 0:
        return -1, -1
    owner = server.socket_dir.stat()
    for path in (folder, *folder.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    return owner.st_uid, owner.st_gid


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it listens. No database is asked for: it would keep a connection to it."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
