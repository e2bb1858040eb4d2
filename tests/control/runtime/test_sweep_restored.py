"""Databases that were restored: what Temporal knows and PostgreSQL does not, and the other way.

Real servers, whose files are copied while they are stopped; only the vendors are made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from temporalio.client import Client

from lockstep.contracts import payloads as p
from lockstep.control.runtime.temporal import TemporalAddress, connect
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.sweeping import Loss
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.engine.database import create_engine
from lockstep.storage.engine.migrate import migrate
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.records import CaseRow
from tests.conftest import Database, search_attribute_types
from tests.control.runtime.test_sweep import (
    BADGE,
    DOOR,
    POLICY,
    House,
    _believes_itself_done,
    _namespace,
    house,
    own,
)
from tests.support.casework import Casework, termination
from tests.support.homes import server_home
from tests.support.memory_connector import MemoryConnector

__all__ = ["house", "own"]


class Cluster:
    """A PostgreSQL of its own, whose files can be kept and put back."""

    def __init__(self, home: Path, client: Client, ring: Keyring) -> None:
        self.home, self._client, self._ring = home, client, ring
        self._server = EmbeddedPostgres(home / "pg")
        self._runs = 0
        self.door = MemoryConnector()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        """The server, and a worker on it."""
        self._runs += 1
        self._server.prepare()
        folder = self.home / f"run-{self._runs}"
        async with Supervisor(folder, stop_signals=()) as supervisor:
            await supervisor.start(self._server.child_spec(log_path=self.home / "pg.log"))
            migrate(self._server.owner_url)
            engine = create_engine(self._server.app_url)
            house = House(self._client, Casework(engine, self._ring))
            house.door = self.door
            await house.work.adopt(POLICY)
            async with house.working():
                yield house
            await engine.dispose()

    def keep(self) -> None:
        _copy(self.home / "pg", self.home / "kept")

    def put_back(self) -> None:
        _copy(self.home / "kept", self.home / "pg")


def _copy(source: Path, target: Path) -> None:
    """With owners and rights, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["/bin/cp", "-a", str(source), str(target)], check=True, timeout=60)


@pytest.fixture
def home() -> Iterator[Path]:
    with server_home() as folder:
        yield folder


@pytest.fixture
async def cluster(home, temporal, ring) -> Cluster:
    return Cluster(home, await _namespace(temporal, ring, f"restored-{home.name[-6:]}"), ring)


async def at_once(house: House) -> None:
    """What has been wrong for a moment has been so for long."""
    await house.sql("update lost_workflows set since = now() - interval '2 minutes'")


async def brought_to_an_end(house: House, case: CaseRow) -> None:
    await house.until(case, DOOR, "settled")
    await house.until(case, BADGE, "needs_person")
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)


async def test_an_older_database_is_worked_on_from_where_it_is(cluster):
    """What was done since the copy is looked at and written again; who left since is shown."""
    async with cluster.running() as house:
        waits = await house.open("W-waits")
        house.door.fail("locate", FaultCategory.UNREACHABLE, times=40)
        tried = await house.work.open(termination("W-tried"))
        house.door.hire("W-tried")
        await house.starter.start(tried)
        await house.until(tried, DOOR, "retrying")
        house.door.faults.clear()
        coming = await house.open("W-coming", due=timedelta(seconds=15))
    cluster.keep()
    async with cluster.running() as house:
        for case in (waits, tried, coming):
            await brought_to_an_end(house, case)
        later = await house.open("W-later")
    cluster.put_back()

    async with cluster.running() as house:
        assert [await house.status(case) for case in (waits, tried)] == ["revoking"] * 2
        assert await house.status(coming) == "scheduled"

        async def is_seen() -> bool:
            rows = {row.workflow_id: row.loss for row in (await house.sweeps.read()).rows}
            return rows.get(later.case_id) is Loss.UNKNOWN and waits.case_id in rows

        await house.swept(is_seen)

        async def all_mended() -> bool:
            await at_once(house)
            states = [await house._is(case, DOOR, "settled") for case in (waits, tried, coming)]
            asked = [await house._is(case, BADGE, "needs_person") for case in (waits, tried)]
            return all(states) and all(asked)

        await house.swept(all_mended)
        for case in (waits, tried, coming):
            await brought_to_an_end(house, case)
        assert not [worker for worker, ways in house.door.standing.items() if ways]
        [row] = (await house.sweeps.read()).open
        assert (row.workflow_id, row.loss) == (later.case_id, Loss.UNKNOWN)
        await house.leave()


async def test_an_older_database_of_temporal_is_brought_to_where_the_cases_are(
    work, ring, tmp_path
):
    """Who was answered is not asked for ever, and who is watched is watched."""
    file = tmp_path / "temporal" / "temporal.db"
    server = TemporalDevServer(
        file, 0, log_file=tmp_path / "t.log", search_attributes=search_attribute_types()
    )
    await work.adopt(POLICY)
    async with contextlib.AsyncExitStack() as stack:
        async with Supervisor(tmp_path / "first", stop_signals=()) as first:
            await first.start(server.child_spec())
            house = House(await connect(TemporalAddress(server.address), ring), work)
            await stack.enter_async_context(house.working())
            closed = await house.open("W-closed")
            coming = await house.open("W-coming", due=timedelta(hours=1))
        _copy(file.parent, tmp_path / "kept")
        async with Supervisor(tmp_path / "second", stop_signals=()) as second:
            await second.start(server.child_spec())
            await house.attest(closed)
            await house.until_status(closed, CaseStatus.CLOSED)
            await house.sql("update cases set cutoff_at = now() where status = 'scheduled'")
            await house.starter.signal(coming.case_id)
            await house.until(coming, DOOR, "settled")
            later = await house.open("W-later")
        _copy(tmp_path / "kept", file.parent)

        third = await stack.enter_async_context(Supervisor(tmp_path / "third", stop_signals=()))
        await third.start(server.child_spec())

        async def all_mended() -> bool:
            await at_once(house)
            said = [await house.restarts(case) for case in (closed, coming, later)]
            return said == [["astray"], ["astray"], ["missing"]]

        await house.swept(all_mended)
        touched = house.door.effects[:]
        for case in (coming, later):
            await brought_to_an_end(house, case)
        assert house.door.effects == touched
        assert await house.status(closed) == CaseStatus.CLOSED
        await house.leave()


async def forget(database: Database, *cases: CaseRow) -> None:
    """The rows are gone, as from an older copy."""
    url = make_url(database.superuser_url).set(drivername="postgresql")
    async with await psycopg.AsyncConnection.connect(
        url.render_as_string(hide_password=False)
    ) as connection:
        await connection.execute("set session_replication_role = replica")
        for table in ("revocations", "case_keys", "cases"):
            statement = f"delete from {table} where case_id = any(%s)"
            await connection.execute(statement, [[case.case_id for case in cases]])


async def test_a_workflow_without_its_case_is_shown_and_does_not_spin(house, database):
    """Whatever it was at: before its cutoff, amid tries, about to close, in the watch."""
    coming = await house.open("W-1", due=timedelta(seconds=4))
    house.door.hire("W-2")
    done = await house.work.open(termination("W-2"))
    now = datetime.now(UTC)
    doors = [p.DoorSoFar(name, 1, 1, "revoked", settled_at=now) for name in (DOOR, BADGE)]
    house.door.fail("locate", FaultCategory.UNREACHABLE, times=60)
    tried = await house.work.open(termination("W-3"))
    await house.starter.start(tried)
    await house.until(tried, DOOR, "retrying")
    house.starter._taken_up = _believes_itself_done(house.starter, doors)
    await forget(database, coming, done, tried)
    await house.starter.restart(done)
    del house.starter._taken_up
    house.door.faults.clear()
    every = (coming, done, tried)

    async def are_seen() -> bool:
        rows = {row.workflow_id: row.loss for row in (await house.sweeps.read()).open}
        return all(rows.get(case.case_id) is Loss.UNKNOWN for case in every)

    await house.swept(are_seen)
    await asyncio.sleep(8)  # until each has met that its case is not there
    before = [await events_of(house, case.case_id) for case in every]
    await asyncio.sleep(25)
    after = [await events_of(house, case.case_id) for case in every]
    assert [later - earlier for earlier, later in zip(before, after, strict=True)] == [0, 0, 0]
    assert house.door.effects == []


async def test_nothing_is_taken_before_the_cutoff_that_is_in_force_now(house):
    """The copy is from before HR's last word: the workflow has begun, the database waits."""
    house.door.fail("locate", FaultCategory.UNREACHABLE, times=2)
    house.door.hire("W-1")
    case = await house.work.open(termination("W-1"))
    await house.starter.start(case)
    await house.until(case, DOOR, "retrying")
    older = "status = 'scheduled', begun_at = null, cutoff_at = now() + interval '1 hour'"
    await house.sql(f"update cases set {older} where case_id = :c", c=case.case_id)
    restored = "update revocations set state = 'scheduled', retry_at = null where case_id = :c"
    await house.sql(restored, c=case.case_id)
    house.door.faults.clear()

    async def is_replaced() -> bool:
        await at_once(house)
        return await house.restarts(case) == ["astray"]

    await house.swept(is_replaced)
    await asyncio.sleep(3)
    assert house.door.effects == []
    assert (await house.work.row(case.case_id, DOOR)).state == "scheduled"
    assert await house.status(case) == "scheduled"
    await house.sql("update cases set cutoff_at = now() where case_id = :c", c=case.case_id)
    await house.starter.signal(case.case_id)
    await house.until(case, DOOR, "settled")
    assert not house.door.standing["W-1"]


async def events_of(house: House, case_id: str) -> int:
    history = await house.client.get_workflow_handle(case_id).fetch_history()
    return len(history.events)
