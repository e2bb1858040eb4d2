"""The inbox: every acknowledged event, encrypted, until it has become a case."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.storage.intake.bell import CHANNEL, rings
from lockstep.storage.keys.check import require_keyring
from lockstep.storage.keys.keyring import Keyring, KeyringError
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.intake import inbox

log = structlog.get_logger("lockstep.storage")

CLAIM = timedelta(seconds=15)
"""A dispatcher that died keeps its events to itself for this long."""

_PAGE = 500


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """One event to be dispatched; ``body`` is the raw bytes as received."""

    id: int
    tenant: str
    source: str
    dedupe_key: str
    received_at: datetime
    attempts: int
    body: bytes = field(repr=False)
    brake_id: str | None = None
    """The brake that held it; whoever released it has looked at it."""
    identity_index: bytes | None = None
    """Which spell it is about, as a blind index; None where nobody has read it yet."""
    reporter: str = ""
    """Who of our own people sent it, by the id of a user or a token."""


@dataclass(frozen=True, slots=True)
class Arriving:
    """One of several events that are stored together. ``about``: worker id and spell."""

    dedupe_key: str
    body: bytes = field(repr=False)
    priority: int
    about: tuple[str, str] = field(repr=False)
    reporter: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands; ``body`` is empty once destroyed, or where it cannot be opened."""

    body: bytes = field(repr=False)
    state: str
    verdict: str
    error: str


@dataclass(frozen=True, slots=True)
class Disposition:
    """What became of one event: ``state`` is ``done`` or ``refused``.

    ``error``: why it was refused, or what of it was not done.
    """

    id: int
    state: str
    case_id: str | None = None
    verdict: str | None = None
    error: str | None = None


_EVENT = [
    *[inbox.c[name] for name in ("id", "tenant", "source", "dedupe_key", "received_at")],
    *[inbox.c[name] for name in ("attempts", "body", "brake_id", "identity_index", "reporter")],
]
_NEW = insert(inbox)
_INSERT = _NEW.on_conflict_do_update(
    index_elements=["source", "dedupe_key"],
    # A sender that corrects a refused event under its old id must not be told "duplicate".
    # What was refused at a brake comes before the brake again.
    set_={
        name: _NEW.excluded[name]
        for name in (
            *("received_at", "priority", "body", "state", "error", "verdict", "finished_at"),
            *("brake_id", "identity_index", "reporter"),
        )
    },
    where=and_(inbox.c.state == "refused", _NEW.excluded.state == "pending"),
).returning(inbox.c.id)
_INSERT_NEW = _NEW.on_conflict_do_nothing(index_elements=["source", "dedupe_key"]).returning(
    inbox.c.id
)
_UNREADABLE = (
    "the keyring does not open this event: give it the keys that it lacks; it is tried again every"
    f" {CLAIM.total_seconds():.0f} seconds"
)
_FINISH = (
    update(inbox)
    # Who was first has said what became of it: a case that begins may overtake a dispatcher.
    .where(inbox.c.id == bindparam("event"), inbox.c.state == "pending")
    .values(
        state=bindparam("new_state"),
        case_id=bindparam("new_case"),
        verdict=bindparam("new_verdict"),
        error=bindparam("new_error"),
        finished_at=func.clock_timestamp(),
        claimed_until=None,
        identity_index=None,
    )
)

_CLAIM = text(
    f"""
    with chosen as (
        select id from inbox
        where state = 'pending' and (claimed_until is null or claimed_until < now())
            and priority <= :lowest
        order by priority, id limit :limit for update skip locked
    )
    update inbox i
    set claimed_until = now() + interval '{CLAIM.total_seconds()} seconds', attempts = attempts + 1
    from chosen where i.id = chosen.id
    returning i.id, i.tenant, i.source, i.dedupe_key, i.received_at, i.attempts, i.body, i.priority,
        i.brake_id, i.error, i.identity_index, i.reporter
    """  # noqa: S608 - our own constant
)
"""As text: every look at an idle inbox would otherwise build it anew."""
_CLAIM_ABOUT = text(
    f"""
    update inbox i
    set claimed_until = now() + interval '{CLAIM.total_seconds()} seconds', attempts = attempts + 1
    from cases c
    where c.case_id = :case_id and i.state = 'pending' and i.identity_index = c.identity_index
    returning i.id, i.tenant, i.source, i.dedupe_key, i.received_at, i.attempts, i.body, i.brake_id,
        i.identity_index, i.reporter
    """  # noqa: S608 - our own constant
)
_UNREAD = select(*_EVENT).where(inbox.c.state == "pending", inbox.c.identity_index.is_(None))
_NAME = (
    update(inbox)
    .where(inbox.c.id == bindparam("event"), inbox.c.identity_index.is_(None))
    .values(identity_index=bindparam("about"))
)
NOBODY_CAN_TELL = b""
"""The ``identity_index`` of an event that cannot be read."""


class Inbox:
    """Stores, claims and finishes events."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring
        self._is_fit = False

    def rings(self) -> contextlib.AbstractAsyncContextManager[asyncio.Event]:
        """Set whenever something arrived while the block runs."""
        return rings(self._engine.url)

    async def store(
        self,
        *,
        tenant: str,
        source: str,
        dedupe_key: str,
        received_at: datetime,
        body: bytes,
        priority: int,
        refused: str | None = None,
        verdict: str | None = None,
        about: tuple[str, str] | None = None,
        reporter: str = "",
    ) -> bool:
        """Commit one event; False if it is here already. ``refused`` keeps it for people only.

        ``verdict``: of one that was refused for what it contradicts. ``about``: worker id and
        spell, by which a case that begins finds it. ``reporter``: who of our own people sent it.

        A usable event takes the place of a refused one with the same key.

        Raises:
            StorageError: another keyring wrote what this database holds: nobody could read it.
        """
        row = {
            "tenant": tenant,
            "source": source,
            "dedupe_key": dedupe_key,
            "received_at": received_at,
            "priority": priority,
            "body": self._ring.encrypt(body, context=event_context(source, dedupe_key)),
            "state": "refused" if refused else "pending",
            "error": refused,
            "verdict": verdict,
            "finished_at": received_at if refused else None,
            "identity_index": (
                spell_index(self._ring, tenant, *about) if about and not refused else None
            ),
            "reporter": reporter,
        }
        async with self._engine.begin() as connection:
            if not self._is_fit:  # a database that was away when this process started
                await require_keyring(connection, self._ring)
            inserted = await connection.scalar(_INSERT, row)
            if inserted is not None and not refused:
                await connection.execute(text(f"notify {CHANNEL}"))
        self._is_fit = True
        return inserted is not None

    async def store_all(
        self, events: Sequence[Arriving], *, tenant: str, source: str, received_at: datetime
    ) -> int:
        """Commit events together, all or none; how many of them were not here already."""
        rows = [
            {
                "tenant": tenant,
                "source": source,
                "dedupe_key": event.dedupe_key,
                "received_at": received_at,
                "priority": event.priority,
                "body": self._ring.encrypt(
                    event.body, context=event_context(source, event.dedupe_key)
                ),
                "identity_index": spell_index(self._ring, tenant, *event.about),
                "reporter": event.reporter,
            }
            for event in events
        ]
        if not rows:
            return 0
        async with self._engine.begin() as connection:
            inserted = (await connection.scalars(_INSERT_NEW, rows)).all()
            await connection.execute(text(f"notify {CHANNEL}"))
        return len(inserted)

    async def states_of(self, source: str, dedupe_keys: Collection[str]) -> Counter[str]:
        """How many of the events under these keys are in which state."""
        query = (
            select(inbox.c.state, func.count())
            .where(inbox.c.source == source, inbox.c.dedupe_key.in_(sorted(dedupe_keys)))
            .group_by(inbox.c.state)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return Counter({row.state: row[1] for row in rows})

    async def find(self, source: str, dedupe_key: str) -> Stored | None:
        """What stands under a key."""
        query = select(inbox.c.body, inbox.c.state, inbox.c.verdict, inbox.c.error).where(
            inbox.c.source == source, inbox.c.dedupe_key == dedupe_key
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        body = b""
        if row.body:
            with contextlib.suppress(KeyringError):
                body = self._ring.decrypt(row.body, context=event_context(source, dedupe_key))
        return Stored(body, row.state, row.verdict or "", row.error or "")

    def key_beside(self, dedupe_key: str, said: bytes) -> str:
        """The key of what was sent under the key of something else; the same for the same."""
        digest = self._ring.blind_index("beside", dedupe_key, hashlib.sha256(said).hexdigest())
        return f"{dedupe_key}~{digest.hex()[:16]}"

    async def claim(self, limit: int, *, lowest_priority: int = 9) -> list[InboxEvent]:
        """Take the most urgent waiting events for `CLAIM`; other dispatchers skip them.

        Those less urgent than ``lowest_priority`` (1 is most urgent) are left waiting.

        An event that the keyring does not open stays pending: refusing it could lose it, because
        the fault may be the keyring's; holding up the others would be worse.
        """
        async with self._engine.begin() as connection:
            rows = (
                await connection.execute(_CLAIM, {"lowest": lowest_priority, "limit": limit})
            ).all()
            rows = sorted(rows, key=lambda row: (row.priority, row.id))
            opened = {row.id: self._open(row) for row in rows}
            for row in rows:
                says = _UNREADABLE if opened[row.id] is None else None
                if row.error != says:  # people must see it, and a log is read by few
                    statement = update(inbox).where(inbox.c.id == row.id).values(error=says)
                    await connection.execute(statement)
        return [event for event in opened.values() if event is not None]

    def _open(self, row: Row[Any]) -> InboxEvent | None:
        try:
            body = self._ring.decrypt(row.body, context=event_context(row.source, row.dedupe_key))
        except KeyringError:
            log.error("event_unreadable", inbox_id=row.id, source=row.source)  # noqa: TRY400 - no traceback
            return None
        return InboxEvent(
            id=row.id,
            tenant=row.tenant,
            source=row.source,
            dedupe_key=row.dedupe_key,
            received_at=row.received_at,
            attempts=row.attempts,
            body=body,
            brake_id=row.brake_id,
            identity_index=row.identity_index,
            reporter=row.reporter,
        )

    async def finish(self, dispositions: Sequence[Disposition]) -> None:
        """Record what became of events."""
        if not dispositions:
            return
        values = [
            {
                "event": row.id,
                "new_state": row.state,
                "new_case": row.case_id,
                "new_verdict": row.verdict,
                "new_error": row.error,
            }
            for row in dispositions
        ]
        async with self._engine.begin() as connection:
            await connection.execute(_FINISH, values)

    async def release(self, ids: Sequence[int], *, after: timedelta) -> None:
        """Give events back, to be tried again after a while."""
        statement = (
            update(inbox).where(inbox.c.id.in_(ids)).values(claimed_until=func.now() + after)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def claim_about(self, case_id: str) -> tuple[list[InboxEvent], list[int]]:
        """Take, before their turn, the waiting events about a case's spell, in their order.

        Also from a dispatcher that is at them: each is carried out once, by whoever comes first.

        Returns:
            The events, and the ids of those that the keyring does not open.
        """
        async with self._engine.begin() as connection:
            rows = (await connection.execute(_CLAIM_ABOUT, {"case_id": case_id})).all()
        opened = [(row.id, self._open(row)) for row in sorted(rows, key=lambda row: row.id)]
        return (
            [event for _, event in opened if event is not None],
            [number for number, event in opened if event is None],
        )

    async def unread(self) -> tuple[list[InboxEvent], list[int]]:
        """Waiting events, some at once, of which nobody knows yet whom they are about.

        As of `claim_about`; nothing is claimed.
        """
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_UNREAD.order_by(inbox.c.id).limit(_PAGE))).all()
        opened = [(row.id, self._open(row)) for row in rows]
        return (
            [event for _, event in opened if event is not None],
            [number for number, event in opened if event is None],
        )

    async def name(self, about: Mapping[int, tuple[str, str, str] | None]) -> None:
        """Note whom events are about: tenant, worker id and spell; None where nobody can tell."""
        rows = [
            {
                "event": number,
                "about": spell_index(self._ring, *whom) if whom else NOBODY_CAN_TELL,
            }
            for number, whom in about.items()
        ]
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(_NAME, rows)

    async def forget_unreadable(self) -> None:
        """Have events that nobody could read read once more: the keyring may be mended."""
        statement = (
            update(inbox)
            .where(inbox.c.state == "pending", inbox.c.identity_index == NOBODY_CAN_TELL)
            .values(identity_index=None)
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def refused(self, connection: AsyncConnection) -> AsyncIterator[InboxEvent]:
        """Refused events that still have a body, within the caller's transaction.

        One that the keyring does not open is left out.
        """
        after = 0
        while True:
            query = (
                select(*_EVENT)
                .where(inbox.c.state == "refused", inbox.c.body != b"", inbox.c.id > after)
                .order_by(inbox.c.id)
                .limit(_PAGE)
            )
            rows = (await connection.execute(query)).all()
            for row in rows:
                if (event := self._open(row)) is not None:
                    yield event
            if len(rows) < _PAGE:
                return
            after = rows[-1].id

    async def said_of(self, cases: Collection[CaseRow]) -> dict[str, list[InboxEvent]]:
        """The events that led to each case, or changed it; not those whose body is destroyed.

        The last one too, whose dispatcher may not have come to say so.
        """
        if not cases:
            return {}
        lasts = [case.last_event_id for case in cases]
        sources = {name for case in cases for name in _sources(case)}
        query = (
            select(*_EVENT, inbox.c.case_id)
            .where(
                or_(
                    inbox.c.case_id.in_([case.case_id for case in cases]),
                    and_(inbox.c.dedupe_key.in_(lasts), inbox.c.source.in_(sorted(sources))),
                ),
                inbox.c.state != "refused",
                inbox.c.body != b"",
            )
            .order_by(inbox.c.id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return self._by_case(rows, cases)

    async def spoken_of(self, cases: Collection[CaseRow]) -> frozenset[str]:
        """Those of the cases of which an HR system itself has said something.

        Of the others only people here have spoken; the newest word counts though nobody has noted
        yet that it was carried out.
        """
        if not cases:
            return frozenset()
        lasts = {(name, case.last_event_id): case.case_id for case in cases for name in _hr(case)}
        query = (
            select(inbox.c.case_id, inbox.c.source, inbox.c.dedupe_key)
            .where(inbox.c.source != LOCAL_SOURCE)
            .where(
                or_(
                    and_(
                        inbox.c.case_id.in_([case.case_id for case in cases]),
                        inbox.c.state == "done",
                    ),
                    and_(
                        inbox.c.source.in_(sorted({name for name, _ in lasts})),
                        inbox.c.dedupe_key.in_(sorted({key for _, key in lasts})),
                    ),
                )
            )
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        own = {case.case_id for case in cases if case.source != LOCAL_SOURCE}
        found = {row.case_id or lasts.get((row.source, row.dedupe_key)) for row in rows}
        return frozenset(own | {case_id for case_id in found if case_id})

    def _by_case(
        self, rows: Sequence[Any], cases: Collection[CaseRow]
    ) -> dict[str, list[InboxEvent]]:
        lasts: dict[tuple[str, str], set[str]] = {}
        for case in cases:
            for name in _sources(case):
                lasts.setdefault((name, case.last_event_id), set()).add(case.case_id)
        said: dict[str, list[InboxEvent]] = {case.case_id: [] for case in cases}
        for row in rows:
            event = self._open(row)
            about = {row.case_id} | lasts.get((row.source, row.dedupe_key), set())
            if event is None:
                continue
            for case_id in about & said.keys():
                said[case_id].append(event)
        return said

    async def counts(self) -> dict[str, int]:
        """Events by state."""
        query = select(inbox.c.state, func.count()).group_by(inbox.c.state)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.state: row[1] for row in rows}


def spell_index(ring: Keyring, tenant: str, worker_id: str, spell: str) -> bytes:
    """Finds a spell without storing worker id or spell; of every source with this number."""
    return ring.blind_index("spell", tenant, worker_id, spell)


def _sources(case: CaseRow) -> tuple[str, ...]:
    """Where a case's last event may have come from."""
    return case.source, case.numbered_by, LOCAL_SOURCE


def _hr(case: CaseRow) -> tuple[str, ...]:
    """HR systems that a case's last event may have come from."""
    return tuple(name for name in (case.source, case.numbered_by) if name != LOCAL_SOURCE)


def event_context(source: str, dedupe_key: str) -> bytes:
    """What binds an event's ciphertext to its place."""
    return f"inbox\x00{source}\x00{dedupe_key}".encode()
