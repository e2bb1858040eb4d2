"""What runs beside the cases in a worker, and what of it command line and web use too.

Each chore is a loop of its own that survives outages by itself; any number of workers may run
them, one at a time does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.anchoring import AnchorLoop
from lockstep.control.export import Exporter
from lockstep.control.export_jobs import ExportJobs
from lockstep.control.outbox import Outbox, Webhooks
from lockstep.control.privacy import Retention
from lockstep.control.readings import SCORECARD, Readings
from lockstep.control.score import ScoreService
from lockstep.control.sealing import Sealer
from lockstep.settings import Settings
from lockstep.settings.anchors import build_anchors
from lockstep.storage.checkpoints import Checkpoints
from lockstep.storage.deliveries import Deliveries
from lockstep.storage.erasure import Erasure
from lockstep.storage.exports import Exports
from lockstep.storage.keyring import Keyring
from lockstep.storage.ledger_head import HEAD_FILE, HeadFile
from lockstep.storage.scores import Scores
from lockstep.storage.sequencer import SealedLedger, Sequencer

Chore = Callable[[], Coroutine[Any, Any, None]]


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
    )


def build_score_service(settings: Settings, scores: Scores) -> ScoreService:
    """Answers what the score is."""
    rules = settings.scorecard.to_rules(tenant=settings.tenant, heartbeat=settings.ledger.heartbeat)
    return ScoreService(scores, rules)


def build_chores(settings: Settings, engine: AsyncEngine, ring: Keyring) -> list[Chore]:
    """Everything that this installation's settings ask for.

    Raises:
        SettingsError: naming what of the anchors or the scorecard's webhook cannot be used.
    """
    chores: list[Chore] = [
        _sealer(settings, engine).run,
        *_score(settings, engine),
        _retention(settings, engine, ring).run,
        ExportJobs(
            build_exporter(settings, engine, ring),
            Exports(engine),
            folder=packs_folder(settings),
            keep=settings.retention.packs,
        ).run,
    ]
    if anchors := build_anchors(settings):
        chores.append(AnchorLoop(engine, Checkpoints(engine), anchors).run)
    return chores


def _sealer(settings: Settings, engine: AsyncEngine) -> Sealer:
    ledger = SealedLedger(
        tenant=settings.tenant,
        origin=settings.ledger_origin,
        open_signer=settings.open_signer,
        head=HeadFile(settings.path(settings.data_dir) / HEAD_FILE, settings.ledger_origin),
        heartbeat=settings.ledger.heartbeat,
    )
    return Sealer(Sequencer(engine.url, ledger))


def _score(settings: Settings, engine: AsyncEngine) -> list[Chore]:
    scores = Scores(engine)
    service = build_score_service(settings, scores)
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
