"""A supervisor as a process of its own, with both real servers, ended in every way."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager

import psutil
import pytest

from lockstep.embedded.runstate import STATE_NAME, running_pid
from tests.support.children import IN_BACKGROUND, child

COMMAND = [sys.executable, "-m", "tests.embedded.supervised"]


def start(home, *before: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return child([*before, *COMMAND, str(home)], stdout=subprocess.PIPE, text=True)


def wait_up(process: subprocess.Popen[str]) -> list[str]:
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == "all up":
            return lines
    raise AssertionError(lines)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    names = set()
    for each in found:
        with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL's own come and go
            names.add(each.name())
    assert {"postgres", "temporal"} <= names
    return found


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends in this moment
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def test_sigterm_ends_every_child_within_its_grace(home):
    """Even the child that ignores it; and the folder is left clean."""
    with start(home) as process:
        lines = wait_up(process)
        children = family(process)
        began = time.monotonic()
        process.terminate()
        rest = process.stdout.read()

        assert process.wait(timeout=60) == 0
    assert time.monotonic() - began < 30
    assert alive(children) == []
    assert not (home / STATE_NAME).exists()
    assert any(line.startswith("postgres ready in ") for line in lines)
    assert "deaf did not stop and was killed" in rest
    assert rest.endswith("all down\n")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the leash watches; see test_leash")
def test_a_killed_supervisor_leaves_no_child_and_the_next_one_recovers(home):
    """After kill -9 the kernel ends the children, and a new start needs no help."""
    with start(home) as process:
        wait_up(process)
        children = family(process)
        process.kill()
        process.wait(timeout=60)
        psutil.wait_procs(children, timeout=60)
    assert alive(children) == []
    assert (home / STATE_NAME).exists()
    assert running_pid(home) is None

    with start(home) as process:
        lines = wait_up(process)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()

    assert "ended without stopping; recovering" in lines[0]


@pytest.mark.parametrize("before", [[], IN_BACKGROUND], ids=["in front", "in the background"])
def test_a_second_start_is_refused_and_ctrl_c_ends_the_first(home, before):
    """The second says who runs there, and touches nothing; SIGINT reaches the first alone."""
    with start(home, *before) as first:
        wait_up(first)
        children = psutil.Process(first.pid).children()
        second = subprocess.run(
            [*COMMAND, str(home)], check=False, capture_output=True, text=True, timeout=120
        )

        assert second.returncode == 1
        assert f"already running in {home} (process {first.pid})" in second.stderr
        assert alive(children) == children
        assert running_pid(home) == first.pid
        sessions = {os.getsid(child.pid) for child in children}
        first.send_signal(signal.SIGINT)
        first.stdout.read()

        assert first.wait(timeout=60) == 0
    # Ctrl-C goes to a terminal's whole session; ours has no child in it, so we order the ends.
    assert len(sessions) == 3
    assert os.getsid(0) not in sessions
