"""An outbox loop in a process of its own, to be killed: `sending DATABASE_URL URL SECRET LEASE`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from lockstep.control.notices.outbox import Outbox, Webhooks
from lockstep.storage.engine.database import create_engine
from lockstep.storage.outgoing.deliveries import Deliveries


async def work(database_url: str, url: str, secret: str, lease: timedelta) -> None:
    deliveries = Deliveries(create_engine(database_url))
    await Outbox(deliveries, Webhooks(url, secret), target="scorecard", lease=lease).run()


if __name__ == "__main__":
    _, database_url, url, secret, lease = sys.argv
    asyncio.run(work(database_url, url, secret, timedelta(seconds=float(lease))))
