"""Takes readings of the official score: daily, and when a case closes; each goes out at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.outside import outside
from lockstep.control.score.questions import Question
from lockstep.storage.score.scores import Scores, Snapshot

log = structlog.get_logger("lockstep.score")

SCORECARD = "scorecard"
"""Name of the target in the outbox."""
EVENT_TYPE = "people_score.read"
"""Type of the message (Standard Webhooks 1.0, "Payload structure"). Public: never rename."""
PACE = timedelta(minutes=1)
"""What happens within a minute shares a reading."""
POLL = timedelta(seconds=5)
_AFTER_TROUBLE = timedelta(seconds=30)

DAILY = "daily"


class Readings:
    """One reading a day (UTC), and one soon after a case has closed or a metric was reported.

    Both show as a head of the ledger that the newest reading does not cover. Any number of these
    loops may run: one has the turn, under a lock.

    Args:
        target: where readings are pushed to; None keeps them here only.
    """

    def __init__(
        self,
        scores: Scores,
        service: ScoreService,
        *,
        target: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        poll: timedelta = POLL,
    ) -> None:
        self._scores = scores
        self._service = service
        self._target = target
        self._now = now
        self._poll = poll

    async def run(self) -> None:
        """Take readings until cancelled; an outage of the database ends by itself."""
        while True:
            pause = self._poll
            try:
                await self.step()
            except (SQLAlchemyError, OSError) as error:
                log.warning("reading_waits", error=type(error).__name__)
                pause = _AFTER_TROUBLE
            await asyncio.sleep(pause.total_seconds())

    async def step(self) -> str:
        """Take a reading if one is due; returns why ("daily" or the kind of an entry), or "".

        The reading and its message are one transaction: what is on record is on its way.
        """
        async with self._scores.turn() as turn:
            if turn is None:
                return ""
            now = self._now()
            newest = await turn.newest()
            reason = daily(newest, now)
            if newest is not None and not reason and now - newest.taken_at >= PACE:
                reason = await turn.news(covered=newest.document["ledger"]["size"])
            if not reason:
                return ""
            document = await self._service.read(Question(), as_of=now)
            del document["trend"]  # made of the readings; not kept in each of them again
            kept = Snapshot(now, reason, document)
            sent = replace(kept, document=outside(document, heads=True))
            await turn.keep(kept, target=self._target, body=message(sent))
        log.info("score_read", verdict=reason)
        return reason


def daily(newest: Snapshot | None, now: datetime) -> str:
    """A reading is due while today (UTC) has none."""
    is_first = newest is None or newest.taken_at.astimezone(UTC).date() < now.date()
    return DAILY if is_first else ""


def message(kept: Snapshot) -> bytes:
    """The body for the scorecard: the score's document with the ledger's head it stands on."""
    envelope: dict[str, Any] = {
        "type": EVENT_TYPE,
        "timestamp": kept.document["as_of"],
        "reason": kept.reason,
        "data": dict(kept.document),
    }
    return json.dumps(envelope, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
