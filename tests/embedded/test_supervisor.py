"""The supervisor with small children of our own."""

import asyncio
import os
import signal
import socket
import sys
import time

import psutil
import pytest

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import free_port
from lockstep.embedded.runstate import STATE_NAME, read_run_state
from lockstep.embedded.supervisor import Backoff, Event, EventKind
from tests.embedded.conftest import eventually


async def test_children_start_in_order_and_stop_in_reverse(make_supervisor, python_child, recorder):
    """A child may rely on those before it, from its start to its end."""
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("first"))
        await supervisor.start(python_child("second"))

    assert [(e.kind.value, e.child) for e in recorder.events] == [
        ("starting", "first"),
        ("ready", "first"),
        ("starting", "second"),
        ("ready", "second"),
        ("stopping", "second"),
        ("stopped", "second"),
        ("stopping", "first"),
        ("stopped", "first"),
    ]


async def test_run_json_tells_pids_and_ports_while_running(make_supervisor, python_child, home):
    """Other programs find the children, and find nothing after the end."""
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("one", ports={"http": 8080}))
        state = read_run_state(home)

        assert state.supervisor_pid == os.getpid()
        assert state.child("one").ready
        assert state.child("one").ports == {"http": 8080}
        assert psutil.Process(state.child("one").pid).is_running()
    assert not (home / STATE_NAME).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a port is")
async def test_a_port_of_another_program_is_not_ready(make_supervisor, python_child, recorder):
    """A child whose port is answered by somebody else never counts as ready."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        async with make_supervisor() as supervisor:
            with pytest.raises(EmbeddedError, match="another program's"):
                await supervisor.start(python_child("one", owns=(port,)))
    assert not recorder.of(EventKind.READY)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a port is")
async def test_a_child_that_listens_itself_is_ready(make_supervisor, python_child):
    """Also where a process of its own that it started does."""
    port = free_port()
    code = (
        "import socket, os; s = socket.socket(); s.setsockopt(1, 2, 1);"
        f" s.bind(('127.0.0.1', {port})); s.listen(); flag.touch()"
    )
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("one", code, owns=(port,)))


async def test_a_child_that_dies_is_started_again(make_supervisor, python_child, home, recorder):
    """A kill -9 is followed by a new process, and `run.json` follows."""
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("one"))
        killed = read_run_state(home).child("one").pid
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: len(recorder.of(EventKind.READY)) == 2)
        state = read_run_state(home).child("one")

    assert state.pid not in {None, killed}
    assert state.restarts == 1
    assert recorder.of(EventKind.DIED)[0].detail == "signal SIGKILL"


async def test_restarts_go_on_after_one_failed(make_supervisor, python_child, home, recorder):
    """Only a child that never became ready is given up."""
    broken = home / "broken"
    code = f"sys.exit(5) if pathlib.Path({str(broken)!r}).exists() else flag.touch()"
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("one", code))
        broken.touch()
        os.kill(read_run_state(home).child("one").pid, signal.SIGKILL)
        await eventually(lambda: len(recorder.of(EventKind.START_FAILED)) >= 5)
        broken.unlink()
        await eventually(lambda: len(recorder.of(EventKind.READY)) == 2)

    assert not supervisor._failure


def test_the_wait_between_restarts_doubles_up_to_its_bound():
    """0.2 s, doubling, at most 10 s."""
    delays = Backoff().delays()

    assert [next(delays) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


async def test_a_child_that_ends_before_it_is_ready_is_given_up(
    make_supervisor, python_child, recorder
):
    """Three tries, then an error with the end of the log."""
    async with make_supervisor() as supervisor:
        with pytest.raises(EmbeddedError, match=r"(?s)one ended with exit code 4.*no such licence"):
            await supervisor.start(python_child("one", "print('no such licence'); sys.exit(4)"))

    assert len(recorder.of(EventKind.START_FAILED)) == 2


async def test_a_child_that_is_never_ready_is_given_up(make_supervisor, python_child):
    """The time-out is an error with the end of the log, and the process is ended."""
    began = time.monotonic()
    await (await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", "")).wait()
    enough = max(0.5, 20 * (time.monotonic() - began))  # to start and say something
    spec = python_child("one", "print('waiting for rain', flush=True)", ready_timeout_s=enough)
    async with make_supervisor() as supervisor:
        with pytest.raises(EmbeddedError, match=r"(?s)one was not ready .*waiting for rain"):
            await supervisor.start(spec)
        assert supervisor._children[0].pid is None


async def test_a_failing_ready_check_is_explained(make_supervisor, python_child):
    """The check's own words are in the error."""

    async def ready() -> None:
        raise EmbeddedError("the moon is full")

    async with make_supervisor() as supervisor:
        with pytest.raises(EmbeddedError, match="one failed its ready check: the moon is full"):
            await supervisor.start(python_child("one", ready=ready, ready_timeout_s=0.2))


async def test_a_child_that_cannot_be_prepared_is_given_up(make_supervisor, python_child):
    """Trouble of the operating system becomes an error for people."""

    def prepare() -> None:
        raise PermissionError(13, "Permission denied", "/nowhere")

    async with make_supervisor() as supervisor:
        with pytest.raises(EmbeddedError, match=r"could not be prepared: .*'/nowhere'"):
            await supervisor.start(python_child("one", prepare=prepare))


async def test_a_child_that_ignores_the_stop_is_killed(make_supervisor, python_child, recorder):
    """After its grace nothing is left of it."""
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); flag.touch()"
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("deaf", code, stop_grace_s=0.1))
        pid = supervisor._children[0].pid

    assert [event.child for event in recorder.of(EventKind.KILLED)] == ["deaf"]
    assert not psutil.pid_exists(pid)


async def test_a_second_request_cuts_the_grace_short(make_supervisor, python_child, recorder):
    """An impatient operator does not wait for a minute."""
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); flag.touch()"
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("deaf", code, stop_grace_s=60))
        supervisor.request_stop()
        supervisor.request_stop()

    assert recorder.of(EventKind.KILLED)[0].seconds < 30


async def test_a_stop_during_a_start_ends_it(make_supervisor, python_child):
    """Ctrl-C does not wait until a child is ready."""
    async with make_supervisor() as supervisor:
        asyncio.get_running_loop().call_later(0.1, supervisor.request_stop)
        with pytest.raises(EmbeddedError, match="Stopped while one was starting"):
            await supervisor.start(python_child("one", "pass"))
        assert supervisor.stop_requested


UNTIL_TOLD = "flag.touch()\nwhile not flag.with_suffix('.told').exists(): time.sleep(0.01)\n"
"""Ends only after its start has been noticed."""


async def test_a_child_without_restart_that_fails_ends_the_wait(
    make_supervisor, python_child, home
):
    """The caller learns why."""
    code = UNTIL_TOLD + "print('out of paper'); sys.exit(9)"
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("job", code, restart=False))
        (home / "job.told").touch()
        with pytest.raises(EmbeddedError, match=r"(?s)job ended with exit code 9.*out of paper"):
            await supervisor.wait()


async def test_a_child_without_restart_may_finish(make_supervisor, python_child, recorder, home):
    """Exit code 0 is no failure."""
    code = UNTIL_TOLD + "sys.exit(0)"
    async with make_supervisor() as supervisor:
        await supervisor.start(python_child("job", code, restart=False))
        (home / "job.told").touch()
        await eventually(lambda: bool(recorder.of(EventKind.EXITED)))

        assert not supervisor.stop_requested


async def test_a_second_supervisor_in_the_folder_is_refused(make_supervisor):
    """Two would fight over the same data."""
    async with make_supervisor():
        with pytest.raises(EmbeddedError, match="already running"):
            await make_supervisor().__aenter__()


async def test_output_without_end_neither_blocks_nor_fills_the_disk(
    make_supervisor, python_child, home
):
    """A talkative child keeps talking, and its logs stay near their bound."""
    code = (
        "flag.touch()\n"
        "for number in range(20000): print('x' * 100, flush=True)\n"
        "pathlib.Path(str(flag) + '.done').touch()"
    )
    async with make_supervisor(max_log_bytes=100_000) as supervisor:
        await supervisor.start(python_child("loud", code))
        await eventually((home / "loud.ready.done").exists)
        await eventually(lambda: (home / "loud.log").stat().st_size < 100_000)

        assert (home / "loud.log.1").exists()


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_event_reads_as_a_line(kind):
    """No kind is without words."""
    line = str(Event(kind, "postgres", seconds=0.61, detail="exit code 1"))

    assert "postgres" in line or "exit code 1" in line
