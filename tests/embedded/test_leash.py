"""The leash in both of its modes; `watch` is what macOS uses, and works on Linux too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lockstep.embedded import leash

LEASH = [sys.executable, "-I", "-S", str(Path(leash.__file__))]
NEVER_ENDS = "import time\nprint('up', flush=True)\ntime.sleep(300)"
modes = pytest.mark.parametrize("mode", ["exec", "watch"] if sys.platform == "linux" else ["watch"])


def leashed(mode: str, code: str, *, abort: signal.Signals = signal.SIGKILL) -> list[str]:
    return [*LEASH, mode, str(os.getpid()), str(int(abort)), "-1", "-1", sys.executable, "-c", code]


@modes
def test_the_exit_code_is_the_commands(mode):
    """A supervisor reads the real exit code."""
    assert subprocess.run(leashed(mode, "raise SystemExit(7)"), check=False).returncode == 7


@modes
def test_a_signal_that_ends_the_command_is_reported_as_one(mode):
    """Death by signal stays death by signal."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    assert subprocess.run(leashed(mode, code), check=False).returncode == -signal.SIGKILL


@modes
def test_a_stop_signal_reaches_the_command(mode):
    """SIGTERM gets through, and the command decides how to end."""
    code = (
        "import signal, time\n"
        "def stop(*_): raise SystemExit(3)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "time.sleep(300)"
    )
    with subprocess.Popen(leashed(mode, code), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.terminate()

        assert process.wait(timeout=60) == 3


@modes
def test_sigpipe_is_not_ignored_in_the_command(mode):
    """The command starts with the signals that a shell would give it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to see which signals are ignored")
    command = [*leashed(mode, "")[:-3], "sh", "-c", "grep SigIgn /proc/$$/status"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert int(out.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


@modes
def test_a_command_that_does_not_exist_is_exit_code_127(mode):
    """The log says what could not be run."""
    command = [*leashed(mode, "")[:-3], "/nonexistent/program"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 127
    assert "cannot run /nonexistent/program" in done.stderr


@modes
def test_the_command_dies_with_a_killed_parent(mode):
    """A kill -9 of the parent leaves nothing behind."""
    parent_code = (
        "import os, subprocess, sys, time\n"
        f"command = {leashed(mode, NEVER_ENDS)!r}\n"
        f"command[{len(LEASH) + 1}] = str(os.getpid())\n"
        "subprocess.Popen(command)\n"
        "time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        parent.wait()

        assert family
        gone, left = psutil.wait_procs(family, timeout=60)
    assert left == []
    assert gone


@modes
def test_a_parent_that_is_gone_already_means_not_to_start(mode):
    """The parent may die between its fork and our first instruction."""
    command = leashed(mode, "import time; time.sleep(300)")
    command[len(LEASH) + 1] = "1"  # our parent is this test, not pid 1

    assert subprocess.run(command, check=False, timeout=60).returncode == 1
