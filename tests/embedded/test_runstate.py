import os
import sys

import pytest

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.runstate import (
    LOCK_NAME,
    STATE_NAME,
    ChildState,
    HomeLock,
    RunState,
    read_run_state,
    running_pid,
    write_run_state,
)
from tests.support.children import child


def test_what_is_written_is_read_back(home):
    """`run.json` loses nothing."""
    state = RunState(
        7,
        "2026-01-01T00:00:00+00:00",
        (ChildState("a", 8, ready=True, restarts=1, ports={"grpc": 1}),),
    )
    write_run_state(home, state)

    assert read_run_state(home) == state
    assert state.child("a").pid == 8
    with pytest.raises(KeyError):
        state.child("b")


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "[]", '{"children": [{}]}'])
def test_no_file_and_half_a_file_are_no_state(home, text):
    """Nothing rests on it, and the next start writes it anew: nobody has to delete it."""
    assert read_run_state(home) is None
    (home / STATE_NAME).write_text(text)

    assert read_run_state(home) is None


def test_a_second_holder_is_refused_and_told_who_has_it(home):
    """One supervisor per folder."""
    first, second = HomeLock(home), HomeLock(home)
    assert first.acquire() is None
    assert running_pid(home) == os.getpid()

    with pytest.raises(
        EmbeddedError, match=rf"already running in {home} \(process {os.getpid()}\)"
    ):
        second.acquire()

    first.release()
    assert running_pid(home) is None
    assert second.acquire() is None
    second.release()


def test_a_lock_left_by_a_killed_process_is_taken_over(home):
    """The kernel frees the lock; the pid inside tells that nobody cleaned up."""
    code = (
        "import os, pathlib, signal, sys; from lockstep.embedded.runstate import HomeLock\n"
        "HomeLock(pathlib.Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with child([sys.executable, "-c", code, str(home)]) as holder:
        holder.wait(timeout=60)
    lock = HomeLock(home)

    assert lock.acquire() == holder.pid
    lock.release()


def test_a_folder_that_cannot_be_made_is_explained(home):
    """A path through a file is an error for the operator, not a traceback."""
    (home / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot be used"):
        HomeLock(home / "file" / "home").acquire()


def test_nobody_runs_where_nobody_ever_ran(home):
    """Asking makes no lock file."""
    assert running_pid(home) is None
    assert not (home / LOCK_NAME).exists()
