"""An anchor loop in a process of its own that dies between publishing and recording.

``python -m tests.control.ledger.anchoring DATABASE_URL WEBHOOK_URL SECRET HOME``
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from lockstep.control.ledger.anchoring import AnchorLoop
from lockstep.storage.engine.database import create_engine
from lockstep.storage.ledger.anchorings import Anchorings
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.proofs import Proofs
from tests.connectors.anchors.peers import build


async def dies(*_: object, **__: object) -> bool:
    os._exit(9)


async def work(database_url: str, url: str, secret: str, home: str) -> None:
    engine = create_engine(database_url)
    anchor = build("webhook", {"url": url}, {"secret": secret}, home=Path(home))
    await AnchorLoop(
        Anchorings(engine), Checkpoints(engine), Proofs(engine), {"hook": anchor}
    ).run()


if __name__ == "__main__":
    Anchorings.done = dies  # type: ignore[method-assign] - the crash that is tested
    asyncio.run(work(*sys.argv[1:]))
