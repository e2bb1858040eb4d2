"""The worker: dispatches the inbox, runs the cases, and speaks to every system."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.worker import FixedSizeSlotSupplier, Worker, WorkerTuner

from activities.access import AccessActivities
from activities.condition import Condition
from activities.home import HomeActivities
from activities.record import Hear, RecordActivities
from connectors.base import Connector
from connectors.kit.pacing.pace import OPEN, Line
from connectors.registry import MANIFESTS, MANUAL
from lockstep.chores import build_chores, build_health_watch, build_waker
from lockstep.composition import Root, open_stores
from lockstep.contracts import names
from lockstep.contracts.policies import STICKY_TIMEOUT
from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.control.runtime.clock_watch import ClockWatch
from lockstep.control.runtime.load import LoopLag
from lockstep.control.runtime.namespace_guard import NamespaceGuard
from lockstep.control.runtime.precedence import Precedence
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.control.runtime.slots import WaitingSlots
from lockstep.control.runtime.stalled import StalledWatch
from lockstep.control.runtime.start import CaseStarter
from lockstep.control.runtime.sweep import Sweep
from lockstep.domain.intake.numbering import Numbering
from lockstep.settings import Settings
from lockstep.storage.cases.rows import PinnedPolicy, pin
from lockstep.storage.engine.database import check_fitness, create_engine
from lockstep.storage.engine.migrate import newest_revision
from lockstep.storage.keys.check import check_keyring
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores
from workflows.case import CaseWorkflow

log = structlog.get_logger("lockstep.worker")

WORKFLOW_TASKS = 8
"""Few at once: what waits on the server is ordered by priority, what waits in here is not."""

AT_VENDORS = 32
"""Workflow tasks at once of which all but those few merely wait for vendors.

Each holds one first try of each system, so a system may have as many under way by default.
"""

GRACE = timedelta(seconds=10)
"""How long running activities may finish when the worker is asked to stop."""
AGAIN_S = 2.0
"""How soon a loop that ended by a fault is begun again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of; tests replace single parts before the worker is built."""

    stores: Stores
    connectors: Mapping[str, Connector]
    numbering: Numbering = field(default_factory=Numbering)
    lines: Mapping[str, Line] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)


def build_lines(settings: Settings, stores: Stores) -> dict[str, Line]:
    """Whose turn it is at each system, over all processes; one line for each credential."""
    asker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    budgets = settings.budgets()
    lines = {
        budget: Line(settings.limit(budget), stores.leases(budget, asker))
        for budget in budgets.values()
    }
    return {name: lines[budget] for name, budget in budgets.items()}


def build_connectors(settings: Settings, lines: Mapping[str, Line]) -> dict[str, Connector]:
    """One connector per system that has one; raises `SettingsError` or ValueError."""
    return {
        name: MANIFESTS[table.connector].build(
            settings.connector_options(name, pace=lines.get(name))
        )
        for name, table in settings.systems.items()
        if table.connector != MANUAL
    }


def build_parts(settings: Settings, database_url: str, ring: Keyring) -> Parts:
    """Build everything that needs no running server yet."""
    engine = create_engine(database_url, pool_size=settings.database.pool_size)
    stores = open_stores(settings, engine, ring)
    lines = build_lines(settings, stores)
    return Parts(
        stores=stores,
        connectors=build_connectors(settings, lines),
        numbering=settings.numbering(),
        lines=lines,
        calls={name: settings.manifest(name).calls for name in lines},
    )


def build_workers(
    client: Client,
    parts: Parts,
    *,
    hear: Hear,
    concurrency: Callable[[str], int] = lambda _: 8,
    at_home: Callable[[str], int] = lambda _: AT_VENDORS,
    is_behind: Callable[[], bool] = lambda: False,
    conditions: Mapping[str, Condition] = MappingProxyType({}),
) -> list[Worker]:
    """One worker for the cases' queue, and one per system: its own bulkhead and rate limit.

    ``concurrency`` is of a system's queue, ``at_home`` of its first tries.
    What is learnt of a system while working on it goes into ``conditions``. ``hear`` is asked when
    a case begins and something about its leaver waits in the inbox.
    """
    cases, revocations = parts.stores.cases, parts.stores.revocations
    record = RecordActivities(cases, revocations, hear)
    access = {
        system: AccessActivities(
            system,
            connector,
            revocations,
            cases,
            condition=conditions.get(system),
            pace=parts.lines.get(system, OPEN),
            calls=parts.calls.get(system) or _calls(connector.kind),
            numbering=parts.numbering,
        )
        for system, connector in parts.connectors.items()
    }
    home = HomeActivities(access, at_home, is_behind, conditions)
    workers = [
        Worker(
            client,
            task_queue=names.CASE_QUEUE,
            workflows=[CaseWorkflow],
            activities=[
                record.begin_revoking,
                record.record_needs_person,
                record.record_decision,
                record.close_case,
                home.try_at_home,
            ],
            workflow_runner=sandboxed(),
            max_cached_workflows=1000,
            tuner=_tuner(home, is_behind),
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            graceful_shutdown_timeout=GRACE,
        )
    ]
    for system, its in access.items():
        workers.append(
            Worker(
                client,
                task_queue=names.system_queue(system),
                activities=[its.revoke_access, its.rehearse_access, its.watch_access],
                max_concurrent_activities=concurrency(system),
                graceful_shutdown_timeout=GRACE,
            )
        )
    return workers


def _tuner(home: HomeActivities, is_behind: Callable[[], bool]) -> WorkerTuner:
    """As the SDK has it, but for workflow tasks."""
    slots = WaitingSlots(
        WORKFLOW_TASKS, AT_VENDORS, waiting=lambda: home.waiting, is_behind=is_behind
    )
    others = FixedSizeSlotSupplier(100)
    return WorkerTuner.create_composite(
        workflow_supplier=slots,
        activity_supplier=others,
        local_activity_supplier=others,
        nexus_supplier=others,
    )


def _calls(kind: str) -> int:
    manifest = MANIFESTS.get(kind)
    return manifest.calls if manifest else 1


@contextlib.asynccontextmanager
async def running(
    workers: Sequence[Worker], *loops: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncIterator[None]:
    """Workers and what runs beside them, stopped in order: first take nothing new, then finish."""
    async with contextlib.AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        tasks = [asyncio.create_task(_for_ever(loop)) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _for_ever(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop until cancelled; one that ends by a fault nobody foresaw is begun again.

    Else nobody would see that there is no dispatcher any more: the worker goes on without.
    """
    while True:
        try:
            await loop()
        except Exception:
            log.exception("loop_ended")
        await asyncio.sleep(AGAIN_S)


async def adopt(settings: Settings, parts: Parts) -> PinnedPolicy:
    """Put on record what the score is judged by: the policy, and HR's sources that are expected."""
    pinned = pin(settings.to_policy())
    await parts.stores.cases.adopt(pinned, settings.tenant)
    if await parts.stores.feeds.expect(settings.sources):
        log.info("sources_expected", count=len(settings.sources))
    return pinned


def spare_collector() -> None:
    """Leave out of garbage collection what lives as long as this process; call it once started.

    Each full collection would go through all of it: 150 ms in which nothing else runs.
    """
    gc.collect()
    gc.freeze()


async def run_worker(
    settings: Settings,
    client: Client,
    parts: Parts,
    *,
    stop: asyncio.Event,
    ready: Callable[[], Any] = lambda: None,
) -> None:
    """Run until ``stop`` is set.

    Raises:
        StorageError: if the database is not migrated, or the role may change the ledger.
    """
    stores = parts.stores
    async with stores.engine.connect() as connection:
        await check_fitness(connection, expected_revision=newest_revision())
    await check_keyring(stores.engine, stores.ring)
    root = Root(settings, stores)
    pinned = await adopt(settings, parts)
    lag = LoopLag()
    starter = CaseStarter(client, stores.cases, at_home=frozenset(parts.connectors))
    dispatcher = Dispatcher(
        inbox=stores.inbox,
        cases=stores.cases,
        starter=starter,
        policy=pinned,
        sources=sorted(settings.sources),
        remits=settings.remits(),
        places=root.places,
        brake=Brake(
            stores.brakes,
            stores.ring,
            settings.brake.to_rule(),
            settings.counted_apart(),
        ),
        lag=lag,
    )
    conditions = {system: Condition() for system in parts.connectors}
    workers = build_workers(
        client,
        parts,
        hear=dispatcher.hear,
        conditions=conditions,
        concurrency=lambda system: settings.systems[system].concurrency,
        at_home=lambda system: settings.systems[system].first_tries or AT_VENDORS,
        is_behind=lambda: lag.is_behind,
    )
    chores = build_chores(root)
    chores.append(StalledWatch(client, stores.stalled).run)
    chores.append(Precedence(client, stores.dismissals).run)
    chores.append(Sweep(client, stores.sweeps, starter).run)
    chores.append(ClockWatch(client, stores.clocks, stores.sweeps, starter).run)
    if settings.temporal.mode == "embedded":
        chores.append(NamespaceGuard(client).run)
    chores.append(build_waker(root, client))
    chores.append(build_health_watch(root, parts.connectors, conditions))
    try:
        async with running(workers, dispatcher.run, *chores):
            log.info("worker_ready", count=len(workers))
            ready()
            await stop.wait()
    finally:
        for connector in parts.connectors.values():
            await connector.aclose()
        for line in parts.lines.values():
            await line.aclose()
        await stores.engine.dispose()
