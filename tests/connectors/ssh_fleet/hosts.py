"""Real hosts: an sshd in a mount and process namespace, with an /etc and users of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support import debian_packages
from tests.support.children import child
from tests.support.ports import free_port

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "connect" / "ssh_fleet.md"
PROGRAM: Final = ROOT / "deploy" / "ssh-fleet" / "lockstep-access"
_START_S: Final = 30.0
_MOST_S: Final = 600.0
_PROGRAMS: Final = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


def found(name: str) -> str:
    """The path of a program, installed where root may."""
    if os.geteuid() != 0:
        pytest.skip("users of its own need root, in a namespace that is thrown away")
    return debian_packages.executable(_PROGRAMS[name], [name])


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one test run: made by OpenSSH itself."""

    folder: Path

    def of(self, name: str) -> Path:
        """The private key of somebody; beside it lies ``.pub``."""
        path = self.folder / name
        if not path.exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
        return path

    def line(self, name: str) -> str:
        return self.of(name).with_suffix(".pub").read_text("utf-8").strip()

    def fingerprint(self, name: str) -> str:
        told = _run("ssh-keygen", "-lf", f"{self.of(name)}.pub")
        return told.split()[1]

    def certificate(self, name: str, *, key_id: str, principal: str) -> None:
        """Signed by the authority ``ca``; ssh finds it beside the key."""
        _run(
            *("ssh-keygen", "-q", "-s", str(self.of("ca")), "-I", key_id),
            *("-n", principal, f"{self.of(name)}.pub"),
        )


class RealHost:
    """One host, while it runs."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder = folder
        self.keys = keys
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        self._pid = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Started, and ended with the block and all that runs in it."""
        found("sudo")
        self.folder.mkdir(mode=0o755)
        page = PAGE.read_text("utf-8")
        (self.folder / "sudoers").write_text(_block(page, "sudoers"))
        (self.folder / "restrict").write_text(_block(page, "text"))
        log = self.folder / "log.txt"
        argv = [
            *(found("unshare"), "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
            *("sh", str(Path(__file__).with_name("host.sh")), str(self.folder), str(self.port)),
            *(str(PROGRAM), f"{self.keys.of('ours')}.pub", f"{self.keys.of('ca')}.pub"),
        ]
        found("sshd")
        with (
            log.open("wb") as lines,
            child(
                argv, within_s=_MOST_S, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines
            ) as process,
        ):
            ends = time.monotonic() + _START_S
            while "Server listening" not in log.read_text("utf-8"):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < ends, log.read_text("utf-8")
                time.sleep(0.02)
            inner = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("utf-8")
            self._pid = int(inner.split()[0])
            yield

    @property
    def known(self) -> str:
        """Its line of a known_hosts file."""
        key = (self.folder / "host.pub").read_text("utf-8").split()
        return f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n"

    def within(self, script: str, *, asked: str = "") -> str:
        """The peer's own truth: root's shell on the host."""
        argv = [found("nsenter"), "-t", str(self._pid), "-m", "-p", "sh", "-eu", "-c", script]
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=_START_S, input=asked
        ).stdout

    def create(self, name: str, gecos: str, *keys: str) -> None:
        """An account with a home and keys."""
        home = f"/home/{name}"
        lines = "\n".join(keys)
        self.within(
            f"useradd -m -c '{gecos}' {name}; usermod -p '*' {name}; mkdir -m 700 {home}/.ssh;"
            f" cat >{home}/.ssh/authorized_keys; chown -R {name}: {home}/.ssh",
            asked=f"{lines}\n",
        )

    def ssh(self, name: str, key: str, *command: str) -> list[str]:
        """The command with which somebody logs in."""
        return [
            *(found("ssh"), "-F", "none", "-i", str(self.keys.of(key)), "-p", str(self.port)),
            *("-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *(f"{name}@127.0.0.1", *command),
        ]

    def gets_in(self, name: str, key: str) -> bool:
        """Whether somebody can log in with a key."""
        done = subprocess.run(
            self.ssh(name, key, "echo in"),
            check=False,
            capture_output=True,
            timeout=_START_S,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout == b"in\n"

    @contextlib.contextmanager
    def session(self, name: str, key: str) -> Iterator[subprocess.Popen[bytes]]:
        """An open session that says so, and lasts."""
        argv = self.ssh(name, key, "echo in; exec sleep 300")
        pipe = subprocess.PIPE
        with child(argv, within_s=_MOST_S, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in\n"
            yield process


def _block(page: str, language: str) -> str:
    """A block of the page: what the page says is what the tests' hosts have."""
    [text] = re.findall(rf"^ *```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def _run(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_START_S)
    return done.stdout
