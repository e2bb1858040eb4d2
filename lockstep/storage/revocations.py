"""One system's part of a case: loading it for work, and recording what was done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, case, column, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.contracts.payloads import DecisionKind
from lockstep.domain.access import Access, AccessKind, Account, Action, Exchange, Location
from lockstep.domain.clocks import time_to_revocation, whole_ms
from lockstep.domain.faults import FaultCategory, rule_for
from lockstep.domain.outcomes import Closing, Outcome, RevocationState
from lockstep.evidence.canonical import instant_text
from lockstep.evidence.entries import (
    Entry,
    EntryKind,
    access_data,
    account_data,
    exchange_data,
    residual_data,
)
from lockstep.storage.batching import Batcher
from lockstep.storage.keyring import Keyring
from lockstep.storage.ledger import Append, ArrayUpdate, Change, Ledger
from lockstep.storage.subjects import Subject
from lockstep.storage.tables import cases, pauses, revocations, subjects


class UnknownRevocationError(LookupError):
    """The case or the system is not in the database."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Accounts pinned by immutable id, and everything that stood when they were first seen."""

    accounts: tuple[Account, ...] = field(default=(), repr=False)
    standing: Mapping[str, tuple[Access, ...]] = field(default_factory=dict, repr=False)

    def all_standing(self) -> tuple[Access, ...]:
        return tuple(item for items in self.standing.values() for item in items)


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

    @property
    def is_settled(self) -> bool:
        return self.state == RevocationState.SETTLED and not self.is_reopened

    def key(self, *parts: object) -> str:
        """An idempotency key within this revocation and its present opening."""
        return ":".join([self.case_id, self.system, str(self.opening), *map(str, parts)])


def _touch(**values: object) -> Any:
    return (
        update(revocations)
        .where(revocations.c.case_id == bindparam("k_case"))
        .where(revocations.c.system == bindparam("k_system"))
        .values(updated_at=func.now(), **values)
    )


def _unless_asked(state: RevocationState) -> Any:
    """``state``, unless a person has been asked, or has settled it while we were at work."""
    # Not `in_`: group commit runs this for many rows at once, which its expanding bind refuses.
    kept = or_(
        revocations.c.state == RevocationState.NEEDS_PERSON.value,
        revocations.c.state == RevocationState.SETTLED.value,
    )
    return case((kept, revocations.c.state), else_=state.value)


REOPEN = _touch(
    opening=bindparam("n_opening"),
    state=RevocationState.REVOKING.value,
    outcome=None,
    grade=None,
    accepted_at=None,
    revoked_at=None,
    confirmed_at=None,
)


def _by_arrays(assignments: str, **types: str) -> ArrayUpdate:
    """An update of revocations; ``types`` are the PostgreSQL types of its parameters."""
    columns = {"k_case": "text", "k_system": "text", **types}
    arrays = ", ".join(f"cast(:{name} as {kind}[])" for name, kind in columns.items())
    statement = text(
        f"update revocations r set {assignments}, updated_at = now()"  # noqa: S608 - ours alone
        f" from unnest({arrays}) as v({', '.join(columns)})"
        " where r.case_id = v.k_case and r.system = v.k_system"
    )
    return ArrayUpdate(statement, ("k_case", "k_system"))


# The two that every revocation writes go by arrays; the rare ones stay readable.
_ATTEMPT = _by_arrays(
    """
    state = case when r.state in ('needs_person', 'settled') then r.state else 'revoking' end,
    attempts = r.attempts + 1, round = v.n_round, accounts = v.n_accounts, private = v.n_private,
    first_attempt_at = coalesce(r.first_attempt_at, v.n_at)
    """,
    n_round="int",
    n_accounts="int",
    n_private="bytea",
    n_at="timestamptz",
)
_FAULT = _touch(
    state=_unless_asked(RevocationState.RETRYING),
    fault=bindparam("n_fault"),
    fault_text=bindparam("n_text"),
    fault_at=bindparam("n_at"),
    retry_at=bindparam("n_retry_at"),
)
_SETTLE = _by_arrays(
    """
    state = 'settled', outcome = v.n_outcome, grade = v.n_grade, accounts = v.n_accounts,
    actions = v.n_actions, residual_s = v.n_residual, accepted_at = v.n_accepted,
    revoked_at = v.n_revoked, confirmed_at = v.n_confirmed, private = v.n_private,
    fault = null, fault_text = null, retry_at = null, needs_person_since = null
    """,
    n_outcome="text",
    n_grade="text",
    n_accounts="int",
    n_actions="int",
    n_residual="int",
    n_accepted="timestamptz",
    n_revoked="timestamptz",
    n_confirmed="timestamptz",
    n_private="bytea",
)
_NEEDS_PERSON = _touch(
    state=RevocationState.NEEDS_PERSON.value,
    outcome=None,
    fault=bindparam("n_fault"),
    needs_person_since=func.coalesce(revocations.c.needs_person_since, bindparam("n_at")),
).where(revocations.c.state != RevocationState.SETTLED.value)
"""A late question must not undo what a person or a proof has settled meanwhile."""
_REHEARSED = _touch(
    rehearsed_at=bindparam("n_at"),
    accounts=bindparam("n_accounts"),
    rehearsal_problems=bindparam("n_problems", type_=revocations.c.rehearsal_problems.type),
)


_WANTED = (
    func.unnest(bindparam("cases", type_=ARRAY(Text)), bindparam("systems", type_=ARRAY(Text)))
    .table_valued(column("w_case", Text), column("w_system", Text), name="wanted")
    .render_derived()
)
_LOAD = (
    select(
        revocations,
        cases.c.tenant,
        cases.c.policy,
        cases.c.cutoff_at,
        subjects.c.subject_id,
        subjects.c.wrapped_key,
        subjects.c.private.label("subject_private"),
        pauses.c.begins_at.label("paused_at"),
        pauses.c.until.label("paused_until"),
    )
    .select_from(_WANTED)
    .join(
        revocations,
        (revocations.c.case_id == _WANTED.c.w_case) & (revocations.c.system == _WANTED.c.w_system),
    )
    .join(cases, cases.c.case_id == revocations.c.case_id)
    .join(subjects, subjects.c.subject_id == cases.c.subject_id)
    .outerjoin(
        pauses,
        (pauses.c.system == revocations.c.system)
        & pauses.c.ended_at.is_(None)
        & (pauses.c.until > func.now()),
    )
)
"""Arrays instead of a list in the text: one statement, whatever the number of callers."""


class Revocations:
    """Loads with coalesced reads, records with the ledger's group commit."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, ledger: Ledger) -> None:
        self._engine = engine
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
        snapshot = _open_snapshot(subject, case_id, system, opening, row.private)
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
        )

    async def attempt(
        self, item: Revocation, *, round_: int, attempt: int, location: Location, snapshot: Snapshot
    ) -> bool:
        """Write ATTEMPT before the first effect; False if this attempt stands already."""
        now = whole_ms(datetime.now(UTC))
        standing = snapshot.all_standing()
        salt = item.subject.salt
        entry = self._entry(
            item,
            EntryKind.REVOCATION_ATTEMPT,
            item.key(round_, attempt, "attempt"),
            now,
            {
                "round": round_,
                "attempt": attempt,
                "keys_tried": [kind.value for kind in location.keys_tried],
                "accounts": account_data(salt, item.system, snapshot.accounts),
                "standing": access_data(salt, item.system, standing),
            },
        )
        change = self._change(
            _ATTEMPT,
            item,
            n_round=round_,
            n_accounts=len(snapshot.accounts),
            n_private=_seal_snapshot(item, snapshot),
            n_at=now,
        )
        return await self._ledger.append(Append(entry, (*self._reopen(item), change)))

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
    ) -> None:
        """Write what went wrong in an attempt: Temporal's history keeps only the last one."""
        now = whole_ms(datetime.now(UTC))
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
                **exchange_data(exchanges),
            },
        )
        change = self._change(
            _FAULT,
            item,
            n_fault=category.value,
            n_text=text[:300],
            n_at=now,
            n_retry_at=retry_at,
        )
        await self._ledger.append(Append(entry, (*self._reopen(item), change)))

    async def outcome(
        self,
        item: Revocation,
        *,
        round_: int,
        attempt: int,
        closing: Closing,
        snapshot: Snapshot,
        location: Location,
        actions: Sequence[Action],
        exchanges: Sequence[Exchange],
        dropped: int,
    ) -> bool:
        """Write OUTCOME after the read-back; False if one stands already for this opening."""
        salt = item.subject.salt
        data: dict[str, object] = {
            "round": round_,
            "attempt": attempt,
            "outcome": closing.outcome.value,
            "grade": closing.grade.value,
            "keys_tried": [kind.value for kind in location.keys_tried],
            "accounts": account_data(salt, item.system, snapshot.accounts),
            "removed": access_data(salt, item.system, closing.removed),
            "accepted": _accepted_data(actions),
            "residuals": residual_data(closing.residuals),
            "cutoff_at": instant_text(item.cutoff),
            "revoked_at": instant_text(closing.revoked_at),
            "confirmed_at": instant_text(closing.confirmed_at),
            "time_to_revocation_ms": time_to_revocation(item.cutoff, closing.revoked_at),
            **exchange_data(exchanges, dropped=dropped),
        }
        if closing.accepted_at is not None:
            data["accepted_at"] = instant_text(closing.accepted_at)
        entry = self._entry(
            item,
            EntryKind.REVOCATION_OUTCOME,
            item.key("outcome"),
            closing.confirmed_at,
            data,
        )
        change = self._change(
            _SETTLE,
            item,
            n_outcome=closing.outcome.value,
            n_grade=closing.grade.value,
            n_accounts=len(snapshot.accounts),
            n_actions=len(closing.removed),
            n_residual=max((residual.bound_s for residual in closing.residuals), default=0),
            n_accepted=closing.accepted_at,
            n_revoked=closing.revoked_at,
            n_confirmed=closing.confirmed_at,
            n_private=_seal_snapshot(item, snapshot),
        )
        return await self._ledger.append(Append(entry, (change,)))

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
        change = self._change(_NEEDS_PERSON, item, n_fault=category.value, n_at=now)
        await self._ledger.append(Append(entry, (*self._reopen(item), change)))

    async def note(self, entry: Entry) -> None:
        """Append an entry that changes no projection."""
        await self._ledger.append(Append(entry))

    async def rehearsed(
        self, item: Revocation, *, accounts: int, problems: Sequence[Mapping[str, str]]
    ) -> None:
        """Keep what a rehearsal saw; no ledger entry, because nothing was done."""
        change = self._change(
            _REHEARSED,
            item,
            n_at=whole_ms(datetime.now(UTC)),
            n_accounts=accounts,
            n_problems=[dict(problem) for problem in problems],
        )
        async with self._engine.begin() as connection:
            await connection.execute(_REHEARSED, [change.values])

    async def _load_many(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Row[Any] | None]:
        async with self._engine.connect() as connection:
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


def _accepted_data(actions: Sequence[Action]) -> list[dict[str, str]]:
    rows = []
    for action in actions:
        row = {
            "kind": action.access.kind.value,
            "op": action.operation,
            "at": instant_text(action.accepted_at),
        }
        if action.request_id:
            row["request_id"] = action.request_id
        rows.append(row)
    return rows


def outcome_of(kind: DecisionKind) -> Outcome | None:
    """The outcome that a decision gives a system; None where the machine goes on."""
    match kind:
        case DecisionKind.ATTEST:
            return Outcome.ATTESTED
        case DecisionKind.WAIVE:
            return Outcome.WAIVED
        case DecisionKind.RETRY:
            return None


def _seal_snapshot(item: Revocation, snapshot: Snapshot) -> bytes:
    document: dict[str, object] = {
        "opening": item.opening,
        "accounts": [[account.id, account.locator] for account in snapshot.accounts],
        "standing": {
            account: [[access.kind.value, access.ref] for access in items]
            for account, items in snapshot.standing.items()
        },
    }
    return item.subject.encrypt(document, context=f"{item.case_id}/{item.system}")


def _open_snapshot(
    subject: Subject, case_id: str, system: str, opening: int, private: bytes | None
) -> Snapshot:
    if private is None:
        return Snapshot()
    document: Any = subject.decrypt(private, context=f"{case_id}/{system}")
    accounts = tuple(Account(id_, locator) for id_, locator in document["accounts"])
    if document["opening"] != opening:  # accounts stay pinned, what stood before was settled then
        return Snapshot(accounts)
    return Snapshot(
        accounts=accounts,
        standing={
            account: tuple(Access(AccessKind(kind), ref) for kind, ref in items)
            for account, items in document["standing"].items()
        },
    )
