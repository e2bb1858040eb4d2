"""TCP ports on the loopback address."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from lockstep.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
_LOOK_S = 0.1
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def free_port() -> int:
    """A TCP port that is free on 127.0.0.1 right now.

    The kernel chooses it from its ephemeral range. Another process may take it before it is
    used, so servers still call `require_free_port` at each start.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def port_or_free(port: int) -> int:
    """`port` itself, or a free one where it is 0."""
    return port or free_port()


def require_free_port(
    port: int, *, setting: str, host: str = LOOPBACK, chooses: bool = True, bind: str = ""
) -> None:
    """Check that a server may bind `port`.

    Args:
        port: TCP port, 1-65535.
        setting: the settings key that an operator can change, named in the error.
        host: the address that the server will bind.
        chooses: whether the setting takes 0 for a free port.
        bind: the settings key of ``host``, where an operator can change that.

    Raises:
        EmbeddedError: another process listens on it, or the system refuses it.
    """
    hint = " (0 chooses one)" if chooses else ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without this a port is "in use" for a minute after a killed server's last connections.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EmbeddedError(
                    f"Port {port} on {host} is already in use by another program. "
                    f"Stop that program, or set `{setting}` to a free port{hint}."
                ) from error
            if bind and _is_of_address(error):
                raise EmbeddedError(
                    f"The address {host} cannot be bound here: {error.strerror}. "
                    f"Set `{bind}` to an address of this machine."
                ) from error
            raise EmbeddedError(
                f"Port {port} on {host} cannot be used: {error.strerror}. "
                f"Set `{setting}` to another port{hint}."
            ) from error


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that a child will bind; arguments as of `require_free_port`."""

    port: int
    setting: str
    host: str = LOOPBACK
    chooses: bool = False
    bind: str = ""

    def require_free(self) -> None:
        """Raise EmbeddedError unless it may be bound now."""
        require_free_port(
            self.port,
            setting=self.setting,
            host=self.host,
            chooses=self.chooses,
            bind=self.bind,
        )


def require_free_ports(wanted: Sequence[WantedPort], *, patience_s: float = 0.0) -> None:
    """Check all of them before anything is started, so that a person corrects all at once.

    Args:
        wanted: every port that will be needed.
        patience_s: how long what a killed run left behind may take to end.

    Raises:
        EmbeddedError: names every port that cannot be had, each on a line.
    """
    shared = _shared(wanted)
    deadline = time.monotonic() + patience_s
    while True:
        problems = [*shared, *_taken(wanted)]
        if not problems:
            return
        if shared or time.monotonic() >= deadline:
            raise EmbeddedError("\n".join(problems))
        time.sleep(_LOOK_S)


def _shared(wanted: Sequence[WantedPort]) -> list[str]:
    """Ports that two settings name: whoever came second would find it taken."""
    return [
        f"Port {one.port} is named by `{one.setting}` and `{other.setting}`: give each its own."
        for one, other in combinations(wanted, 2)
        if one.port == other.port != 0
        and (one.host == other.host or {one.host, other.host} & _EVERYWHERE)
    ]


def _taken(wanted: Sequence[WantedPort]) -> list[str]:
    problems = []
    for one in wanted:
        try:
            one.require_free()
        except EmbeddedError as error:
            problems.append(str(error))
    return problems


def _is_of_address(error: OSError) -> bool:
    """No other port would help: it is the address that this machine does not have."""
    return isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL


def require_own_listener(port: int, leader: int) -> None:
    """Check that whoever listens on `port` belongs to the session that process `leader` leads.

    That something answers there proves nothing: it may be another program's server. Where the
    system has no /proc, nothing can be checked and nothing is raised.

    Raises:
        EmbeddedError: nobody listens, or somebody else does.
    """
    if not Path("/proc/net/tcp").exists():
        return
    sockets = set(_listening(port))
    if not sockets:
        raise EmbeddedError(f"nobody listens on port {port}")
    if not any(sockets & set(_sockets_of(pid)) for pid in _session(leader)):
        raise EmbeddedError(
            f"port {port} is another program's: what answers there is not ours. "
            "Stop that program, or choose another port in the settings"
        )


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port, by any address."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                cells = line.split()
                if cells[3] == _LISTEN and int(cells[1].rpartition(":")[2], 16) == port:
                    yield cells[9]


def _session(leader: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(folder.name)) == leader:
                    yield int(folder.name)


def _sockets_of(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(link.readlink())
                if target.startswith("socket:["):
                    yield target[len("socket:[") : -1]
