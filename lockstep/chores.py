"""What runs beside the cases in a worker.

Each chore is a loop of its own that survives outages by itself; any number of workers may run
them, one at a time does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from temporalio.client import Client

from activities.condition import Condition
from connectors.base import Connector
from lockstep.composition import Root
from lockstep.control.ledger.anchoring import AnchorLoop
from lockstep.control.ledger.sealing import Sealer
from lockstep.control.notices.alarms import Alarms
from lockstep.control.notices.outbox import Outbox, Webhooks
from lockstep.control.notices.telling import Notifier
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs
from lockstep.control.packs.process import MakerProcess
from lockstep.control.score.readings import SCORECARD, Readings
from lockstep.control.systems.health import HealthWatch
from lockstep.control.systems.waking import Waker
from lockstep.domain.notices import NoticeKind
from lockstep.settings.anchors import build_anchors
from lockstep.settings.channels import build_channel
from lockstep.storage.ledger.head import HEAD_FILE, HeadFile
from lockstep.storage.ledger.sequencer import SealedLedger, Sequencer

Chore = Callable[[], Coroutine[Any, Any, None]]

_MAKE = (sys.executable, "-m", "lockstep.cli.main", "evidence", "make-ordered")


def build_chores(root: Root) -> list[Chore]:
    """Everything that this installation's settings ask for.

    Raises:
        SettingsError: naming what of the anchors or the scorecard's webhook cannot be used.
    """
    settings, stores = root.settings, root.stores
    chores: list[Chore] = [
        _sealer(root).run,
        *_score(root),
        root.retention.run,
        ExportJobs(
            MakerProcess((*_MAKE, "--config", str(settings.file))).make,
            stores.exports,
            folder=PacksFolder(root.packs_folder),
            keep=settings.retention.packs,
        ).run,
    ]
    if settings.notices.routes:
        chores.append(_notifier(root).run)
    if anchors := build_anchors(settings):
        chores.append(AnchorLoop(stores.anchorings, stores.checkpoints, stores.proofs, anchors).run)
    return chores


def build_health_watch(
    root: Root, connectors: Mapping[str, Connector], conditions: Mapping[str, Condition]
) -> Chore:
    """Looks at the systems that this worker speaks to."""
    return HealthWatch(
        connectors,
        conditions,
        root.stores.health,
        root.stores.pauses,
        tolerance=root.settings.policy.vendor_clock_tolerance,
    ).run


def build_waker(root: Root, client: Client) -> Chore:
    """Wakes whom a system's trouble held up, at each system's pace."""
    pace = {name: table.wakes_per_minute for name, table in root.settings.systems.items()}
    return Waker(client, root.stores.wakings, root.stores.outages, per_minute=pace).run


def _sealer(root: Root) -> Sealer:
    settings = root.settings
    ledger = SealedLedger(
        tenant=settings.tenant,
        origin=settings.ledger_origin,
        open_signer=settings.open_signer,
        head=HeadFile(settings.path(settings.data_dir) / HEAD_FILE, settings.ledger_origin),
        heartbeat=settings.ledger.heartbeat,
        seal=root.facts_seal,
    )
    return Sealer(Sequencer(root.stores.engine.url, ledger))


def _notifier(root: Root) -> Notifier:
    settings, stores = root.settings, root.stores
    alarms = Alarms(
        stores,
        anchors=sorted(settings.ledger.anchors),
        silent_after=settings.notices.silent_after,
    )

    async def leaver(case_id: str) -> str:
        view = await stores.views.show(case_id)
        return view.leaver if view else ""

    return Notifier(
        stores.notices,
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


def _score(root: Root) -> list[Chore]:
    scores, service = root.stores.scores, root.score
    receiver = root.settings.scorecard_receiver()
    if receiver is None:
        return [Readings(scores, service).run]
    return [
        Readings(scores, service, target=SCORECARD).run,
        Outbox(root.stores.deliveries, Webhooks(*receiver), target=SCORECARD).run,
    ]
