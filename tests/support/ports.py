"""Ports for the servers of tests, which nobody else is given meanwhile."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _LAST = 20_000, 32_000
"""Below what the kernel gives by itself, to outgoing connections for instance."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Each worker, and each test run on this machine, begins elsewhere.
_ahead = itertools.count(os.getppid() * 97 + _WORKER * 3_001)


def free_port() -> int:
    """A TCP port of 127.0.0.1 where nobody listens; never the same one again in this process.

    A server may bind it much later: between asking the kernel for any port and binding that one,
    the kernel gives it to others.
    """
    for _ in range(_FIRST, _LAST):
        port = _FIRST + next(_ahead) % (_LAST - _FIRST)
        with socket.socket() as probe:
            # A port of a server that has just ended is free; a listening one never is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen(1)
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
