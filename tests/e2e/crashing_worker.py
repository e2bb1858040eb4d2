"""A worker that kills itself once: `crashing_worker CONFIG SYSTEM POINT FLAG`.

Everything in it is the product's own. One step of one system is wrapped, so that the process
sends itself SIGKILL the first time it passes the point; the flag file makes it once, because the
supervisor starts the process again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from connectors.http import VendorHttp
from lockstep.cli.context import finish, settings_or_die
from lockstep.cli.runtime.servers import say_ready, stop_event
from lockstep.control.runtime.temporal import connect
from lockstep.settings import Settings
from lockstep.storage.stores import Stores
from lockstep.storage.systems.revocations import Revocation, Revocations
from lockstep.worker import Parts, build_parts, run_worker


class Point(StrEnum):
    """Where the worker dies, in the order of a revocation."""

    BEFORE_ATTEMPT = "before_attempt"
    AFTER_ATTEMPT = "after_attempt"
    AFTER_CONTAINING = "after_containing"
    AMID_CHANGES = "amid_changes"
    AFTER_CHANGES = "after_changes"
    BEFORE_OUTCOME = "before_outcome"
    AFTER_OUTCOME = "after_outcome"


class Trap:
    """Kills the process at one point of one system, once."""

    def __init__(self, system: str, point: Point, flag: Path) -> None:
        self.system = system
        self.point = point
        self._flag = flag

    def passing(self, point: Point, system: str) -> None:
        if (point, system) != (self.point, self.system):
            return
        try:
            os.close(os.open(self._flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class TrappedRevocations(Revocations):
    """Dies around the writing of ATTEMPT or OUTCOME."""

    def __init__(self, stores: Stores, trap: Trap) -> None:
        super().__init__(stores.engine, stores.ring, stores.ledger)
        self._trap = trap

    async def attempt(self, item: Revocation, **rest: Any) -> bool:
        self._trap.passing(Point.BEFORE_ATTEMPT, item.system)
        result = await super().attempt(item, **rest)
        self._trap.passing(Point.AFTER_ATTEMPT, item.system)
        return result

    async def outcome(self, item: Revocation, **rest: Any) -> bool:
        self._trap.passing(Point.BEFORE_OUTCOME, item.system)
        result = await super().outcome(item, **rest)
        self._trap.passing(Point.AFTER_OUTCOME, item.system)
        return result


def trap_connector(parts: Parts, trap: Trap) -> None:
    """Die once the sign-in is shut, after the vendor's first change, or after the last."""
    connector: Any = parts.connectors[trap.system]
    call = VendorHttp.call

    def trapped(step: Callable[..., Awaitable[Any]], point: Point) -> Callable[..., Awaitable[Any]]:
        async def carried_out(*args: Any, **rest: Any) -> Any:
            result = await step(*args, **rest)
            trap.passing(point, trap.system)
            return result

        return carried_out

    async def trapped_call(self: Any, method: str, *args: Any, **rest: Any) -> Any:
        answer = await call(self, method, *args, **rest)
        if method != "GET" and self._dialect.connector == connector.kind:
            trap.passing(Point.AMID_CHANGES, trap.system)
        return answer

    connector.contain = trapped(connector.contain, Point.AFTER_CONTAINING)
    connector.strip = trapped(connector.strip, Point.AFTER_CHANGES)
    VendorHttp.call = trapped_call  # type: ignore[method-assign] # this process exists for it


async def work(settings: Settings, trap: Trap) -> None:
    stop = stop_event()
    ring = settings.open_keyring()
    client = await connect(settings.temporal_address(), ring)
    parts = build_parts(settings, settings.database_url(), ring)
    trap_connector(parts, trap)
    parts.stores.revocations = TrappedRevocations(parts.stores, trap)
    await run_worker(settings, client, parts, stop=stop, ready=say_ready)


if __name__ == "__main__":
    config, system, point, flag = sys.argv[1:]
    asyncio.run(work(settings_or_die(Path(config)), Trap(system, Point(point), Path(flag))))
    finish()
