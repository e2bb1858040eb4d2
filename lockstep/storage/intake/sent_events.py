"""Events that one of our own people has sent, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, false, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.rights import Scope
from lockstep.storage.intake.event_numbers import EventNumbers
from lockstep.storage.intake.inbox import event_context
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.people.visibility import is_sealed, visible
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.intake import inbox

PAGE = 50
_MADE = (Verdict.OPEN.value, Verdict.AMEND.value)


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event. ``body`` is empty once erased; the case is there once the event was carried out.

    Args:
        id: its number as `EventNumbers` shows it.
        key: the one that it was sent under.
        verdict: what it did to what was known.
    """

    id: int
    key: str
    sent_at: datetime
    state: str
    error: str
    body: bytes = field(repr=False)
    verdict: str
    case_id: str
    case_status: str
    cutoff_at: datetime | None
    revision: int


class SentEvents:
    """Reads the inbox of one sender; ``source`` is where our own people's events stand."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, *, source: str) -> None:
        self._engine = engine
        self._ring = ring
        self._source = source
        self._numbers = EventNumbers(ring)

    async def newest(
        self, prefix: str, scope: Scope, *, before: int | None = None
    ) -> list[SentEvent]:
        """The newest events whose key begins with ``prefix``; one more than `PAGE` at most."""
        query = self._query(prefix, scope).order_by(inbox.c.id.desc()).limit(PAGE + 1)
        if before is not None:
            query = query.where(inbox.c.id < self._numbers.row_id(before))
        return await self._read(query)

    async def one(self, prefix: str, scope: Scope, event: int) -> SentEvent | None:
        """One event of the sender's, None if there is none of this id."""
        row_id = self._numbers.row_id(event)
        found = await self._read(self._query(prefix, scope).where(inbox.c.id == row_id))
        return next(iter(found), None)

    async def by_key(self, dedupe_key: str, scope: Scope) -> SentEvent | None:
        """One event by the key that it was sent under."""
        same = self._query(dedupe_key, scope).where(inbox.c.dedupe_key == dedupe_key)
        return next(iter(await self._read(same)), None)

    async def by_keys(
        self, prefix: str, scope: Scope, keys: Collection[str]
    ) -> dict[str, SentEvent]:
        """Those of the sender's events that were sent under these keys, by key."""
        mine = self._query(prefix, scope).where(inbox.c.dedupe_key.in_(sorted(keys)))
        return {event.key: event for event in await self._read(mine)}

    async def that_made(
        self, prefix: str, scope: Scope, case_ids: Collection[str]
    ) -> dict[str, SentEvent]:
        """The sender's newest event that opened or changed each case, by case.

        A case is absent that they did not open, or may not be told of any more.
        """
        ids = sorted(set(case_ids))
        if not ids:
            return {}
        own = (
            self._query(prefix, scope)
            .where(inbox.c.case_id.in_(ids), inbox.c.verdict.in_(_MADE))
            .order_by(inbox.c.id)
        )
        return {event.case_id: event for event in await self._read(own) if event.case_id}

    def _query(self, prefix: str, scope: Scope) -> Select[Any]:
        """What this sender sent; nothing about the sender, and no case of another partner.

        A coming dismissal that somebody has reported is no secret to them; one that HR made of the
        resignation that they reported is: of its case they are told nothing (`_sent`).
        """
        own = and_(cases.c.case_id == inbox.c.case_id, visible(replace(scope, sealed=True)))
        columns = [
            *[inbox.c[name] for name in ("id", "dedupe_key", "received_at", "state", "error")],
            *[inbox.c[name] for name in ("body", "verdict")],
            cases.c.case_id,
            cases.c.status,
            cases.c.cutoff_at,
            cases.c.revision,
            (false() if scope.sealed else is_sealed()).label("is_sealed"),
        ]
        return (
            select(*columns)
            .select_from(inbox.outerjoin(cases, own))
            .where(
                inbox.c.source == self._source,
                inbox.c.dedupe_key.startswith(prefix, autoescape=True),
                or_(inbox.c.case_id.is_(None), cases.c.case_id.is_not(None)),
            )
        )

    async def _read(self, query: Select[Any]) -> list[SentEvent]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [self._sent(row) for row in rows]

    def _sent(self, row: Any) -> SentEvent:
        body = b""
        if row.body:
            try:
                context = event_context(self._source, row.dedupe_key)
                body = self._ring.decrypt(row.body, context=context)
            except KeyringError:
                body = b""
        is_secret = row.is_sealed and not _tells_of_a_dismissal(body)
        return SentEvent(
            id=self._numbers.shown(row.id),
            key=row.dedupe_key,
            sent_at=row.received_at,
            state=row.state,
            error=row.error or "",
            body=body,
            verdict=row.verdict or "",
            case_id="" if is_secret else row.case_id or "",
            case_status="" if is_secret else row.status or "",
            cutoff_at=None if is_secret else row.cutoff_at,
            revision=row.revision or 0,
        )


def _tells_of_a_dismissal(body: bytes) -> bool:
    """Whether the sender's own words were of one; what cannot be read tells nothing."""
    try:
        return bool(json.loads(body)["event"]["kind"] == TerminationKind.INVOLUNTARY)
    except (ValueError, KeyError, TypeError):
        return False
