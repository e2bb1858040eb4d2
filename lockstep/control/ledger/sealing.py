"""The loop that keeps the ledger ordered and sealed, beside the cases and never in their way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import psycopg
import structlog

from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.sequencer import Sequencer, Step

log = structlog.get_logger("lockstep.sealing")

POLL = timedelta(milliseconds=500)
"""How often new entries are looked for. A NOTIFY with each append would cost the append more."""
WAITING = timedelta(seconds=1)
"""How often another process tries whether the sequencer has gone."""
BEHIND = timedelta(seconds=2)
"""The same while cases compete for the processor: fewer passes, each over more."""
AFTER_TROUBLE = timedelta(seconds=1)
REFUSED = timedelta(seconds=5)
"""How long the ledger is left alone after a refusal; another process may be luckier meanwhile."""
GRACE = timedelta(seconds=5)
"""How long a step may finish when the worker is asked to stop."""
SHARE = 0.5
"""The part of the time that catching up may take: the rest belongs to the cases."""

Result = TypeVar("Result")


class Sealer:
    """Runs a sequencer in a thread of its own: it hashes, folds and signs, which would block.

    ``is_behind`` says whether the cases that run beside it need the processor more.
    """

    def __init__(
        self, sequencer: Sequencer, *, is_behind: Callable[[], bool] = lambda: False
    ) -> None:
        self._sequencer = sequencer
        self._is_behind = is_behind
        self._said = ""

    async def run(self) -> None:
        """Work until cancelled; trouble is logged and tried again, and stops no case."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="sequencer")
        try:
            while True:
                pause = await _in(thread, self._pass)
                await asyncio.sleep(pause.total_seconds())
        finally:  # after the step under way, which cannot be interrupted; killing it is harmless
            with contextlib.suppress(TimeoutError):
                closed = _in(thread, self._sequencer.close)
                await asyncio.wait_for(closed, GRACE.total_seconds())
            thread.shutdown(wait=False)

    def _pass(self) -> timedelta:
        """One step; how long to wait before the next."""
        began = time.monotonic()
        try:
            step = self._sequencer.step()
        except LedgerRefusedError as refused:
            self._refuse(refused)
            return REFUSED
        except (psycopg.Error, OSError) as error:
            log.warning("ledger_unreachable", error=type(error).__name__)
            return AFTER_TROUBLE
        except Exception:  # a key service, for instance: the next try may work
            log.exception("sealing_failed")
            return AFTER_TROUBLE
        self._said = ""
        took = timedelta(seconds=time.monotonic() - began)
        match step:
            case Step.MORE:
                return took * (1 / SHARE - 1)
            case Step.WAITING:
                return WAITING
            case Step.IDLE:  # a pass that took long, over a long-open transaction, is made rarely
                poll = BEHIND if self._is_behind() else POLL
                return max(poll, took * (1 / SHARE - 1))

    def _refuse(self, refused: LedgerRefusedError) -> None:
        """Say it when it begins, not at every try."""
        if self._said != refused.code:
            log.error("ledger_refused", code=refused.code, error=str(refused))
        self._said = refused.code


async def _in(thread: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(thread, work)
