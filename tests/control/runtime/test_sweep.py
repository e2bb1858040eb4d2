"""Work that was acknowledged cannot vanish with a workflow, a namespace or Temporal's database.

Cases on a real PostgreSQL, workflows on the real server of one machine; only the vendors are
made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import text
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair
from temporalio.service import RPCError

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.control.runtime.start import CaseStarter
from lockstep.control.runtime.sweep import Sweep
from lockstep.control.runtime.temporal import TemporalAddress, connect
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.sweeping import Loss
from lockstep.domain.systems.access import Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.cases.rows import pin
from lockstep.storage.records import CaseRow
from lockstep.storage.runtime.sweeping import Sweeps
from lockstep.worker import Parts, build_workers, running
from tests.conftest import search_attribute_types
from tests.support.casework import Casework, termination
from tests.support.memory_connector import MemoryConnector

DOOR, BADGE = "door", "badge"
HOUR = timedelta(hours=1)
BOUND_S = 60
POLICY = pin(
    Policy(
        "1",
        (
            SystemPolicy(DOOR, "memory", Category.SAAS, Tier.ONE),
            SystemPolicy(BADGE, "manual", Category.BADGE, Tier.MANUAL),
        ),
        watch=(HOUR, 2 * HOUR),
    )
)


class House:
    """A worker's parts, with a sweep that is asked to step."""

    def __init__(self, client: Client, work: Casework) -> None:
        self.client, self.work = client, work
        self.door = MemoryConnector()
        self.starter = CaseStarter(client, work.cases)
        self.sweeps = Sweeps(work.engine)
        self.sweeps.young_s = 0
        self.sweep = Sweep(client, self.sweeps, self.starter)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        work = self.work
        parts = Parts(work.stores, {DOOR: self.door})
        async with running(build_workers(self.client, parts, hear=_nothing)):
            yield

    async def open(self, worker: str = "W-1", *, due: timedelta = timedelta(0)) -> CaseRow:
        """A case with its workflow; of what is due the door is shut and the badge is waited for."""
        self.door.hire(worker)
        case = await self.work.open(termination(worker), due=due)
        await self.starter.start(case)
        if due <= timedelta(0):
            await self.until(case, DOOR, "settled")
            await self.until(case, BADGE, "needs_person")
        return case

    async def until(self, case: CaseRow, system: str, state: str) -> None:
        await eventually(
            lambda: self._is(case, system, state), f"{case.case_id} {system} is {state}"
        )

    async def _is(self, case: CaseRow, system: str, state: str) -> bool:
        return (await self.work.row(case.case_id, system)).state == state

    async def status(self, case: CaseRow) -> str:
        return str((await self.work.case(case.case_id))["status"])

    async def until_status(self, case: CaseRow, status: str) -> None:
        async def there() -> bool:
            return await self.status(case) == status

        await eventually(there, f"{case.case_id} is {status}")

    async def step(self) -> None:
        """Compare now; nobody else has just."""
        async with self.work.engine.begin() as connection:
            await connection.execute(text("delete from task_looks"))
        await self.sweep.step()

    async def swept(self, holds: Callable[[], Any]) -> None:
        """Compare until it shows: what can be listed lags behind what is so."""

        async def there() -> bool:
            await self.step()
            return bool(await holds())

        await eventually(there, "the sweep has found it")

    async def runs(self, case: CaseRow) -> bool:
        with contextlib.suppress(RPCError):
            seen = await self.client.get_workflow_handle(case.case_id).describe()
            return seen.status == WorkflowExecutionStatus.RUNNING
        return False

    async def attest(self, case: CaseRow) -> None:
        decision = p.Decision(f"d-{case.case_id}", DecisionKind.ATTEST, BADGE, "kim", "by phone")
        await self.client.get_workflow_handle(case.case_id).execute_update(
            names.DECIDE, decision, id=decision.decision_id, result_type=p.DecisionResult
        )

    async def restarts(self, case: CaseRow) -> list[str]:
        """What the ledger says became of its workflows."""
        entries = await self.work.entries(case.case_id)
        return [row["data"]["was"] for row in entries if row["kind"] == "case:restarted"]

    async def sql(self, statement: str, **values: object) -> None:
        async with self.work.engine.begin() as connection:
            await connection.execute(text(statement), values)

    def touched(self, worker: str) -> int:
        return sum(effect.startswith(f"{worker}:") for effect in self.door.effects)

    async def leave(self) -> None:
        async for row in self.client.list_workflows("ExecutionStatus = 'Running'"):
            with contextlib.suppress(RPCError):
                await self.client.get_workflow_handle(row.id).terminate("the test is over")


async def _nothing(_: str) -> tuple[int, ...]:
    return ()


async def eventually(check: Callable[[], Any], what: str, *, within_s: float = BOUND_S) -> None:
    deadline = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def own(temporal: TemporalDevServer, ring) -> Client:
    """A namespace without the workflows that other tests leave: each would be one of no case."""
    return await _namespace(temporal, ring, f"swept-{uuid.uuid4().hex[:6]}")


@pytest.fixture
async def house(own: Client, work: Casework) -> AsyncIterator[House]:
    await work.adopt(POLICY)
    made = House(own, work)
    async with made.working():
        yield made
        await made.leave()


async def test_a_case_whose_workflow_was_terminated_is_taken_up_where_it_was(house):
    """What is shut stays shut and is not touched again; who was asked is not asked again."""
    case = await house.open()
    touched = house.touched("W-1")
    before = await house.work.kinds(case.case_id)
    await house.client.get_workflow_handle(case.case_id).terminate("by hand")

    await house.swept(lambda: house.runs(case))
    assert await house.restarts(case) == ["terminated"]
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)

    after = await house.work.kinds(case.case_id)
    assert after[: len(before)] == before
    said = [kind for kind in after[len(before) :] if kind != "watch:look"]  # on a slow machine
    assert said == ["case:restarted", "decision:attest", "case:closed"], "nothing is said again"
    assert house.touched("W-1") == touched
    [row] = (await house.sweeps.read()).rows
    assert (row.loss, row.restarts, row.restarted_at is not None) == (Loss.TERMINATED, 1, True)


async def test_a_coming_case_is_taken_up_and_sleeps_on(house):
    """Nothing happens before the cutoff in force, whatever becomes of its workflow."""
    case = await house.open(due=timedelta(seconds=8))
    await house.client.get_workflow_handle(case.case_id).terminate("by hand")
    await house.swept(lambda: house.runs(case))
    await house.until(case, DOOR, "settled")

    begun = (await house.work.case(case.case_id))["begun_at"]
    assert begun >= case.cutoff_at
    assert (await house.work.row(case.case_id, DOOR)).revoked_at >= case.cutoff_at
    assert await house.work.kinds(case.case_id) == [
        *("case:opened", "case:restarted", "case:begun"),
        *[kind for kind in await house.work.kinds(case.case_id) if "revocation:" in kind],
    ]


async def test_the_watch_of_a_closed_case_goes_on(house):
    """Access that comes back after the workflow was lost is found all the same."""
    case = await house.open()
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)
    await house.client.get_workflow_handle(case.case_id).terminate("by hand")
    house.door.hire("W-1")
    ago = "update cases set closed_at = closed_at - interval '90 minutes' where case_id = :c"
    await house.sql(ago, c=case.case_id)

    await house.swept(lambda: house.runs(case))

    async def found() -> bool:
        return "finding:raised" in await house.work.kinds(case.case_id)

    await eventually(found, "access that returned is found")
    await house.until_status(case, CaseStatus.CLOSED)
    assert (await house.work.row(case.case_id, DOOR)).opening == 2


async def test_what_needs_no_workflow_is_left_alone(house):
    """Cases that are over, called off, erased, or hired again; and nothing is written of them."""
    over, off, erased, again = [await house.open(f"W-{number}") for number in range(4)]
    for case in (over, off, erased, again):
        await house.client.get_workflow_handle(case.case_id).terminate("by hand")
    closed = "update cases set status = 'closed', closed_at = now() - interval '3 hours'"
    await house.sql(f"{closed} where case_id = :c", c=over.case_id)
    await house.sql("update revocations set state = 'settled' where case_id = :c", c=over.case_id)
    await house.sql("update cases set status = 'rescinded' where case_id = :c", c=off.case_id)
    gone = "update subjects set wrapped_key = null where subject_id = :s"
    await house.sql(gone, s=erased.subject_id)
    hired = "update cases set status = 'closed', closed_at = now(), unwatched_at = now()"
    await house.sql(f"{hired} where case_id = :c", c=again.case_id)
    await house.sql("update revocations set state = 'settled' where case_id = :c", c=again.case_id)

    for _ in range(3):
        await house.step()
    assert await house.sweeps.expected() == []
    assert (await house.sweeps.read()).rows == ()
    for case in (over, off, erased, again):
        assert await house.restarts(case) == []


async def test_many_sweeps_at_once_take_a_case_up_once(house):
    """The ledger says it once, and one workflow runs."""
    case = await house.open()
    await house.client.get_workflow_handle(case.case_id).terminate("by hand")
    others = [Sweep(house.client, house.sweeps, house.starter) for _ in range(4)]

    async def until_runs() -> bool:
        await house.sql("delete from task_looks")
        await asyncio.gather(*(one.step() for one in others))
        return await house.runs(case)

    await eventually(until_runs, "it runs")
    assert await house.restarts(case) == ["terminated"]


async def test_a_case_is_taken_up_as_often_as_its_workflow_is_lost(house):
    """Each time is on record."""
    case = await house.open()
    for number in (1, 2):
        await house.client.get_workflow_handle(case.case_id).terminate("by hand")
        await house.swept(lambda: house.runs(case))
        assert await house.restarts(case) == ["terminated"] * number
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)


async def test_a_claim_that_died_is_taken_over_and_said_once(house):
    """A worker that was killed between the entry and the start leaves nothing undone."""
    case = await house.open()
    await house.client.get_workflow_handle(case.case_id).terminate("by hand")
    await house.sweeps.claim(case.case_id, Loss.TERMINATED)
    await house.step()
    assert not await house.runs(case), "somebody is at it"

    await house.sql("update lost_workflows set claimed_until = now() - interval '1 s'")
    await house.swept(lambda: house.runs(case))
    assert await house.restarts(case) == ["terminated"]


async def test_a_workflow_that_sleeps_past_the_cutoff_is_woken(house):
    """A signal was lost, or an older database of Temporal was restored: its date is an old one."""
    case = await house.open(due=HOUR)
    await house.sql("update cases set cutoff_at = now() - interval '2 minutes'")

    await house.swept(lambda: house._is(case, DOOR, "settled"))
    assert await house.restarts(case) == []


async def test_a_workflow_that_believes_the_case_closed_is_replaced(house):
    """An older database of ours was restored: what it says counts, and what it lacks is done."""
    house.door.hire("W-1")
    case = await house.work.open(termination("W-1"))
    now = datetime.now(UTC)
    doors = [p.DoorSoFar(name, 1, 1, "revoked", settled_at=now) for name in (DOOR, BADGE)]
    house.starter._taken_up = _believes_itself_closed(house.starter, doors, now)
    await house.starter.restart(case)
    del house.starter._taken_up

    async def is_seen() -> bool:
        return bool((await house.sweeps.read()).open)

    await house.swept(is_seen)
    assert house.touched("W-1") == 0
    await house.sql("update lost_workflows set since = now() - interval '2 minutes'")
    await house.swept(lambda: _said(house, case, ["astray"]))
    await house.until(case, DOOR, "settled")


def _believes_itself_closed(starter: CaseStarter, doors: list[p.DoorSoFar], now: datetime) -> Any:
    async def taken_up(case: CaseRow) -> Any:
        given, attributes = await starter._given(case)
        attributes = attributes.updated(SearchAttributePair(names.STATUS, CaseStatus.CLOSED))
        return replace(given, so_far=p.CaseSoFar(doors, 1, closed_at=now)), attributes

    return taken_up


async def _said(house: House, case: CaseRow, losses: list[str]) -> bool:
    return await house.restarts(case) == losses


async def test_a_workflow_of_no_case_is_shown_and_left_alone(house):
    """Another installation may use the same namespace: its workflows are not ours to end."""
    given = p.CaseInput("cnobody", datetime.now(UTC) + HOUR, begun=False, systems=[])
    await house.client.start_workflow(
        names.CASE_WORKFLOW, given, id="cnobody", task_queue=names.CASE_QUEUE
    )

    async def is_seen() -> bool:
        return bool((await house.sweeps.read()).rows)

    await house.swept(is_seen)
    [row] = (await house.sweeps.read()).open
    assert (row.workflow_id, row.loss) == ("cnobody", Loss.UNKNOWN)
    handle = house.client.get_workflow_handle("cnobody")
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING

    await handle.terminate("the test is over")

    async def is_gone() -> bool:
        return not (await house.sweeps.read()).rows

    await house.swept(is_gone)


async def test_paused_and_asked_cases_are_not_said_to_stand_still(house):
    """Who waits for a person moves as soon as they speak."""
    await house.open()
    await house.sql("update cases set updated_at = now() - interval '1 day'")
    await house.sql("update revocations set updated_at = now() - interval '1 day'")
    [asked] = await house.sweeps.expected()
    assert not asked.is_still

    await house.sql("update revocations set state = 'retrying' where system = :s", s=BADGE)
    [still] = await house.sweeps.expected()
    assert still.is_still


async def test_an_empty_namespace_costs_seconds(house, temporal, ring):
    """The settings name another namespace: every case runs there, as the database has it."""
    open_case, coming = await house.open("W-1"), await house.open("W-2", due=HOUR)
    touched = house.touched("W-1")
    client = await _namespace(temporal, ring, "elsewhere")
    moved = House(client, house.work)
    moved.door = house.door
    async with moved.working():
        await moved.step()
        assert [await moved.runs(case) for case in (open_case, coming)] == [True, True]
        assert await moved.restarts(open_case) == ["missing"]
        await moved.attest(open_case)
        await moved.until_status(open_case, CaseStatus.CLOSED)
        assert moved.touched("W-1") == touched
        assert moved.touched("W-2") == 0
        await moved.leave()


async def _namespace(temporal: TemporalDevServer, ring, name: str) -> Client:
    client = await connect(TemporalAddress(temporal.address), ring)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    attributes = {key.name: key.indexed_value_type for key in names.SEARCH_ATTRIBUTES}

    async def is_there() -> bool:
        with contextlib.suppress(RPCError):
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=name, search_attributes=attributes)
            )
            return True
        return False

    await eventually(is_there, "the namespace is there")
    there = await connect(TemporalAddress(temporal.address, name), ring)

    async def is_listed() -> bool:
        with contextlib.suppress(RPCError):
            return (await there.count_workflows(f"{names.STATUS.name} IS NULL")).count == 0
        return False

    await eventually(is_listed, "its attributes can be asked for")
    return there


async def test_temporal_s_database_is_lost_whole_and_nobody_with_it(work, ring, tmp_path):
    """The file is deleted while cases are open in every state; each ends as it should."""
    file = tmp_path / "temporal" / "temporal.db"
    server = TemporalDevServer(
        file, 0, log_file=tmp_path / "t.log", search_attributes=search_attribute_types()
    )
    await work.adopt(POLICY)
    async with contextlib.AsyncExitStack() as stack:
        async with Supervisor(tmp_path / "first", stop_signals=()) as first:
            await first.start(server.child_spec())
            client = await connect(TemporalAddress(server.address), ring)
            house = House(client, work)
            await stack.enter_async_context(house.working())
            asked = await house.open("W-asked")
            closed = await house.open("W-closed")
            await house.attest(closed)
            await house.until_status(closed, CaseStatus.CLOSED)
            house.door.fail("look", FaultCategory.UNREACHABLE, times=50)
            tried = await house.work.open(termination("W-tried"))
            house.door.hire("W-tried")
            await house.starter.start(tried)
            await house.until(tried, DOOR, "retrying")
            coming = await house.open("W-coming", due=timedelta(seconds=20))
        for left in file.parent.iterdir():
            left.unlink()
        house.door.faults.clear()
        touched = house.touched("W-asked"), house.touched("W-closed")

        second = await stack.enter_async_context(Supervisor(tmp_path / "second", stop_signals=()))
        await second.start(server.child_spec())
        began = time.monotonic()
        await house.swept(lambda: _all_run(house, asked, closed, tried, coming))
        took = time.monotonic() - began

        await house.until(tried, DOOR, "settled")
        await house.until(coming, DOOR, "settled")
        for case in (asked, tried, coming):
            await house.until(case, BADGE, "needs_person")
            await house.attest(case)
            await house.until_status(case, CaseStatus.CLOSED)
        assert (house.touched("W-asked"), house.touched("W-closed")) == touched
        for case in (asked, closed, tried, coming):
            assert await house.restarts(case) == ["missing"]
        begun = (await house.work.case(coming.case_id))["begun_at"]
        assert begun >= coming.cutoff_at
        assert not [worker for worker, ways in house.door.standing.items() if ways]
        assert took < BOUND_S / 2
        await house.leave()


async def _all_run(house: House, *cases: CaseRow) -> bool:
    return all([await house.runs(case) for case in cases])


async def test_a_workflow_that_was_told_that_all_is_done_closes_nothing(house):
    """Somebody answered for our activities: the database does not agree, and the doors are shut."""
    house.door.hire("W-1")
    case = await house.work.open(termination("W-1"))
    now = datetime.now(UTC)
    doors = [p.DoorSoFar(name, 1, 1, "revoked", settled_at=now) for name in (DOOR, BADGE)]
    house.starter._taken_up = _believes_itself_done(house.starter, doors)
    await house.starter.restart(case)
    del house.starter._taken_up

    await house.until(case, DOOR, "settled")
    await house.until(case, BADGE, "needs_person")
    assert not house.door.standing["W-1"]
    kinds = await house.work.kinds(case.case_id)
    assert "case:close_refused" in kinds
    assert "case:closed" not in kinds
    await house.attest(case)
    await house.until_status(case, CaseStatus.CLOSED)


def _believes_itself_done(starter: CaseStarter, doors: list[p.DoorSoFar]) -> Any:
    async def taken_up(case: CaseRow) -> Any:
        given, attributes = await starter._given(case)
        return replace(given, so_far=p.CaseSoFar(doors)), attributes

    return taken_up
