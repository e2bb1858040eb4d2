"""Rings when something arrives in the inbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import structlog
from sqlalchemy.engine import URL

log = structlog.get_logger("lockstep.storage")

CHANNEL = "lockstep_inbox"
"""NOTIFY channel that wakes the dispatcher."""


@contextlib.asynccontextmanager
async def rings(url: URL) -> AsyncIterator[asyncio.Event]:
    """Set whenever something arrived, as a connection of its own hears; polling covers that."""
    event = asyncio.Event()
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    listening = asyncio.create_task(_listen(plain, event))
    try:
        yield event
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


async def _listen(url: str, event: asyncio.Event) -> None:
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(
                url, autocommit=True, connect_timeout=5
            )
            async with connection:
                await connection.execute(f"listen {CHANNEL}".encode())
                event.set()  # whatever came while nobody listened
                async for _ in connection.notifies():
                    event.set()
        except (psycopg.Error, OSError) as error:
            log.warning("listen_lost", error=type(error).__name__)
            await asyncio.sleep(1)
