"""The leash in both of its modes; `watch` is what macOS uses, and works on Linux too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lockstep.embedded import leash
from tests.support.children import IN_BACKGROUND, child

LEASH = [sys.executable, "-I", "-S", str(Path(leash.__file__))]
NEVER_ENDS = "import time\nprint('up', flush=True)\ntime.sleep(300)"
modes = pytest.mark.parametrize("mode", ["exec", "watch"] if sys.platform == "linux" else ["watch"])


def leashed(mode: str, code: str, *, abort: signal.Signals = signal.SIGKILL) -> list[str]:
    return [*LEASH, mode, str(os.getpid()), str(int(abort)), "-1", "-1", sys.executable, "-c", code]


@modes
def test_the_exit_code_is_the_commands(mode):
    """A supervisor reads the real exit code."""
    done = subprocess.run(leashed(mode, "raise SystemExit(7)"), check=False, timeout=120)

    assert done.returncode == 7


@modes
def test_a_signal_that_ends_the_command_is_reported_as_one(mode):
    """Death by signal stays death by signal."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    done = subprocess.run(leashed(mode, code), check=False, timeout=120)

    assert done.returncode == -signal.SIGKILL


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
    with child(leashed(mode, code), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.terminate()

        assert process.wait(timeout=60) == 3


@modes
def test_no_stop_signal_is_ignored_or_blocked_in_the_command(mode):
    """The command starts with the signals that a shell would give it, whatever we inherited."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to see which signals are ignored")
    show = [*leashed(mode, "")[:-3], "grep", "-E", "SigIgn|SigBlk", "/proc/self/status"]
    out = subprocess.run(
        [*IN_BACKGROUND, *show], check=True, capture_output=True, text=True, timeout=60
    )
    masks = [int(line.split()[1], 16) for line in out.stdout.splitlines()]

    assert len(masks) == 2
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
        assert [mask & (1 << (number - 1)) for mask in masks] == [0, 0], number


@modes
def test_a_command_that_does_not_exist_is_exit_code_127(mode):
    """The log says what could not be run."""
    command = [*leashed(mode, "")[:-3], "/nonexistent/program"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

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
    with child([sys.executable, "-c", parent_code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"up\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        parent.wait(timeout=60)

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
