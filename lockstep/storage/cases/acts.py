"""What people did to a case: each act once, with its entry, and of two at once only one."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Executable, RowMapping, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.keys.artefacts import Upload, new_artefact
from lockstep.storage.keys.keyring import KeyringError
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.people.acts import act_entry
from lockstep.storage.people.requests import (
    RequestState,
    expire_old,
    lapse_request,
    settle_request,
)
from lockstep.storage.tables.casework import acts, assignments, decisions, requests
from lockstep.storage.tables.intake import inbox

MOST_ROWS = 200
_STORED_WITHIN = timedelta(seconds=30)


class ActKind(StrEnum):
    """What somebody did to a case. Public: it stands in the ledger as ``case.<kind>``."""

    RETRY = "retry"
    ATTEST = "attest"
    WAIVE = "waive"
    PICK = "pick"
    """Said which accounts in doubt are the leaver's."""
    ASK_PICK = "ask_pick"
    ASK_ATTEST = "ask_attest"
    """Asked that an attestation be approved."""
    ASK_WAIVE = "ask_waive"
    ASK_RESCHEDULE = "ask_reschedule"
    ASK_RESCIND = "ask_rescind"
    ASK_REHIRE = "ask_rehire"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    RESCHEDULE = "reschedule"
    RESCIND = "rescind"
    REHIRE = "rehire"
    """Said that they work here again: the watch of the closed case ends."""
    CORRECT = "correct"
    """Added keys of the leaver, or corrected kind, partner or site."""
    WITHDRAW_KEY = "withdraw_key"
    """Took a key of the leaver out of force."""
    ASK_WITHDRAW_KEY = "ask_withdraw_key"
    COMMENT = "comment"
    ASSIGN = "assign"
    NAMES = "names"
    """Looked at the leaver's name, with a reason."""
    FETCH = "fetch"
    """Fetched an artefact."""


class ActState(StrEnum):
    """Whether an act was carried out."""

    DONE = "done"
    SENT = "sent"
    """No answer has come yet: it may be sent again under the same id."""
    REFUSED = "refused"


class SlotTakenError(Exception):
    """Somebody else was faster: ``holder`` is their act."""

    def __init__(self, holder: ActRow) -> None:
        super().__init__("the slot is taken")
        self.holder = holder


class _TakenError(Exception):
    """Ends the transaction."""


class RequestStandsError(Exception):
    """Something was asked for already, and nobody has decided it yet."""


class DecidedError(Exception):
    """The request is decided, withdrawn or has run out."""


@dataclass(frozen=True, slots=True)
class ActRow:
    """One act. ``document`` is personal, and empty once the leaver's data are erased."""

    act_id: str
    slot: str | None
    case_id: str
    system: str
    kind: str
    user_id: str
    acted_at: datetime
    state: str
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class NewAct:
    """An act to be recorded. ``document`` holds names and free text, under the leaver's key."""

    case_id: str
    system: str
    kind: ActKind
    user_id: str
    document: Mapping[str, object] = field(repr=False)
    token: bool = False
    slot: str | None = None
    state: ActState = ActState.DONE
    act_id: str = field(default_factory=lambda: "a" + secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What a second person is asked for."""

    kind: str
    expires_at: datetime
    until: datetime | None
    document: Mapping[str, object] = field(repr=False)
    upload: Upload | None = None
    request_id: str = field(default_factory=lambda: "r" + secrets.token_hex(8))


class CaseActs:
    """Records acts; row, ledger entry and whatever they change stand or fall together."""

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def take(self, act: NewAct, subject: Subject, *, give_to: str = "") -> ActRow:
        """Record an act; with it the case is given to the user ``give_to``, if there is one.

        Raises:
            SlotTakenError: if its slot is somebody's already; then nothing is recorded.
        """
        try:
            async with self._engine.begin() as connection:
                row = await self._insert(connection, act, subject)
                if give_to:
                    await connection.execute(_assignment(act.case_id, give_to, row.acted_at))
                return row
        except _TakenError:
            raise SlotTakenError(await self._holder(act.slot or "", subject)) from None

    async def ask(self, act: NewAct, request: NewRequest, subject: Subject) -> ActRow:
        """Record that a second person is asked for, with the artefact if there is one.

        Raises:
            RequestStandsError: if something waits for this system already.
        """
        now = whole_ms(datetime.now(UTC))
        try:
            async with self._engine.begin() as connection:
                await expire_old(connection, act.case_id, act.system)
                artefact_id = None
                if request.upload is not None:
                    artefact_id, statement = new_artefact(
                        request.upload,
                        subject,
                        case_id=act.case_id,
                        system=act.system,
                        user_id=act.user_id,
                        now=now,
                    )
                    await connection.execute(statement)
                await connection.execute(_new_request(act, request, artefact_id, subject, now))
                return await self._insert(connection, act, subject)
        except IntegrityError as error:
            if "uq_requests_pending" not in str(error.orig):
                raise
            raise RequestStandsError from None

    async def settle(
        self, request_id: str, state: RequestState, act: NewAct, subject: Subject
    ) -> ActRow:
        """Decide a request and record the act, together.

        Raises:
            DecidedError: if it does not wait any more.
            SlotTakenError: if somebody is acting on its system just now.
        """
        try:
            async with self._engine.begin() as connection:
                if not await settle_request(connection, request_id, state, act.user_id):
                    raise DecidedError
                return await self._insert(connection, act, subject)
        except _TakenError:
            raise SlotTakenError(await self._holder(act.slot or "", subject)) from None

    async def done(self, act_id: str) -> None:
        """It was carried out."""
        await self._mark(act_id, {"state": ActState.DONE.value})

    async def refused(self, act: ActRow, *, request_id: str = "", token: bool = False) -> None:
        """It cannot be carried out: its slot is free again, and the ledger says so."""
        entry = act_entry(
            EntryKind.ACCESS_DENIED,
            self._tenant,
            act.user_id,
            f"case.{act.kind}",
            case_id=act.case_id,
            system=act.system,
            why="not_possible",
            key=act.act_id,
            token=token,
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                update(acts)
                .where(acts.c.act_id == act.act_id)
                .values(state=ActState.REFUSED.value, slot=None)
            )
            if request_id:
                await lapse_request(connection, request_id)
            await append_all(connection, [Append(entry)])

    async def stands(self, decision_id: str) -> bool:
        """Whether a decision of this id was recorded."""
        query = select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id)
        async with self._engine.connect() as connection:
            return await connection.scalar(query) is not None

    async def one(self, case_id: str, act_id: str, subject: Subject) -> ActRow | None:
        """One act of a case."""
        query = select(acts).where(acts.c.case_id == case_id, acts.c.act_id == act_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else act_row(row, subject)

    async def _insert(self, connection: AsyncConnection, act: NewAct, subject: Subject) -> ActRow:
        values = {
            "act_id": act.act_id,
            "slot": act.slot,
            "case_id": act.case_id,
            "system": act.system,
            "kind": act.kind.value,
            "user_id": act.user_id,
            "acted_at": whole_ms(datetime.now(UTC)),
            "state": act.state.value,
            "private": subject.encrypt(act.document, context=act.act_id),
        }
        statement = pg_insert(acts).values(values).on_conflict_do_nothing(index_elements=["slot"])
        found = (await connection.execute(statement.returning(acts))).mappings().one_or_none()
        if found is None:
            raise _TakenError  # which takes back everything else of this transaction
        entry = act_entry(
            EntryKind.ACCESS_ACTED,
            self._tenant,
            act.user_id,
            f"case.{act.kind.value}",
            case_id=act.case_id,
            system=act.system,
            key=act.act_id,
            token=act.token,
        )
        await append_all(connection, [Append(entry)])
        return act_row(found, subject)

    async def _holder(self, slot: str, subject: Subject) -> ActRow:
        async with self._engine.connect() as connection:
            query = select(acts).where(acts.c.slot == slot)
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:  # it was refused and given back in this moment
            now = datetime.now(UTC)
            return ActRow("", None, "", "", "", "", now, ActState.REFUSED.value)
        return act_row(row, subject)

    async def _mark(self, act_id: str, values: Mapping[str, object]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(update(acts).where(acts.c.act_id == act_id).values(**values))


def _new_request(
    act: NewAct,
    request: NewRequest,
    artefact_id: str | None,
    subject: Subject,
    now: datetime,
) -> Executable:
    return insert(requests).values(
        request_id=request.request_id,
        case_id=act.case_id,
        system=act.system,
        kind=request.kind,
        asked_by=act.user_id,
        asked_at=now,
        expires_at=request.expires_at,
        until=request.until,
        artefact_id=artefact_id,
        private=subject.encrypt(request.document, context=request.request_id),
    )


def _assignment(case_id: str, user_id: str, now: datetime) -> Executable:
    statement = pg_insert(assignments).values(case_id=case_id, user_id=user_id, assigned_at=now)
    return statement.on_conflict_do_update(
        index_elements=["case_id"], set_={"user_id": user_id, "assigned_at": now}
    )


def act_row(row: RowMapping, subject: Subject | None) -> ActRow:
    """A row of ``acts``, opened if that is still possible."""
    document: Mapping[str, Any] = {}
    if subject is not None:
        try:
            document = subject.decrypt(row["private"], context=row["act_id"])
        except KeyringError:
            document = {}
    names = [name for name in ActRow.__slots__ if name != "document"]
    return ActRow(**{name: row[name] for name in names}, document=document)


async def acts_of(
    connection: AsyncConnection,
    case_id: str,
    subject: Subject | None,
    *,
    kinds: Collection[ActKind] = tuple(ActKind),
) -> list[ActRow]:
    """The newest acts of a case, the last one first; what got no answer yet comes before them."""
    is_sent = acts.c.state == ActState.SENT.value
    query = (
        select(acts)
        .where(acts.c.case_id == case_id, acts.c.kind.in_(sorted(kinds)))
        .order_by(is_sent.desc(), acts.c.acted_at.desc(), acts.c.act_id)
        .limit(MOST_ROWS)
    )
    return [act_row(row, subject) for row in (await connection.execute(query)).mappings()]


async def decisions_so_far(connection: AsyncConnection, case_id: str) -> dict[str, int]:
    """How many decisions each system of a case has had."""
    query = (
        select(decisions.c.system, func.count().label("n"))
        .where(decisions.c.case_id == case_id)
        .group_by(decisions.c.system)
    )
    return {row.system: row.n for row in await connection.execute(query)}


async def events_dealt_with(
    connection: AsyncConnection, moves: Sequence[ActRow], *, applied: str
) -> int:
    """How many of these acts wait for the dispatcher no more.

    An event that was never stored, because this process was killed, is not waited for either. Nor
    is ``applied``, the case's latest: that it is done is stored a moment after the case has
    changed, and a page that was drawn in that moment must not be out of date.
    """
    ids = {str(act.document.get("event", "")): act for act in moves}
    query = select(inbox.c.dedupe_key, inbox.c.state).where(
        inbox.c.source == "cli", inbox.c.dedupe_key.in_(ids)
    )
    states = {row.dedupe_key: row.state for row in await connection.execute(query)}
    patience = datetime.now(UTC) - _STORED_WITHIN
    return sum(
        event == applied
        or (states[event] in {"done", "refused"} if event in states else act.acted_at < patience)
        for event, act in ids.items()
    )
