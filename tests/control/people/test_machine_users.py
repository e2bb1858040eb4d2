"""Another user of the machine at the embedded Temporal's port, which has no login.

They run Temporal's own command line without the keyring, as a user without any rights of ours
(where the tests may change the user; elsewhere as ourselves, whom the port cannot tell apart).
What they do there is undone within seconds: workers compare with the database, out of their reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from temporalio.client import Client
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.control.runtime.namespace_guard import NamespaceGuard
from lockstep.control.runtime.temporal import TemporalAddress, connect
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer, find_temporal_binary
from lockstep.storage.records import CaseRow
from lockstep.worker import running
from tests.conftest import search_attribute_types
from tests.control.runtime.test_sweep import (
    BADGE,
    DOOR,
    HOUR,
    POLICY,
    House,
    _namespace,
    eventually,
)
from tests.support.casework import Casework
from tests.support.children import child
from tests.support.homes import server_home

NAMESPACE = "stranger"
NAMESPACE_S = 180.0
"""Temporal remembers a deleted namespace for a while, and empties it in its own time."""
ACTS = {
    "terminate": ("terminate", "--reason", "none"),
    "cancel": ("cancel",),
    "delete": ("delete", "--yes"),
    "reset": ("reset", "--type", "FirstWorkflowTask", "--reason", "none"),
}


class Stranger:
    """Somebody who can sign in to the machine, and no more."""

    def __init__(self, address: str, binary: Path) -> None:
        self._address = address
        self._binary = binary
        self._uid = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else -1

    async def does(self, *words: str) -> str:
        """Run `temporal WORDS` and return what it printed."""
        where = ("--address", self._address, "--namespace", NAMESPACE)
        return await asyncio.to_thread(self._run, [str(self._binary), *words, *where])

    def _run(self, command: list[str]) -> str:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        env = {"HOME": "/nonexistent", "PATH": os.defpath}
        with child(command, run_as=self._uid, cwd="/", env=env, **options) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            assert process.wait(timeout=60) == 0, said
            return said


@pytest.fixture(scope="module")
def binary() -> Iterator[Path]:
    """Where everybody can run it."""
    with server_home() as folder:
        yield Path(shutil.copy(find_temporal_binary(), folder / "temporal"))


@pytest.fixture(scope="module")
async def own(temporal: TemporalDevServer, ring) -> Client:
    return await _namespace(temporal, ring, NAMESPACE)


@pytest.fixture
async def house(own: Client, work: Casework) -> AsyncIterator[House]:
    await work.adopt(POLICY)
    made = House(own, work)
    async with made.working():
        yield made
        await made.leave()


@pytest.fixture
def stranger(temporal: TemporalDevServer, binary: Path) -> Stranger:
    return Stranger(temporal.address, binary)


async def taken_up(house: House, case: CaseRow, act: str) -> None:
    """Its workflow runs again; a reset is a run of its own, which nobody has to take up."""

    async def runs() -> bool:
        is_mended = act == "reset" or bool(await house.restarts(case))
        return is_mended and await house.runs(case)

    await house.swept(runs)


async def goes_on(house: House, case: CaseRow) -> None:
    """It hears a person, and ends as it should."""
    await house.until(case, DOOR, "settled")
    await house.until(case, BADGE, "needs_person")
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)


@pytest.mark.parametrize("act", ACTS)
async def test_what_they_do_to_a_case_costs_seconds(house: House, stranger: Stranger, act: str):
    """It goes on where it was: nothing is done twice, and nobody keeps access."""
    case = await house.open()
    touched = house.touched("W-1")

    await stranger.does("workflow", *ACTS[act], "--workflow-id", case.case_id)

    await taken_up(house, case, act)
    await goes_on(house, case)
    assert house.touched("W-1") == touched


@pytest.mark.parametrize("act", ACTS)
async def test_a_coming_case_neither_ends_nor_begins_by_them(
    house: House, stranger: Stranger, act: str
):
    """Nobody is spared by them, and nobody loses access before the cutoff."""
    case = await house.open(due=HOUR)

    await stranger.does("workflow", *ACTS[act], "--workflow-id", case.case_id)

    await taken_up(house, case, act)
    assert await house.status(case) == CaseStatus.SCHEDULED
    assert house.touched("W-1") == 0
    await house.sql("update cases set cutoff_at = clock_timestamp()")
    await house.starter.signal(case.case_id)
    await goes_on(house, case)


async def test_a_namespace_that_they_delete_is_made_again(work: Casework, ring, binary, tmp_path):
    """Every workflow goes with it, and nobody could start another: all are taken up in the new one.

    For a while Temporal answers from the old one, which it empties meanwhile.
    """
    server = TemporalDevServer(
        tmp_path / "temporal" / "temporal.db",
        0,
        namespace=NAMESPACE,
        log_file=tmp_path / "temporal.log",
        search_attributes=search_attribute_types(),
    )
    await work.adopt(POLICY)
    async with Supervisor(tmp_path, stop_signals=()) as supervisor:
        await supervisor.start(server.child_spec())
        client = await connect(TemporalAddress(server.address, NAMESPACE), ring)
        house, guard = House(client, work), NamespaceGuard(client)
        async with house.working(), running((), guard.run, house.sweep.run):
            case, coming = await house.open("W-1"), await house.open("W-2", due=HOUR)
            touched = house.touched("W-1")
            await Stranger(server.address, binary).does("operator", "namespace", "delete", "--yes")

            await eventually(
                lambda: _closes(house, case), "somebody is heard", within_s=NAMESPACE_S
            )
            await eventually(
                lambda: house.runs(coming), "the coming one runs", within_s=NAMESPACE_S
            )
            assert await house.status(coming) == CaseStatus.SCHEDULED
            assert house.touched("W-1") == touched
            assert house.touched("W-2") == 0


async def _closes(house: House, case: CaseRow) -> bool:
    """Whether a person is heard, who sends again what was not answered."""
    decision = p.Decision(f"d-{time.monotonic_ns()}", DecisionKind.ATTEST, BADGE, "kim", "seen")
    handle = house.client.get_workflow_handle(case.case_id)
    with contextlib.suppress(TemporalError, TimeoutError):
        async with asyncio.timeout(10):
            await handle.execute_update(
                names.DECIDE, decision, id=decision.decision_id, result_type=p.DecisionResult
            )
    return await house.status(case) == CaseStatus.CLOSED


async def test_search_attributes_that_they_delete_are_made_again(house: House, stranger: Stranger):
    """Without them a case cannot show its state, and its workflow's task fails."""
    await stranger.does(
        "operator", "search-attribute", "remove", "--yes", "--name", names.STATUS.name
    )

    async def is_back() -> bool:
        await NamespaceGuard(house.client).step()
        with contextlib.suppress(RPCError):
            await house.client.count_workflows(f"{names.STATUS.name} = 'none'")
            return True
        return False

    await eventually(is_back, "the attribute can be asked for")
    await goes_on(house, await house.open())


async def test_they_read_no_person_there(house: House, stranger: Stranger):
    """Names, keys, kinds and systems' answers are encrypted; ids and times are not."""
    case = await house.open()
    said = await stranger.does(
        "workflow", "show", "--workflow-id", case.case_id, "--output", "json", "--detailed"
    )

    assert case.case_id in said
    for secret in ("W-1", "Maria", "Evangelista", "example.com", "involuntary", "voluntary"):
        assert secret not in said


def test_the_database_is_closed_to_them(database):
    """What they end is taken up from there: its socket lies in a folder that they cannot enter."""
    folder = Path(make_url(database.app_url).query["host"])
    assert folder.stat().st_mode & 0o077 == 0
