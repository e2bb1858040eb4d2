"""Real MariaDB servers: a primary and what follows it, each with a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pymysql

from tests.support import debian_packages
from tests.support.children import child
from tests.support.ports import free_port

_PACKAGES: Final = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
}
_START_S: Final = 60.0
_MOST_S: Final = 1_500.0
ADMIN: Final = "root"
_SMALL: Final = (
    "--innodb-flush-method=fsync",  # in memory there is no O_DIRECT
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=8M",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--bind-address=127.0.0.1",
    "--log-bin=log",
    "--gtid-strict-mode=ON",
)


def program(name: str) -> str:
    """The path of one of Debian's programs."""
    return debian_packages.executable(_PACKAGES[name], [name])


class Server:
    """One server that we start, by a Unix socket and a port of the loopback."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        self.port = free_port()

    @property
    def path(self) -> str:
        return str(self.folder / "s")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def login(self, user: str, password: str, *, near: bool = False) -> pymysql.Connection[Any]:
        """Log in as somebody, by the port or the socket."""
        way: dict[str, Any] = {"unix_socket": self.path} if near else {"port": self.port}
        return pymysql.connect(
            host="localhost" if near else "127.0.0.1",
            user=user,
            password=password,
            autocommit=True,
            ssl_disabled=True,
            read_timeout=_START_S,
            **way,
        )

    def ask(self, *statements: str) -> list[tuple[Any, ...]]:
        """The peer's own truth, by its first administrator; the rows of the last statement."""
        rows: list[tuple[Any, ...]] = []
        with contextlib.closing(self.login(ADMIN, "", near=True)) as admin, admin.cursor() as one:
            for statement in statements:
                one.execute(statement)
                rows = [*one.fetchall()]
        return rows

    @contextlib.contextmanager
    def running(self, *also: str) -> Iterator[None]:
        """Started, and ended with the block."""
        log = self.folder / "log.txt"
        command = [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.path}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--server-id={self.number}",
            *_SMALL,
            *also,
        ]
        with (
            log.open("wb") as lines,
            child(
                command,
                within_s=_MOST_S,
                run_as=os_user().pw_uid if os.geteuid() == 0 else -1,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            ) as process,
        ):
            deadline = time.monotonic() + _START_S
            while not _answers(self.path):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.02)
            yield

    def copied_to(self, folder: Path, number: int) -> Server:
        """A server that begins with the same data; this one must not run."""
        folder.mkdir(mode=0o755)
        shutil.copytree(self.folder / "data", folder / "data")
        _give(folder)
        return Server(folder, number)


def made(folder: Path) -> Server:
    """A fresh server, not started: one administrator without a password, on its socket."""
    folder.mkdir(mode=0o755)
    _give(folder)
    subprocess.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
            "--skip-name-resolve",
            f"--user={os_user().pw_name}",
        ],
        check=True,
        timeout=_START_S,
        capture_output=True,
        env={"PATH": f"{os.defpath}:/usr/sbin"},
    )
    return Server(folder, 0)


def os_user() -> pwd.struct_passwd:
    """Whoever the servers run as: it is not root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, os_user().pw_uid, -1)


def _answers(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        return True
    return False
