"""One system's part of a case: loading it for work, and recording what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, column, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.clocks import time_to_revocation, whole_ms
from lockstep.domain.cases.outcomes import CaseStatus, Closing, RevocationState
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.systems.access import AccessKind, Exchange, Location, Unread
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.finding import Finding, Picks
from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.entries import (
    Entry,
    EntryKind,
    accepted_data,
    access_data,
    account_data,
    aside_data,
    exchange_data,
    residual_data,
    search_data,
    unread_data,
)
from lockstep.storage.cases.candidates import (
    Candidate,
    open_candidates,
    open_picks,
    seal_candidates,
)
from lockstep.storage.cases.revocation_writes import (
    ATTEMPT,
    DOUBTS,
    FAULT,
    NEEDS_PERSON,
    REHEARSED,
    REOPEN,
    SAW,
    SEARCHED,
    SETTLE,
)
from lockstep.storage.cases.writes import RESOLVE_DOUBT
from lockstep.storage.engine.batching import Batcher
from lockstep.storage.engine.database import single_reads
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.ledger.append import Append, Change, Ledger
from lockstep.storage.systems.holding import holds_case
from lockstep.storage.systems.snapshots import Snapshot, open_snapshot, seal_snapshot
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.leavers import subjects
from lockstep.storage.tables.systems import pauses


class UnknownRevocationError(LookupError):
    """The case or the system is not in the database."""


@dataclass(frozen=True, slots=True)
class SystemPause:
    """Operations have paused the system since ``begins_at``."""

    begins_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Revocation:
    """Everything that an activity needs to work on one system of one case."""

    case_id: str
    system: str
    tenant: str
    policy: str
    cutoff: datetime
    state: str
    outcome: str | None
    required: bool
    accept_single_key: bool
    opening: int
    is_reopened: bool
    """The database still shows the opening before this one."""
    is_superseded: bool
    """The database shows a later opening: access has returned since."""
    attempts: int
    retry_at: datetime | None
    subject: Subject
    snapshot: Snapshot
    fault: str | None = None
    fault_at: datetime | None = None
    paused: SystemPause | None = None
    picks: Picks = field(default_factory=Picks)
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)
    """What people were last shown because accounts are in doubt."""
    key_edition: int = 0
    """How often the leaver's keys had grown when it was read."""
    searched_edition: int = 0
    """As of which of them it was last searched."""
    begun: bool = False
    """By the database, when it was read: the case has begun, and its cutoff has come."""
    read_at: datetime | None = None
    """When it was read, by the database's clock."""
    kind: TerminationKind = TerminationKind.VOLUNTARY
    is_closed: bool = False
    """Its case has closed: who looks at it now only watches."""

    @property
    def is_settled(self) -> bool:
        return self.state == RevocationState.SETTLED and not self.is_reopened

    def key(self, *parts: object) -> str:
        """An idempotency key within this revocation and its present opening."""
        return ":".join([self.case_id, self.system, str(self.opening), *map(str, parts)])


_NOT_SEARCHED = Location((), ())
_NOTHING_FOUND = Finding(())


@dataclass(slots=True)
class Progress:
    """What one attempt has found and done so far; it outlives the fault that ends the attempt.

    Args:
        snapshot: accounts, everything that ever stood, and what the vendor accepted in all
            attempts of this opening.
        contained_at: since when no account signs in, once a look has confirmed it (UTC).
        unread: the lists that could not be read.
        key_edition: of the leaver's keys that were searched for.
    """

    snapshot: Snapshot
    location: Location = _NOT_SEARCHED
    finding: Finding = _NOTHING_FOUND
    contained_at: datetime | None = None
    unread: tuple[Unread, ...] = ()
    key_edition: int = 0


_WANTED = (
    func.unnest(bindparam("cases", type_=ARRAY(Text)), bindparam("systems", type_=ARRAY(Text)))
    .table_valued(column("w_case", Text), column("w_system", Text), name="wanted")
    .render_derived()
)
_HOLDING = (
    select(func.greatest(pauses.c.begins_at, pauses.c.agreed_at).label("begins_at"), pauses.c.until)
    .where(pauses.c.system == revocations.c.system, holds_case())
    .correlate(revocations, cases)
    .order_by(pauses.c.until.desc())
    .limit(1)
    .lateral("holding")
)
"""Of the pauses that hold the case there the one that ends last."""
_NOT_BEGUN = (CaseStatus.SCHEDULED.value, CaseStatus.RESCINDED.value)
_LOAD = (
    select(
        revocations,
        cases.c.tenant,
        cases.c.policy,
        cases.c.cutoff_at,
        cases.c.kind,
        (cases.c.status == CaseStatus.CLOSED.value).label("is_closed"),
        cases.c.key_edition.label("newest_edition"),
        (cases.c.status.not_in(_NOT_BEGUN) & (cases.c.cutoff_at <= func.clock_timestamp())).label(
            "has_begun"
        ),
        func.clock_timestamp().label("read_at"),
        subjects.c.subject_id,
        subjects.c.wrapped_key,
        subjects.c.private.label("subject_private"),
        _HOLDING.c.begins_at.label("paused_at"),
        _HOLDING.c.until.label("paused_until"),
    )
    .select_from(_WANTED)
    .join(
        revocations,
        (revocations.c.case_id == _WANTED.c.w_case) & (revocations.c.system == _WANTED.c.w_system),
    )
    .join(cases, cases.c.case_id == revocations.c.case_id)
    .join(subjects, subjects.c.subject_id == cases.c.subject_id)
    .outerjoin(_HOLDING, true())
)
"""Arrays instead of a list in the text: one statement, whatever the number of callers."""


class Revocations:
    """Loads with coalesced reads, records with the ledger's group commit."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, ledger: Ledger) -> None:
        self._engine = engine
        self._reads = single_reads(engine)
        self._ring = ring
        self._ledger = ledger
        self._loader: Batcher[tuple[str, str], Row[Any] | None] = Batcher(self._load_many)

    async def load(self, case_id: str, system: str, opening: int) -> Revocation:
        """Read and decrypt one revocation, as of its ``opening`` (1, and one more per reopening).

        Raises:
            UnknownRevocationError: if it does not exist.
            SubjectErasedError: if the leaver's data were destroyed.
        """
        row = await self._loader.submit((case_id, system))
        if row is None:
            raise UnknownRevocationError(f"no revocation of {system} in {case_id}")
        subject = Subject.open(self._ring, row.subject_id, row.wrapped_key, row.subject_private)
        snapshot = open_snapshot(
            row.private, subject, case_id=case_id, system=system, opening=opening
        )
        return Revocation(
            case_id=case_id,
            system=system,
            tenant=row.tenant,
            policy=row.policy,
            cutoff=row.cutoff_at,
            state=row.state,
            outcome=row.outcome,
            required=row.required,
            accept_single_key=row.accept_single_key,
            opening=opening,
            is_reopened=row.opening < opening,
            is_superseded=row.opening > opening,
            attempts=row.attempts,
            retry_at=row.retry_at,
            subject=subject,
            snapshot=snapshot,
            fault=row.fault,
            fault_at=row.fault_at,
            paused=SystemPause(row.paused_at, row.paused_until) if row.paused_until else None,
            picks=open_picks(row.picks, subject, case_id=case_id, system=system),
            candidates=open_candidates(row.candidates, subject, case_id=case_id, system=system),
            key_edition=row.newest_edition,
            searched_edition=row.key_edition,
            begun=row.has_begun,
            read_at=row.read_at,
            kind=TerminationKind(row.kind),
            is_closed=row.is_closed,
        )

    async def attempt(self, item: Revocation, *, round_: int, attempt: int, work: Progress) -> bool:
        """Write ATTEMPT before the first effect; False if this attempt stands already."""
        now = whole_ms(datetime.now(UTC))
        snapshot, salt = work.snapshot, item.subject.salt
        entry = self._entry(
            item,
            EntryKind.REVOCATION_ATTEMPT,
            item.key(round_, attempt, "attempt"),
            now,
            {
                "round": round_,
                "attempt": attempt,
                **search_data(work.location),
                "accounts": account_data(salt, item.system, snapshot.accounts),
                "standing": access_data(salt, item.system, snapshot.all_standing()),
                **aside_data(salt, item.system, work.finding),
            },
        )
        change = self._change(
            ATTEMPT,
            item,
            n_round=round_,
            n_accounts=len(snapshot.accounts),
            n_private=sealed_snapshot(item, snapshot),
            n_at=now,
        )
        return await self._ledger.append(Append(entry, (*self._reopen(item), change)))

    async def saw(self, item: Revocation, snapshot: Snapshot) -> Snapshot:
        """Keep what a look has found before it is closed; no ledger entry, because none was.

        Returns:
            It, with what an overlapping run had kept meanwhile: neither writes over the other.
        """
        kept = select(revocations.c.private).where(
            revocations.c.case_id == item.case_id, revocations.c.system == item.system
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(kept.with_for_update())).one()
            earlier = open_snapshot(
                row.private,
                item.subject,
                case_id=item.case_id,
                system=item.system,
                opening=item.opening,
            )
            merged = snapshot.merged(earlier)
            change = self._change(
                SAW,
                item,
                n_accounts=len(merged.accounts),
                n_private=sealed_snapshot(item, merged),
            )
            await connection.execute(SAW, [change.values])
        return merged

    async def fault(
        self,
        item: Revocation,
        *,
        round_: int,
        attempt: int,
        category: FaultCategory,
        text: str,
        retry_at: datetime | None,
        exchanges: Sequence[Exchange],
        work: Progress | None = None,
    ) -> None:
        """Write what went wrong in an attempt: Temporal's history keeps only the last one.

        What the attempt has done before it failed (``work``) is written with it.
        """
        now = whole_ms(datetime.now(UTC))
        work = work or Progress(item.snapshot)
        entry = self._entry(
            item,
            EntryKind.REVOCATION_FAULT,
            item.key(round_, attempt, "fault"),
            now,
            {
                "round": round_,
                "attempt": attempt,
                "category": category.value,
                "transient": rule_for(category).transient,
                **self._done_data(item, work),
                **exchange_data(exchanges),
            },
        )
        change = self._change(
            FAULT,
            item,
            n_fault=category.value,
            n_text=text[:300],
            n_at=now,
            n_retry_at=retry_at,
            n_private=sealed_snapshot(item, work.snapshot) if work.snapshot.accounts else None,
            n_contained=work.contained_at,
            n_candidates=seal_candidates(
                work.finding, item.subject, case_id=item.case_id, system=item.system
            ),
        )
        await self._ledger.append(Append(entry, (*self._reopen(item), change)))

    def _done_data(self, item: Revocation, work: Progress) -> dict[str, object]:
        """What an attempt that failed has done and seen all the same."""
        data = {
            **(search_data(work.location) if work.location is not _NOT_SEARCHED else {}),
            **aside_data(item.subject.salt, item.system, work.finding),
            **unread_data(work.unread, work.location.unread),
        }
        if work.snapshot.done:
            data["accepted"] = accepted_data(work.snapshot.done)
        if work.contained_at is not None:
            data["contained_at"] = instant_text(work.contained_at)
        return data

    async def outcome(
        self,
        item: Revocation,
        *,
        round_: int,
        attempt: int,
        closing: Closing,
        work: Progress,
        exchanges: Sequence[Exchange],
        dropped: int,
    ) -> bool:
        """Write OUTCOME after the read-back; False if one stands already for this opening."""
        snapshot, salt = work.snapshot, item.subject.salt
        data: dict[str, object] = {
            "round": round_,
            "attempt": attempt,
            "outcome": closing.outcome.value,
            "grade": closing.grade.value,
            **search_data(work.location),
            "accounts": account_data(salt, item.system, snapshot.accounts),
            **aside_data(salt, item.system, work.finding),
            "removed": access_data(salt, item.system, closing.removed),
            "accepted": accepted_data(snapshot.done),
            "residuals": residual_data(closing.residuals),
            "cutoff_at": instant_text(item.cutoff),
            "revoked_at": instant_text(closing.revoked_at),
            "confirmed_at": instant_text(closing.confirmed_at),
            "time_to_revocation_ms": time_to_revocation(item.cutoff, closing.revoked_at),
            **exchange_data(exchanges, dropped=dropped),
        }
        if closing.accepted_at is not None:
            data["accepted_at"] = instant_text(closing.accepted_at)
        if work.contained_at is not None:
            data["contained_at"] = instant_text(work.contained_at)
        entry = self._entry(
            item,
            EntryKind.REVOCATION_OUTCOME,
            item.key("outcome"),
            closing.confirmed_at,
            data,
        )
        change = self._change(
            SETTLE,
            item,
            n_outcome=closing.outcome.value,
            n_grade=closing.grade.value,
            n_accounts=len(snapshot.accounts),
            n_actions=len(closing.removed),
            n_residual=max((residual.bound_s or 0 for residual in closing.residuals), default=0),
            n_residual_unknown=any(one.bound_s is None for one in closing.residuals),
            n_accepted=closing.accepted_at,
            n_revoked=closing.revoked_at,
            n_confirmed=closing.confirmed_at,
            n_private=sealed_snapshot(item, snapshot),
            n_contained=work.contained_at,
            n_edition=work.key_edition,
            n_seats=sum(way.kind is AccessKind.SEAT for way in closing.removed),
        )
        return await self._ledger.append(Append(entry, (change, *self._no_doubt(item, entry))))

    async def needs_person(
        self, item: Revocation, *, round_: int, category: FaultCategory, overdue: bool
    ) -> None:
        """Show operations that a system waits for a person."""
        now = whole_ms(datetime.now(UTC))
        entry = self._entry(
            item,
            EntryKind.REVOCATION_NEEDS_PERSON,
            item.key(round_, "needs_person"),
            now,
            {"round": round_, "category": category.value, "overdue": overdue},
        )
        change = self._change(NEEDS_PERSON, item, n_fault=category.value, n_at=now)
        await self._ledger.append(Append(entry, (*self._reopen(item), change)))

    async def note(self, entry: Entry) -> None:
        """Append an entry that changes no projection."""
        await self._ledger.append(Append(entry))

    async def saw_nothing(self, item: Revocation, entry: Entry) -> None:
        """Note a look that found neither access nor an account in doubt."""
        gone = (self._change(DOUBTS, item, n_candidates=None),) if item.candidates else ()
        if item.searched_edition < item.key_edition:
            gone = (*gone, self._change(SEARCHED, item, n_edition=item.key_edition))
        await self._ledger.append(Append(entry, (*gone, *self._no_doubt(item, entry))))

    def _no_doubt(self, item: Revocation, entry: Entry) -> tuple[Change, ...]:
        if not item.candidates:
            return ()
        return (self._change(RESOLVE_DOUBT, item, n_at=whole_ms(entry.occurred_at)),)

    async def rehearsed(
        self, item: Revocation, *, accounts: int, problems: Sequence[Mapping[str, str]]
    ) -> None:
        """Keep what a rehearsal saw; no ledger entry, because nothing was done."""
        change = self._change(
            REHEARSED,
            item,
            n_at=whole_ms(datetime.now(UTC)),
            n_accounts=accounts,
            n_problems=[dict(problem) for problem in problems],
        )
        async with self._engine.begin() as connection:
            await connection.execute(REHEARSED, [change.values])

    async def _load_many(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Row[Any] | None]:
        async with self._reads.connect() as connection:
            rows = (
                await connection.execute(
                    _LOAD,
                    {
                        "cases": [case for case, _ in wanted],
                        "systems": [name for _, name in wanted],
                    },
                )
            ).all()
        found = {(row.case_id, row.system): row for row in rows}
        return [found.get(key) for key in wanted]

    def _entry(
        self,
        item: Revocation,
        kind: EntryKind,
        key: str,
        occurred_at: datetime,
        data: Mapping[str, object],
    ) -> Entry:
        return Entry(
            kind=kind,
            key=key,
            tenant=item.tenant,
            occurred_at=occurred_at,
            recorded_at=datetime.now(UTC),
            case_id=item.case_id,
            subject=str(item.subject.subject_id),
            system=item.system,
            policy=item.policy,
            data=data,
        )

    def _reopen(self, item: Revocation) -> tuple[Change, ...]:
        if not item.is_reopened:
            return ()
        return (self._change(REOPEN, item, n_opening=item.opening),)

    def _change(self, statement: Any, item: Revocation, **values: object) -> Change:
        return Change(statement, {"k_case": item.case_id, "k_system": item.system, **values})


def sealed_snapshot(item: Revocation, snapshot: Snapshot) -> bytes:
    """What was seen, as it is stored in the row of ``item``."""
    return seal_snapshot(
        snapshot,
        item.subject,
        case_id=item.case_id,
        system=item.system,
        opening=item.opening,
    )
