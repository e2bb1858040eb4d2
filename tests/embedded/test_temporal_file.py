"""The development server's file: whole, and closed to others."""

import asyncio
import os
import random
import signal
import sqlite3
from pathlib import Path

import pytest
from temporalio.client import Client

from lockstep.embedded.runstate import read_run_state
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.embedded.temporal_file import TemporalFile
from tests.embedded.conftest import eventually


def dev_server(home: Path, **options) -> TemporalDevServer:
    file = home / "temporal" / "temporal.db"
    return TemporalDevServer(
        file, 0, namespace="lockstep", log_file=home / "temporal.log", **options
    )


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def serves(make_supervisor, server: TemporalDevServer) -> None:
    async with make_supervisor() as supervisor:
        await supervisor.start(server.child_spec())
        client = await Client.connect(server.address, namespace="lockstep")
        await client.count_workflows()


async def test_file_and_folder_are_for_its_user_alone(make_supervisor, home):
    """Others of the machine can neither read the workflows' times and ids, nor change them."""
    before = os.umask(0)
    try:
        async with make_supervisor() as supervisor:
            await supervisor.start(dev_server(home).child_spec())
            found = {part.name: rights(part) for part in (home / "temporal").iterdir()}
    finally:
        os.umask(before)

    assert rights(home / "temporal") == 0o700
    assert found["temporal.db"] == 0o600
    assert set(found.values()) == {0o600}, found


async def test_a_file_of_an_earlier_release_is_moved_and_closed(make_supervisor, home):
    """What stood there goes on; a move that was cut short is carried to its end."""
    earlier = home / "temporal.db"
    old = TemporalDevServer(earlier, 0, namespace="lockstep", log_file=home / "old.log")
    async with make_supervisor() as supervisor:
        await supervisor.start(old.child_spec())
        client = await Client.connect(old.address, namespace="lockstep")
        await client.start_workflow("Waiting", id="kept", task_queue="none")
        os.kill(read_run_state(home).child("temporal").pid, signal.SIGSTOP)
        parts = [part.read_bytes() for part in (earlier, earlier.with_name("temporal.db-wal"))]
        os.kill(read_run_state(home).child("temporal").pid, signal.SIGCONT)
    earlier.write_bytes(parts[0])
    earlier.chmod(0o644)
    (home / "temporal").mkdir()
    (home / "temporal" / "temporal.db-wal").write_bytes(parts[1])  # the half that was moved

    server = dev_server(home, earlier_file=earlier)
    async with make_supervisor() as supervisor:
        await supervisor.start(server.child_spec())
        client = await Client.connect(server.address, namespace="lockstep")
        await client.get_workflow_handle("kept").describe()

    assert not earlier.exists()
    assert rights(home / "temporal" / "temporal.db") == 0o600


def test_a_folder_that_holds_other_things_is_not_closed(home):
    """PostgreSQL's own user has to pass through ours."""
    home.chmod(0o755)
    (home / "postgres").mkdir()

    TemporalFile(home / "temporal.db").prepare()

    assert rights(home) == 0o755


@pytest.mark.parametrize("text", [b"", b"SQLite format 3\0", b"\0" * 4096, os.urandom(9000)])
async def test_a_file_that_is_no_database_is_put_aside(make_supervisor, home, text):
    """The server never starts over it; nothing that counts is in it that PostgreSQL has not."""
    file = home / "temporal" / "temporal.db"
    file.parent.mkdir()
    file.write_bytes(text)

    await serves(make_supervisor, dev_server(home))

    [aside] = file.parent.glob("temporal.db.broken-*")
    assert aside.read_bytes() == text
    assert "put aside as" in (home / "temporal.log").read_text()


async def test_a_file_that_was_cut_off_is_put_aside(make_supervisor, home):
    """It opens, and says that it is damaged only where it is read."""
    await serves(make_supervisor, dev_server(home))
    file = home / "temporal" / "temporal.db"
    os.truncate(file, file.stat().st_size // 2 // 4096 * 4096)

    await serves(make_supervisor, dev_server(home))

    assert list(file.parent.glob("temporal.db.broken-*"))


async def test_a_file_whose_tables_are_half_made_is_made_anew(make_supervisor, home):
    """A kill amid the first start leaves some of them."""
    file = home / "temporal" / "temporal.db"
    TemporalFile(file).prepare()
    with sqlite3.connect(file) as half:
        half.execute("create table namespaces (id int)")

    await serves(make_supervisor, dev_server(home))

    assert not list(file.parent.glob("*.broken-*"))
    assert not list(file.parent.glob("*.unproved"))


async def test_a_first_start_may_be_killed_at_any_moment(make_supervisor, home):
    """However often, and wherever in the making of its tables, the next start serves."""
    chance = random.Random(7)
    for _ in range(6):
        server = dev_server(home)
        server.prepare()
        spare = await asyncio.create_subprocess_exec(
            *server.argv(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(chance.uniform(0.02, 0.6))
        spare.kill()
        await spare.wait()

    await serves(make_supervisor, dev_server(home))


async def test_a_proved_file_is_kept_when_its_server_is_killed(make_supervisor, home, recorder):
    """What was served goes on: only what was never relied on is made anew."""
    server = dev_server(home)
    async with make_supervisor() as supervisor:
        await supervisor.start(server.child_spec())
        client = await Client.connect(server.address, namespace="lockstep")
        await client.start_workflow("Waiting", id="kept", task_queue="none")
        os.kill(read_run_state(home).child("temporal").pid, signal.SIGKILL)
        await eventually(lambda: read_run_state(home).child("temporal").restarts == 1)
        await eventually(lambda: read_run_state(home).child("temporal").ready)
        client = await Client.connect(server.address, namespace="lockstep")
        await client.get_workflow_handle("kept").describe()
