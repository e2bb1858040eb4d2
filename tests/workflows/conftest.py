"""Two Temporal servers, workers with doubles, and a factory of cases.

The time-skipping server is a stand-in that writes other payloads than the real one. So what is
decided, cancelled, retried, paused or timed out is tried on the development server too, which is
the real one in one process: `real_server` marks such a test (test_servers.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from lockstep.contracts import names, policies
from lockstep.contracts import payloads as p
from lockstep.control.runtime.payloads import data_converter
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.control.runtime.temporal import TemporalAddress, connect
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.keys.keyring import Keyring
from tests.workflows.doubles import BOUND_S, Asked, Doubles, World
from workflows.case import CaseWorkflow

SYSTEMS = ("badge", "okta", "vpn")
CACHED, UNCACHED, REAL = "cases-cached", "cases-uncached", "cases-real"
HOUR = 3600
_REAL_HOUR_S = 1
_MARGIN_S = 0.3
ACTIVITY_OF: dict[type[Any], str] = {
    p.BeginInput: "begin_revoking",
    p.CloseInput: "close_case",
    p.NeedsPersonInput: "record_needs_person",
    p.RehearseInput: "rehearse_access",
    p.RevokeInput: "revoke_access",
}


def plan(system: str, **changes: Any) -> p.SystemPlan:
    """A required system with a connector, warned about after 30 minutes, due after an hour."""
    values = {
        "required": True,
        "manual": False,
        "warn_s": HOUR // 2,
        "due_s": HOUR,
        "start_to_close_s": 60,
    }
    return p.SystemPlan(system, **{**values, **changes})


@dataclass(frozen=True)
class Server:
    """A Temporal server. ``hour``: the seconds that stand for an hour, where time is real."""

    client: Client
    skips: WorkflowEnvironment | None = None
    hour: int = HOUR

    async def sleep(self, duration: timedelta) -> None:
        """Let its clock run on by so long, or by what stands for it."""
        if self.skips is not None:
            await self.skips.sleep(duration)
        else:
            await asyncio.sleep(duration.total_seconds() * self.hour / HOUR + _MARGIN_S)

    async def now(self) -> datetime:
        return datetime.now(UTC) if self.skips is None else await self.skips.get_current_time()


@dataclass
class Case:
    """One running case, its script, and what a person may do to it."""

    server: Server
    world: World
    handle: WorkflowHandle[Any, p.CaseResult]

    async def status(self) -> str:
        """The status as its queue shows it, or '' while it shows nothing."""
        return (await self.shown(names.STATUS)) or ""

    async def shown(self, key: SearchAttributeKey[Any]) -> Any:
        return (await self.handle.describe()).typed_search_attributes.get(key)

    async def attributes(self) -> set[str]:
        """The search attributes that it shows, without the one that every real server sets."""
        shown = (await self.handle.describe()).typed_search_attributes
        return {pair.key.name for pair in shown.search_attributes} - {"BuildIds"}

    async def decide(
        self, system: str, kind: DecisionKind, *, decision_id: str = "", **more: Any
    ) -> p.DecisionResult:
        decision_id = decision_id or uuid.uuid4().hex
        decision = p.Decision(decision_id, kind, system, "operator", "reason", **more)
        return await self.handle.execute_update(
            names.DECIDE, decision, id=decision_id, result_type=p.DecisionResult
        )

    async def refusal(self, system: str, kind: DecisionKind) -> str:
        """The text with which a decision is refused; fails if it is taken."""
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await self.decide(system, kind)
        assert refused.value.cause.type == "refused"
        return str(refused.value.cause)

    async def change(self, event_id: str = "e2") -> None:
        await self.handle.signal(names.TERMINATION_CHANGED, p.TerminationChanged(event_id))

    async def done(self, asked: type[Asked], system: str = "", times: int = 1) -> Asked:
        """Wait until the ``times``-th question of this kind is answered, and return it.

        The server's clock may be moved over a question that is only asked: it would time out.
        """
        async with asyncio.timeout(BOUND_S):
            while await self._answered(asked, system) < times:  # noqa: ASYNC110 - a remote poll
                await asyncio.sleep(0.01)
        return self.world.of(asked, system)[times - 1]

    async def _answered(self, asked: type[Any], system: str) -> int:
        scheduled: set[int] = set()
        answered = 0
        async for event in self.handle.fetch_history_events():
            # Closing is a local activity, which leaves a marker; so does a patch, of another name.
            marker = event.marker_recorded_event_attributes.marker_name
            answered += asked is p.CloseInput and marker == "core_local_activity"
            ask = event.activity_task_scheduled_event_attributes
            is_meant = not system or ask.task_queue.name == names.system_queue(system)
            if ask.activity_type.name == ACTIVITY_OF[asked] and is_meant:
                scheduled.add(event.event_id)
            completed = event.activity_task_completed_event_attributes
            answered += completed.scheduled_event_id in scheduled
        return answered

    async def sleep(self, **duration: float) -> None:
        """Let the server's clock run on; timers and retries that fall due are carried out."""
        await self.server.sleep(timedelta(**duration))

    async def backs_off(self, system: str) -> None:
        """Wait until the machine has failed and waits for its next try."""
        if self.server.skips is not None:
            await self.world.until_asked(p.RevokeInput, system)
            await self.sleep(seconds=20)
            return
        async with asyncio.timeout(BOUND_S):
            while not await self._waits(system):  # noqa: ASYNC110 - a remote poll
                await asyncio.sleep(0.02)

    async def _waits(self, system: str) -> bool:
        described = (await self.handle.describe()).raw_description
        return any(
            row.activity_id.startswith(f"{system}.")
            and row.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
            and row.attempt > 1
            for row in described.pending_activities
        )

    async def result(self) -> str:
        """How it ended; fails after `BOUND_S` and says what it was at.

        Awaiting the result lets skipped time run on. Where time is real it is asked for anew each
        time: a server under load was seen to leave one long poll without an answer for minutes.
        """
        if self.server.skips is None:
            try:
                async with asyncio.timeout(BOUND_S):
                    while await self._runs():  # noqa: ASYNC110 - a remote poll
                        await asyncio.sleep(0.02)
            except TimeoutError:
                pytest.fail(f"still open after {BOUND_S} s; {await self._told()}")
        return (await self.handle.result()).status

    async def _runs(self) -> bool:
        return (await self.handle.describe()).status == WorkflowExecutionStatus.RUNNING

    async def _told(self) -> str:
        """What the server says of it: the end of its history, and what is under way."""
        events = [event async for event in self.handle.fetch_history_events()]
        last = ", ".join(EventType.Name(event.event_type) for event in events[-8:])
        under_way = (await self.handle.describe()).raw_description
        return f"last {last}; {under_way.pending_activities} {under_way.pending_workflow_task}"


@dataclass
class Clinic:
    """Opens cases on one of the two case queues."""

    server: Server
    doubles: Doubles
    queue: str
    opened: list[Case] = field(default_factory=list)

    @property
    def hour(self) -> int:
        """So many seconds stand for an hour."""
        return self.server.hour

    async def now(self) -> datetime:
        return await self.server.now()

    async def open(
        self,
        *plans: p.SystemPlan,
        ahead: timedelta = timedelta(0),
        watch_s: tuple[int, ...] = (),
        partner: str = "",
        so_far: p.CaseSoFar | None = None,
        **script: Any,
    ) -> Case:
        """Start a case whose cutoff lies ``ahead``; without ``ahead`` it begins at once.

        ``script`` holds further fields of its `World`, by name.
        """
        case_id = f"c-{uuid.uuid4().hex[:10]}"
        cutoff = await self.now() + ahead
        begun = ahead <= timedelta(0)
        world = World(case_id, cutoff)
        for name, value in script.items():
            if isinstance(value, dict):
                getattr(world, name).update(value)
            else:
                setattr(world, name, value)
        self.doubles.worlds[case_id] = world
        given = p.CaseInput(
            case_id,
            cutoff,
            begun,
            list(plans) or [plan(system) for system in SYSTEMS],
            watch_s=list(watch_s),
            partner=partner,
            so_far=so_far,
        )
        handle = await self.server.client.start_workflow(
            names.CASE_WORKFLOW,
            given,
            id=case_id,
            task_queue=self.queue,
            task_timeout=policies.WORKFLOW_TASK_TIMEOUT,
            result_type=p.CaseResult,
        )
        case = Case(self.server, world, handle)
        self.opened.append(case)
        return case

    async def leave(self) -> None:
        """Let every case end by itself: all tests share one server and one clock.

        Terminating one in the middle of a task would stop the clock that skips from skipping.
        """
        for case in self.opened:
            if self.server.skips is None:
                with contextlib.suppress(RPCError):  # it has ended already
                    await case.handle.terminate()
                continue
            case.world.steps.clear()
            case.world.gates.clear()
            case.world.rescinded = True
            with contextlib.suppress(RPCError):  # it has ended already
                await case.change("the test is over")
                for system in SYSTEMS:
                    with contextlib.suppress(WorkflowUpdateFailedError):  # nothing to decide
                        await case.decide(system, DecisionKind.ATTEST)
            async with asyncio.timeout(BOUND_S):
                await case.handle.result()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With the worker's cache and without, where each task replays the whole; and for real."""
    if "clinic" in metafunc.fixturenames:
        places = {"cache": CACHED, "no-cache": UNCACHED}
        if mark := metafunc.definition.get_closest_marker("real_server"):
            places = {} if mark.kwargs.get("alone") else places
            places["real-server"] = REAL
        metafunc.parametrize("clinic", list(places.values()), ids=list(places), indirect=True)


@pytest.fixture(scope="session")
async def skipping(ring: Keyring) -> AsyncIterator[Server]:
    """One time-skipping server per session, with payloads encrypted as in production."""
    binary = Path(sys.executable).parent / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(binary), data_converter=data_converter(ring)
    ) as env:
        await env.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=env.client.namespace,
                search_attributes={
                    key.name: key.indexed_value_type for key in names.SEARCH_ATTRIBUTES
                },
            )
        )
        yield Server(env.client, env)


@pytest.fixture(scope="session")
async def real(temporal: TemporalDevServer, ring: Keyring) -> Server:
    """The server that one machine runs in production, and the client that a worker has there."""
    return Server(await connect(TemporalAddress(temporal.address), ring), hour=_REAL_HOUR_S)


@contextlib.asynccontextmanager
async def _working(server: Server, caches: Mapping[str, int]) -> AsyncIterator[Doubles]:
    """Workers for the cases' queues, with so many workflows cached, and every system's queue."""
    made = Doubles()
    async with contextlib.AsyncExitStack() as stack:
        for queue, cached in caches.items():
            worker = Worker(
                server.client,
                task_queue=queue,
                workflows=[CaseWorkflow],
                activities=made.of_cases(),
                workflow_runner=sandboxed(),
                max_cached_workflows=cached,
            )
            await stack.enter_async_context(worker)
        for system in SYSTEMS:
            worker = Worker(
                server.client,
                task_queue=names.system_queue(system),
                activities=made.of_systems(),
            )
            await stack.enter_async_context(worker)
        yield made


@pytest.fixture(scope="session")
async def doubles(skipping: Server) -> AsyncIterator[Doubles]:
    async with _working(skipping, {CACHED: 100, UNCACHED: 0}) as made:
        yield made


@pytest.fixture(scope="session")
async def real_doubles(real: Server) -> AsyncIterator[Doubles]:
    async with _working(real, {REAL: 100}) as made:
        yield made


@pytest.fixture
def theatre(request: pytest.FixtureRequest) -> tuple[Server, Doubles]:
    """The server of this run of a test and its workers; only one of the two is started."""
    kind = "real" if _queue_of(request) == REAL else "skipping"
    workers = "real_doubles" if kind == "real" else "doubles"
    return request.getfixturevalue(kind), request.getfixturevalue(workers)


@pytest.fixture
async def clinic(
    request: pytest.FixtureRequest, theatre: tuple[Server, Doubles]
) -> AsyncIterator[Clinic]:
    """Where a test opens its cases; `pytest_generate_tests` says on which servers."""
    made = Clinic(*theatre, request.param)
    yield made
    await made.leave()


def _queue_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["clinic"])
