"""A command line that is loaded once, and forks for each command that is run.

To start Python and load everything behind `lockstep` takes two processor seconds, and tests run
hundreds of commands. Each still is a process of its own, with the caller's arguments, folder,
environment and streams, and with the exit that the installed command has; only loading is shared.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from lockstep.cli.commands import COMMANDS, loaded
from lockstep.cli.main import main
from lockstep.embedded import leash
from tests.support.children import child
from tests.support.homes import server_home

CALL = Path(__file__).with_name("ready_call.py")
_STARTS_S = 120.0
_BOUND_S = 3_600.0


@contextlib.contextmanager
def ready(door: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The beginning of every command line that is answered through the socket ``door``.

    What is read from the environment while loading is read from ``environment``.
    """
    loading = [sys.executable, "-m", __name__, str(door)]
    with child(
        loading, within_s=_BOUND_S, env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    ) as server:  # fmt: skip
        assert server.stdout.readline() == b"ready\n"
        yield (sys.executable, "-I", "-S", str(CALL), str(door))


@cache
def loaded_once() -> tuple[str, ...]:
    """The command line that is loaded once for all tests of this process."""
    until_the_end = contextlib.ExitStack()
    atexit.register(until_the_end.close)
    folder = until_the_end.enter_context(server_home())
    plain = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return until_the_end.enter_context(ready(folder / "ready", plain))


def serve(path: str) -> None:
    """Load every command, then answer until somebody ends this process."""
    for name in COMMANDS:
        loaded(name)
    gc.freeze()  # what is loaded stays shared by all forks
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(caller)
        caller.close()


def _answer(caller: socket.socket) -> None:
    head, streams, *_ = socket.recv_fds(caller, 4, 3)
    size, raw = int.from_bytes(head, "big"), b""
    while len(raw) < size:
        raw += caller.recv(size - len(raw))
    wish, me = json.loads(raw), os.getpid()
    command = os.fork()
    if command == 0:
        caller.close()
        _become(wish, streams, me)
        main()
        os._exit(0)
    for stream in streams:  # the reader of a pipe waits until nobody can write any more
        os.close(stream)
    _, status = os.waitpid(command, 0)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):  # whoever asked has gone
        caller.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _become(wish: dict[str, object], streams: list[int], parent: int) -> None:
    """Stand where the caller stands."""
    if sys.platform == "linux":
        leash._die_with_parent(parent, signal.SIGKILL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(wish["folder"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    sys.argv = ["lockstep", *wish["argv"]]


if __name__ == "__main__":
    serve(sys.argv[1])
