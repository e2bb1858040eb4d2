"""Network namespaces of a test's own, and tunnels between them: ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.children import child
from tests.support.debian_packages import executable

_WAIT_S = 10


class Namespace:
    """One; what runs in it ends with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._children: dict[int, ExitStack] = {}

    def start(
        self, *argv: str, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A program in it."""
        stack = ExitStack()
        out = stack.enter_context(log.open("ab"))
        command = ("ip", "netns", "exec", self.name, *argv)
        both = {**os.environ, **(env or {})}
        started = child(command, stdout=out, stderr=subprocess.STDOUT, env=both)
        process = stack.enter_context(started)
        self._children[process.pid] = stack
        return process

    def pings(self, address: str) -> bool:
        """Whether a packet comes back within a second: the oracle of a tunnel."""
        argv = ("ping", "-c", "1", "-W", "1", address)
        run = ["ip", "netns", "exec", self.name, *argv]
        done = subprocess.run(run, check=False, capture_output=True, timeout=_WAIT_S)
        return done.returncode == 0

    def ip(self, *argv: str) -> None:
        """Set something up in it."""
        _ip("-n", self.name, *argv)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End one program."""
        if stack := self._children.pop(process.pid, None):
            stack.close()

    def close(self) -> None:
        while self._children:
            self._children.popitem()[1].close()


@contextmanager
def star(purpose: str, arms: Sequence[str]) -> Iterator[tuple[Namespace, dict[str, Namespace]]]:
    """A namespace in the middle, and one for each arm: its n-th arm reaches it at 10.91.n.1.

    Where there is no root or no tunnel device the test is skipped; in continuous integration a
    skipped test fails (tests/conftest.py).
    """
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("namespaces and tunnels need root and /dev/net/tun")
    executable("iproute2", ["ip"])
    executable("iputils-ping", ["ping"])
    stem = f"lk{os.getpid()}{purpose}"
    with ExitStack() as stack:
        middle = stack.enter_context(_namespace(stem))
        found = {arm: stack.enter_context(_namespace(f"{stem}-{arm}")) for arm in arms}
        for number, space in enumerate(found.values(), start=1):
            near, far = f"m{number}", f"a{number}"
            _ip("link", "add", near, "netns", middle.name, "type", "veth", "peer", "name", far,
                "netns", space.name)  # fmt: skip
            for where, device, host in ((middle, near, 1), (space, far, 2)):
                _ip("-n", where.name, "addr", "add", f"10.91.{number}.{host}/24", "dev", device)
                _ip("-n", where.name, "link", "set", device, "up")
        yield middle, found


@contextmanager
def _namespace(name: str) -> Iterator[Namespace]:
    _ip("netns", "add", name)
    space = Namespace(name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield space
    finally:
        space.close()
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", name)


def _ip(*argv: str) -> None:
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"
    subprocess.run([program, *argv], check=True, capture_output=True, timeout=_WAIT_S)
