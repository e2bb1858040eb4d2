"""Carries signed checkpoints to the anchors: each by itself, for ever, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from connectors.anchors.base import (
    Anchor,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorUnfit,
)
from lockstep.evidence.format.notes import NoteError, parse_checkpoint, split_note
from lockstep.storage.ledger.anchorings import CLAIM, Anchorings, Due
from lockstep.storage.ledger.checkpoints import BrokenOrderError, Checkpoints, StoredCheckpoint
from lockstep.storage.ledger.proofs import Proofs

log = structlog.get_logger("lockstep.anchoring")

PATIENCE = timedelta(seconds=30)
"""For one whole publication; shorter than the claim on it."""
POLL = timedelta(seconds=2)
"""How long a new checkpoint waits at most before it is looked at."""


def outgoing(stored: StoredCheckpoint | None, proofs: Proofs) -> AnchorCheckpoint:
    """A stored checkpoint as it leaves the house, with what proves that the ledger only grew.

    Raises:
        AnchorFault: if it is not there, or is not one.
    """
    if stored is None:
        raise AnchorFault("the stored checkpoint is missing", transient=False)
    try:
        body, _ = split_note(stored.note)
        origin = parse_checkpoint(body).origin
    except NoteError as error:
        raise AnchorFault(f"the stored checkpoint: {error}", transient=False) from None

    async def grown_from(old: int) -> list[bytes]:
        try:
            return await proofs.growth(old, stored)
        except BrokenOrderError as error:
            raise AnchorFault(str(error), transient=False) from None

    note = stored.note.encode()
    return AnchorCheckpoint(origin, stored.size, note, stored.signed_at, grown_from)


async def publish(
    anchor: Anchor, checkpoint: AnchorCheckpoint, *, patience: timedelta = PATIENCE
) -> bytes:
    """Publish once, within ``patience``; returns the receipt.

    Raises:
        AnchorFault: whatever went wrong, a fault of the anchor's code included.
    """
    try:
        async with asyncio.timeout(patience.total_seconds()):
            return await anchor.publish(checkpoint)
    except AnchorFault:
        raise
    except TimeoutError:
        fault = AnchorFault("no answer in time")
    except Exception as error:
        # One anchor's bug must not stop the others; the log has the place, never the text.
        log.exception("anchor_broken", kind=anchor.kind)
        fault = AnchorFault(f"a fault of Lockstep: {type(error).__name__}", transient=False)
    raise fault


class AnchorLoop:
    """Publishes what is due, every anchor in a task of its own. Any number of loops may run.

    At least once: what was published and not recorded, because a process died in between, is
    published again, which is harmless. ``anchors`` are closed when the loop ends.
    """

    def __init__(
        self,
        anchorings: Anchorings,
        checkpoints: Checkpoints,
        proofs: Proofs,
        anchors: Mapping[str, Anchor],
        *,
        patience: timedelta = PATIENCE,
        poll: timedelta = POLL,
    ) -> None:
        if patience >= CLAIM:
            raise ValueError("a publication must end before the claim on it does")
        self._anchorings = anchorings
        self._checkpoints = checkpoints
        self._proofs = proofs
        self._anchors = dict(anchors)
        self._patience = patience
        self._poll = poll.total_seconds()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Publish until cancelled. Outages of database and peers end by themselves."""
        async with AsyncExitStack() as stack:
            for anchor in self._anchors.values():
                stack.push_async_callback(anchor.aclose)
            stack.push_async_callback(self._stop)
            has_begun = False
            while True:
                try:
                    if not has_begun:
                        await self._anchorings.anew([*self._anchors], now=datetime.now(UTC))
                        has_begun = True
                    await self._start_due()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("anchoring_waits", error=type(error).__name__)
                await self._pause()

    async def _start_due(self) -> None:
        free = [name for name in self._anchors if name not in self._under_way]
        if not free:
            return
        for due in await self._anchorings.due(datetime.now(UTC), len(free), anchors=free):
            task = asyncio.create_task(self._carry(due))
            self._under_way[due.anchor] = task

    async def _pause(self) -> None:
        """Until the next look, or until a publication has ended: there may be a next one."""
        if not self._under_way:
            await asyncio.sleep(self._poll)
            return
        await asyncio.wait(
            self._under_way.values(), timeout=self._poll, return_when=asyncio.FIRST_COMPLETED
        )
        for name, task in list(self._under_way.items()):
            if task.done():
                del self._under_way[name]
                if (error := task.exception()) is not None:
                    log.error("anchoring_broken", anchor=name, exc_info=error)

    async def _stop(self) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        self._under_way.clear()

    async def _carry(self, due: Due) -> None:
        try:
            await self._publish(due)
        except (SQLAlchemyError, OSError) as error:
            # The claim ends by itself, and the publication is repeated.
            log.warning("anchoring_waits", anchor=due.anchor, error=type(error).__name__)

    async def _publish(self, due: Due) -> None:
        anchor = self._anchors[due.anchor]
        about = {"anchor": due.anchor, "kind": anchor.kind, "attempt": due.attempts}
        try:
            checkpoint = outgoing(await self._checkpoints.at(due.size), self._proofs)
            receipt = await publish(anchor, checkpoint, patience=self._patience)
        except AnchorConflict as conflict:
            await self._anchorings.conflicted(
                due.anchor, due.size, error=conflict.code, now=datetime.now(UTC)
            )
            log.error("anchor_conflict", **about, code=conflict.code)  # noqa: TRY400 - no traceback
        except AnchorUnfit as fault:
            if await self._anchorings.unfit(
                due.anchor, due.size, error=fault.code, now=datetime.now(UTC)
            ):
                log.error("anchor_unfit", **about, code=fault.code)  # noqa: TRY400 - no traceback
        except AnchorFault as fault:
            if await self._anchorings.failed(due, error=fault.code, now=datetime.now(UTC)):
                log.warning("anchor_failing", **about, code=fault.code)
        else:
            if await self._anchorings.done(
                due.anchor, due.size, receipt=receipt, now=datetime.now(UTC)
            ):
                log.info("anchor_recovered", **about)
