"""Run one command so that it never outlives the process that started it.

    python -I -S leash.py MODE PARENT_PID ABORT_SIGNAL UID GID COMMAND [ARGUMENT...]

It is a program of its own, and imports nothing but a few standard modules, for three reasons:
code that runs between fork and exec of a threaded parent (`preexec_fn`) can deadlock; the
kernel forgets the parent-death signal when a process changes its user, so it has to be asked for
after that change; and it must start in about 20 ms.

`exec` (Linux): ask the kernel to send ABORT_SIGNAL when the parent dies, then become the command.
The command keeps this process's pid.

`watch` (macOS and others, which have no such request): stay in between, pass signals on, notice
within half a second that the parent is gone, and end the command. Only a kill -9 of this
process itself can leave the command behind there.

UID and GID of -1 mean: keep the user. Exit status 127 means that the command could not be run.
"""

import ctypes  # here, because the user we change to may not be able to read Python's files
import os
import select
import signal
import sys
from types import FrameType

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.5
_ABORT_S = 5.0
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
_NOT_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM)


def _change_user(uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)


def _die_with_parent(parent: int, abort_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, abort_signal, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _reap(child: int, timeout_s: float, wakeup: int) -> int | None:
    """Wait for the child's exit; its wait status, or None at the time-out."""
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        ready, _, _ = select.select([wakeup], [], [], timeout_s)
        if ready:
            os.read(wakeup, 512)
        pid, status = os.waitpid(child, os.WNOHANG)
    return status if pid else None


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _watch(parent: int, abort_signal: int, command: list[str]) -> None:
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    child = 0

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child:
            os.kill(child, number)

    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # wakes `select`
    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    child = os.posix_spawnp(command[0], command, os.environ, setsigdef=_PASSED_ON)
    while True:
        status = _reap(child, _POLL_S, wakeup)
        if status is not None:
            _end_like(status)
        if os.getppid() != parent:
            os.kill(child, abort_signal)
            if _reap(child, _ABORT_S, wakeup) is None:
                os.kill(child, signal.SIGKILL)
            os._exit(1)


def main(arguments: list[str]) -> None:
    """Run `arguments` as described at the top of this file; does not return."""
    mode = arguments[0]
    parent, abort_signal, uid, gid = (int(value) for value in arguments[1:5])
    command = arguments[5:]
    # What is ignored or blocked here would stay so in the command: Python ignores two of them, and
    # whoever was started in the background of a script has inherited the others.
    for number in _NOT_IGNORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        _change_user(uid, gid)
        if mode == "watch":
            _watch(parent, abort_signal, command)
        _die_with_parent(parent, abort_signal)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error}\n")
        sys.stderr.flush()
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
