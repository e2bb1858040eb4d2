"""What runs beside the cases in a worker, and what of it command line and web use too.

Each chore is a loop of its own that survives outages by itself; any number of workers may run
them, one at a time does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.condition import Condition
from connectors.base import Connector
from lockstep.control.ledger.anchoring import AnchorLoop
from lockstep.control.ledger.sealing import Sealer
from lockstep.control.notices.alarms import Alarms
from lockstep.control.notices.outbox import Outbox, Webhooks
from lockstep.control.notices.telling import Notifier
from lockstep.control.packs.export import Exporter
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs
from lockstep.control.packs.process import MakerProcess
from lockstep.control.privacy.keeping import Retention
from lockstep.control.runtime.clock_watch import ClockWatch
from lockstep.control.runtime.stalled import StalledWatch
from lockstep.control.runtime.start import CaseStarter
from lockstep.control.runtime.sweep import Sweep
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.readings import SCORECARD, Readings
from lockstep.control.systems.health import HealthWatch
from lockstep.control.systems.waking import Waker
from lockstep.domain.notices import NoticeKind
from lockstep.settings import Settings
from lockstep.settings.anchors import build_anchors
from lockstep.settings.channels import build_channel
from lockstep.storage.board.known import KnownNames
from lockstep.storage.board.views import CaseViews
from lockstep.storage.engine.clocks import Clocks
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.head import HEAD_FILE, HeadFile
from lockstep.storage.ledger.sequencer import SealedLedger, Sequencer
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.packs.orders import Exports
from lockstep.storage.privacy.erasure import Erasure
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.runtime.sweeping import Sweeps
from lockstep.storage.score.facts_proof import Seal
from lockstep.storage.score.scores import Scores
from lockstep.storage.systems.health import SystemHealth
from lockstep.storage.systems.outages import Outages
from lockstep.storage.systems.pauses import Pauses
from lockstep.storage.systems.waking import Wakings

Chore = Callable[[], Coroutine[Any, Any, None]]

_MAKE = (sys.executable, "-m", "lockstep.cli.main", "evidence", "make-ordered")


def packs_folder(settings: Settings) -> Path:
    """Where packs lie that were ordered through the API."""
    return settings.path(settings.data_dir) / "packs"


def build_exporter(settings: Settings, engine: AsyncEngine, ring: Keyring) -> Exporter:
    """Makes packs."""
    return Exporter(
        engine,
        ring,
        tenant=settings.tenant,
        origin=settings.ledger_origin,
        open_signer=settings.open_signer,
        known=KnownNames(engine, partners=settings.partners),
    )


def facts_seal(settings: Settings, ring: Keyring) -> Seal:
    """Marks what the sequencer wrote of the facts; the database does not hold the key."""
    return lambda text: ring.blind_index("facts_mark", settings.tenant, text)


def build_score_service(settings: Settings, scores: Scores, ring: Keyring) -> ScoreService:
    """Answers what the score is."""
    rules = settings.scorecard.to_rules(tenant=settings.tenant, heartbeat=settings.ledger.heartbeat)
    return ScoreService(scores, rules, seal=facts_seal(settings, ring))


def build_chores(settings: Settings, engine: AsyncEngine, ring: Keyring) -> list[Chore]:
    """Everything that this installation's settings ask for.

    Raises:
        SettingsError: naming what of the anchors or the scorecard's webhook cannot be used.
    """
    chores: list[Chore] = [
        _sealer(settings, engine, ring).run,
        *_score(settings, engine, ring),
        _retention(settings, engine, ring).run,
        ExportJobs(
            MakerProcess((*_MAKE, "--config", str(settings.file))).make,
            Exports(engine),
            folder=PacksFolder(packs_folder(settings)),
            keep=settings.retention.packs,
        ).run,
    ]
    if settings.notices.routes:
        chores.append(_notifier(settings, engine, ring).run)
    if anchors := build_anchors(settings):
        chores.append(AnchorLoop(engine, Checkpoints(engine), anchors).run)
    return chores


def build_health_watch(
    settings: Settings,
    engine: AsyncEngine,
    ring: Keyring,
    connectors: Mapping[str, Connector],
    conditions: Mapping[str, Condition],
) -> Chore:
    """Looks at the systems that this worker speaks to."""
    pauses = Pauses(engine, ring, settings.tenant)
    return HealthWatch(
        connectors,
        conditions,
        SystemHealth(engine),
        pauses,
        tolerance=settings.policy.vendor_clock_tolerance,
    ).run


def build_stalled_watch(engine: AsyncEngine, client: Client) -> Chore:
    """Looks whether every case's workflow goes on."""
    return StalledWatch(client, StalledCases(engine)).run


def build_sweep(engine: AsyncEngine, client: Client, starter: CaseStarter) -> Chore:
    """Compares cases with workflows, and takes up again what was lost."""
    return Sweep(client, Sweeps(engine), starter).run


def build_clock_watch(engine: AsyncEngine, client: Client, starter: CaseStarter) -> Chore:
    """Looks at the clocks, and wakes who is due by the database's."""
    return ClockWatch(client, Clocks(engine), Sweeps(engine), starter).run


def build_waker(settings: Settings, engine: AsyncEngine, client: Client) -> Chore:
    """Wakes whom a system's trouble held up, at each system's pace."""
    pace = {name: table.wakes_per_minute for name, table in settings.systems.items()}
    return Waker(client, Wakings(engine), Outages(engine), per_minute=pace).run


def _sealer(settings: Settings, engine: AsyncEngine, ring: Keyring) -> Sealer:
    ledger = SealedLedger(
        tenant=settings.tenant,
        origin=settings.ledger_origin,
        open_signer=settings.open_signer,
        head=HeadFile(settings.path(settings.data_dir) / HEAD_FILE, settings.ledger_origin),
        heartbeat=settings.ledger.heartbeat,
        seal=facts_seal(settings, ring),
    )
    return Sealer(Sequencer(engine.url, ledger))


def _notifier(settings: Settings, engine: AsyncEngine, ring: Keyring) -> Notifier:
    alarms = Alarms(
        engine,
        anchors=sorted(settings.ledger.anchors),
        silent_after=settings.notices.silent_after,
    )
    views = CaseViews(engine, ring)

    async def leaver(case_id: str) -> str:
        view = await views.show(case_id)
        return view.leaver if view else ""

    return Notifier(
        Notices(engine),
        [(route, build_channel(settings, route.name)) for route in settings.notices.to_routes()],
        origin=settings.origin,
        leaver=leaver,
        sources={
            NoticeKind.ANCHOR: alarms.anchors,
            NoticeKind.SILENT: alarms.silent,
            NoticeKind.LEDGER: alarms.ledger,
            NoticeKind.CLOCK: alarms.clocks,
        },
    )


def _score(settings: Settings, engine: AsyncEngine, ring: Keyring) -> list[Chore]:
    scores = Scores(engine)
    service = build_score_service(settings, scores, ring)
    receiver = settings.scorecard_receiver()
    if receiver is None:
        return [Readings(scores, service).run]
    return [
        Readings(scores, service, target=SCORECARD).run,
        Outbox(Deliveries(engine), Webhooks(*receiver), target=SCORECARD).run,
    ]


def _retention(settings: Settings, engine: AsyncEngine, ring: Keyring) -> Retention:
    erasure = Erasure(engine, ring)
    return Retention(erasure, keep=settings.retention.names, packs=packs_folder(settings))
