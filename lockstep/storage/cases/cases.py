"""Cases: opening, amending, rescinding, beginning, closing, deciding."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.contracts.payloads import (
    BeginResult,
    BeginState,
    CaseSoFar,
    DecisionInput,
    SystemTimes,
)
from lockstep.domain.cases.amendments import amended
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.cases.terminations import Termination, TerminationKind
from lockstep.domain.policy import Policy
from lockstep.domain.systems.finding import Picks
from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.ledger.fold import ACCESS_RETURNED, ACCOUNT_IN_DOUBT, RETURNED_BEFORE_REHIRE
from lockstep.storage.cases.adding import add_said, adds_keys, is_watch_over
from lockstep.storage.cases.amendments import (
    amend_rows,
    amendment_data,
    standing_of,
    system_times,
)
from lockstep.storage.cases.candidates import open_picks
from lockstep.storage.cases.closing import Closed, Closing, close_many, of_closed
from lockstep.storage.cases.earlier import earlier_cases, personal_indexes
from lockstep.storage.cases.entries import say
from lockstep.storage.cases.keys import bar, key_indexes, write_keys
from lockstep.storage.cases.reads import (
    StaleCaseError,
    as_judged,
    case_of,
    cases_of_spells,
    locked,
    numbered_by_whom,
    subject_of,
    taken_by_peers,
)
from lockstep.storage.cases.revocation_writes import (
    DOUBTS,
    FOR_NEW_KEYS,
    REOPEN,
    SEEN_STANDING,
)
from lockstep.storage.cases.rows import (
    NewRows,
    Opening,
    PinnedPolicy,
    Said,
    decision_append,
    new_rows,
    short_key,
    with_earlier,
)
from lockstep.storage.cases.so_far import read_so_far
from lockstep.storage.cases.writes import FINDING, REOPEN_CASE
from lockstep.storage.engine.batching import Batcher
from lockstep.storage.engine.clocks import Now, own_now, read_clock
from lockstep.storage.engine.database import single_reads
from lockstep.storage.intake.inbox import spell_index
from lockstep.storage.intake.unheard import require_heard, still_unheard
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject, SubjectErasedError
from lockstep.storage.ledger.append import Append, Change, Ledger, append_all
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases, policies, revocations
from lockstep.storage.tables.leavers import subjects

_MOMENT = timedelta(seconds=1.5)
"""A cutoff that is so near is waited for where it is asked about: a timer would cost a second."""


class Cases:
    """Writes to cases; every write explains itself in the ledger, in the same transaction."""

    def __init__(
        self, engine: AsyncEngine, ring: Keyring, ledger: Ledger, *, own: Now = own_now
    ) -> None:
        self._engine = engine
        self._reads = single_reads(engine)
        self._own = own
        self._ring = ring
        self._policies: dict[str, Policy] = {}
        self._ledger = ledger
        self._closers: Batcher[Closing, Closed | None] = Batcher(partial(close_many, engine))

    def spell_index(self, termination: Termination) -> bytes:
        """Finds a spell without storing worker id or spell; of every source with this number."""
        said = termination
        return spell_index(self._ring, said.tenant, said.worker_id, said.spell)

    def worker_index(self, tenant: str, worker_id: str) -> bytes:
        """Finds a worker's number, whoever gave it."""
        return self._ring.blind_index("worker", tenant, worker_id)

    async def of_spells(self, indexes: Sequence[bytes]) -> dict[bytes, list[CaseRow]]:
        """The cases of each spell that has any, of all sources that number so; oldest first."""
        async with self._reads.connect() as connection:
            return await cases_of_spells(connection, indexes)

    async def numbered_by(
        self, indexes: Sequence[bytes], *, sealed: bool = True
    ) -> dict[bytes, list[str]]:
        """Under whose numbers workers are known, by worker index; see `numbered_by_whom`."""
        async with self._engine.connect() as connection:
            return await numbered_by_whom(connection, indexes, sealed=sealed)

    async def adopt(self, pinned: PinnedPolicy, tenant: str) -> None:
        """Store a policy and say so in the ledger; once per digest."""
        now = whole_ms(datetime.now(UTC))
        statement = (
            pg_insert(policies)
            .values(
                digest=pinned.digest,
                version=pinned.policy.version,
                document=pinned.policy.as_document(),
                adopted_at=now,
            )
            .on_conflict_do_nothing()
        )
        entry = Entry(
            kind=EntryKind.POLICY_ADOPTED,
            key=f"policy:{pinned.digest}",
            tenant=tenant,
            occurred_at=now,
            recorded_at=now,
            policy=pinned.digest,
            data={"version": pinned.policy.version, "document": pinned.policy.as_document()},
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            await append_all(connection, [Append(entry)])

    async def policy(self, digest: str) -> Policy:
        """The policy that a case has pinned; read once per process, because it never changes."""
        if digest not in self._policies:
            query = select(policies.c.document).where(policies.c.digest == digest)
            async with self._engine.connect() as connection:
                document = (await connection.execute(query)).scalar_one()
            self._policies[digest] = Policy.from_document(document)
        return self._policies[digest]

    async def open(self, openings: Sequence[Opening], pinned: PinnedPolicy) -> list[CaseRow | None]:
        """Open cases in one transaction; None where another dispatcher was first."""
        if not openings:
            return []
        async with self._engine.begin() as connection:
            made = await self._made(connection, openings, pinned)
            now = made[0].case["opened_at"]
            await connection.execute(insert(subjects), [row.subject for row in made])
            # In one order everywhere: two dispatchers with the same spells would deadlock.
            rows = sorted((row.case for row in made), key=lambda row: bytes(row["identity_index"]))
            peers = {row.case["case_id"]: o.peers for row, o in zip(made, openings, strict=True)}
            taken = await taken_by_peers(connection, rows, peers)
            rows = [row for row in rows if row["case_id"] not in taken]
            statement = pg_insert(cases).on_conflict_do_nothing().returning(cases.c.case_id)
            won = set((await connection.scalars(statement, rows)).all()) if rows else set()
            winners = [row for row in made if row.case["case_id"] in won]
            losers = [row for row in made if row.case["case_id"] not in won]
            if losers:  # no personal data without a case
                ids = [row.subject["subject_id"] for row in losers]
                await connection.execute(delete(subjects).where(subjects.c.subject_id.in_(ids)))
            doors = [door for row in winners for door in row.revocations]
            if doors:
                await connection.execute(insert(revocations), doors)
            told = await self._tell_earlier(connection, openings, made, winners)
            await append_all(connection, told)
            await self._write_keys(connection, openings, made, won)
            begun = [row.case for row in winners if row.case["begun_at"] is not None]
            await self._bar(connection, [case_of(row) for row in begun], now)
        return [case_of(row.case) if row.case["case_id"] in won else None for row in made]

    async def amend(
        self, case: CaseRow, termination: Termination, cutoff: datetime, said: Said | None = None
    ) -> CaseRow:
        """Take over everything that HR says now; the cutoff moves only while the case is scheduled.

        Of an erased leaver nothing personal is taken over again; the ledger tells the rest.

        Raises:
            StaleCaseError: if the case is no longer as ``case`` shows it.
        """
        cutoff = whole_ms(cutoff)
        said_at = replace(termination, recorded_at=whole_ms(termination.recorded_at))
        policy = await self.policy(case.policy)
        async with self._engine.begin() as connection:
            current = await as_judged(connection, case)
            now = whole_ms((await read_clock(connection)).now)
            if current.status == CaseStatus.RESCINDED:
                raise StaleCaseError(f"case {case.case_id} was rescinded meanwhile")
            subject = await add_said(
                connection, current, termination, ring=self._ring, by_person=said is not None
            )
            movable = current.status == CaseStatus.SCHEDULED
            before = standing_of(current)
            after = amended(before, said_at, cutoff, movable=movable)
            await amend_rows(
                connection,
                current,
                after,
                said_at,
                policy=policy,
                counts=now < current.cutoff_at and (said is None or bool(said.second)),
            )
            data = {
                "revision": termination.revision,
                "asked_cutoff_at": instant_text(cutoff),
                "hr_recorded_at": instant_text(said_at.recorded_at),
                **amendment_data(before, after),
                **({"identity": subject.commitment()} if subject else {}),
            }
            number = short_key(termination.event_id)
            kind = EntryKind.CASE_AMENDED
            await say(connection, current, kind, number, data, subject=subject, said=said, now=now)
            return await locked(connection, case.case_id)

    async def adds_keys_too_late(self, case: CaseRow, termination: Termination) -> bool:
        """Whether it brings keys to a closed case after the last look of its watch."""
        policy = await self.policy(case.policy)
        async with self._engine.connect() as connection:
            ended = await is_watch_over(connection, case, policy)
            return ended and await adds_keys(connection, case, termination, ring=self._ring)

    async def rescind(
        self,
        case: CaseRow,
        termination: Termination,
        said: Said | None = None,
        *,
        heard_at: datetime | None = None,
    ) -> CaseStatus:
        """Stop a case before its cutoff; afterwards record the wish, and take nothing more.

        What was taken stays taken. But who stays, and is given access again by people, must not
        lose it again: the watch ends. ``heard_at``: when we received HR's word, where that was
        before now: what was called off in time counts so, however long it waited.

        Raises:
            StaleCaseError: if another statement came first.
        """
        async with self._engine.begin() as connection:
            current = await as_judged(connection, case)
            in_time = current.status in {CaseStatus.SCHEDULED, CaseStatus.RESCINDED}
            values: dict[str, object] = {
                "revision": termination.revision,
                "last_event_id": termination.event_id,
                "updated_at": func.now(),
            }
            if in_time:
                values["status"] = CaseStatus.RESCINDED.value
                await connection.execute(
                    update(revocations)
                    .where(revocations.c.case_id == case.case_id)
                    .values(state=RevocationState.STOPPED.value, updated_at=func.now())
                )
            else:
                now = whole_ms(datetime.now(UTC))
                values["unwatched_at"] = func.coalesce(cases.c.unwatched_at, now)
            await connection.execute(
                update(cases).where(cases.c.case_id == case.case_id).values(**values)
            )
            kind = EntryKind.CASE_RESCINDED if in_time else EntryKind.CASE_RESCIND_REFUSED
            data: dict[str, object] = {"revision": termination.revision}
            if not in_time:
                data["watch_ends"] = True
            event = termination.event_id
            subject = await subject_of(connection, current, ring=self._ring)
            number = short_key(event)
            await say(
                connection, current, kind, number, data, subject=subject, said=said, at=heard_at
            )
        return CaseStatus.RESCINDED if in_time else CaseStatus(current.status)

    async def rehire(
        self, case: CaseRow, termination: Termination, said: Said | None = None
    ) -> CaseRow:
        """They work here again: from now on nothing is taken from them in the name of this case.

        Raises:
            StaleCaseError: if the case is no longer as ``case`` shows it, or is not closed.
        """
        async with self._engine.begin() as connection:
            current = await as_judged(connection, case)
            if current.status != CaseStatus.CLOSED:
                raise StaleCaseError(f"case {case.case_id} is {current.status} meanwhile")
            now = whole_ms(datetime.now(UTC))
            await connection.execute(
                update(cases)
                .where(cases.c.case_id == case.case_id)
                .values(
                    revision=termination.revision,
                    last_event_id=termination.event_id,
                    unwatched_at=func.coalesce(cases.c.unwatched_at, now),
                    updated_at=func.now(),
                )
            )
            data = {
                "revision": termination.revision,
                "hr_recorded_at": instant_text(termination.recorded_at),
            }
            number = short_key(termination.event_id)
            subject = await subject_of(connection, current, ring=self._ring)
            kind = EntryKind.CASE_REHIRED
            await say(connection, current, kind, number, data, subject=subject, said=said, now=now)
            return await locked(connection, case.case_id)

    async def begin(self, case_id: str, *, heard: Collection[int] = ()) -> BeginResult:
        """The one place that decides between a cutoff that has come and HR's last-second word.

        The database's clock says whether it has come: those of workers may differ. ``heard``:
        events about this leaver that were looked at and need not be waited for.

        Raises:
            UnheardError: if something else was acknowledged and is not carried out yet.
            ClockError: if our own clock is too far from the database's; another worker may begin.
        """
        while True:
            found = await self._begin(case_id, heard)
            if isinstance(found, BeginResult):
                return found
            await asyncio.sleep(found.total_seconds())

    async def _begin(self, case_id: str, heard: Collection[int]) -> BeginResult | timedelta:
        """As `begin`; or how long the cutoff is ahead, where that is a moment only."""
        async with self._engine.begin() as connection:
            current = await locked(connection, case_id)
            if current.status == CaseStatus.RESCINDED:
                return BeginResult(BeginState.RESCINDED, current.cutoff_at)
            if current.status == CaseStatus.SCHEDULED:
                read = await read_clock(connection, self._own)
                ahead = current.cutoff_at - read.now
                if ahead > timedelta(0):
                    left = ahead // timedelta(milliseconds=1)
                    wait = BeginResult(BeginState.WAIT, current.cutoff_at, ahead_ms=left)
                    return ahead if ahead <= _MOMENT else wait
                read.require_agreed()
                await require_heard(connection, current, but=heard)
                now = whole_ms(read.now)
                await connection.execute(
                    update(cases)
                    .where(cases.c.case_id == case_id)
                    .values(status=CaseStatus.REVOKING.value, begun_at=now, updated_at=func.now())
                )
                await say(connection, current, EntryKind.CASE_BEGUN, "", {}, now=now)
                await self._bar(connection, [current], now)
            times = await system_times(connection, current)
            again, look = await self._waiting_for_keys(connection, case_id)
        priority = TerminationKind(current.kind).priority
        partner = current.partner
        begin = BeginState.BEGIN
        return BeginResult(begin, current.cutoff_at, times, priority, partner, again, look)

    async def _waiting_for_keys(
        self, connection: AsyncConnection, case_id: str
    ) -> tuple[list[str], list[str]]:
        """What waited for better keys, and what was settled before they came.

        An amendment that brought some has marked both.
        """
        rows = (await connection.execute(FOR_NEW_KEYS, {"k_case": case_id})).all()
        settled = RevocationState.SETTLED.value
        return (
            [row.system for row in rows if row.state != settled],
            [row.system for row in rows if row.state == settled],
        )

    async def so_far(self, case: CaseRow) -> tuple[CaseSoFar, list[SystemTimes]]:
        """What has become of a case that has begun, and what its timers go by now."""
        async with self._engine.connect() as connection:
            return await read_so_far(connection, case), await system_times(connection, case)

    async def close(self, closing: Closing) -> Closed:
        """Close a case if every required system is settled; the same closing asked twice, once."""
        return of_closed(await self._closers.submit(closing), closing.case_id)

    async def decide(self, given: DecisionInput) -> str:
        """Record a person's decision; return the outcome that now stands, or "".

        A proof that came a moment earlier stands: then its outcome is returned.

        Raises:
            SubjectErasedError: nothing is decided about somebody whose data are gone.
        """
        standing = select(revocations.c.outcome).where(
            revocations.c.case_id == given.case_id,
            revocations.c.system == given.decision.system,
        )
        async with self._engine.begin() as connection:
            current = await locked(connection, given.case_id)
            subject = await subject_of(connection, current, ring=self._ring)
            if subject is None:
                raise SubjectErasedError(f"the data of case {given.case_id} were erased")
            before = await self._picks(connection, given, subject)
            await append_all(connection, [decision_append(given, current, subject, before)])
            return await connection.scalar(standing) or ""

    async def _picks(
        self, connection: AsyncConnection, given: DecisionInput, subject: Subject
    ) -> Picks:
        """What people have said before of accounts of the system that is decided about."""
        if given.decision.kind is not DecisionKind.PICK:
            return Picks()
        query = select(revocations.c.picks).where(
            revocations.c.case_id == given.case_id,
            revocations.c.system == given.decision.system,
        )
        stored = await connection.scalar(query)
        return open_picks(stored, subject, case_id=given.case_id, system=given.decision.system)

    async def raise_finding(
        self,
        case_id: str,
        system: str,
        *,
        look: int,
        opening: int,
        entry: Entry,
        snapshot: bytes | None = None,
    ) -> bool:
        """Access came back: raise a finding and reopen system and case, clocks unchanged.

        ``snapshot`` is what the look saw, sealed: nothing ended before it was last seen standing.
        False, and nothing is done, where HR has said meanwhile that they work here again.

        Raises:
            SubjectErasedError: whoever was erased could not be revoked again.
        """
        finding = {
            "finding_id": f"{case_id}:{system}:{look}",
            "case_id": case_id,
            "system": system,
            "kind": ACCESS_RETURNED,
            "raised_at": whole_ms(entry.occurred_at),
            "resolved_at": None,
        }
        row = {"k_case": case_id, "k_system": system}
        reopened = {**row, "n_opening": opening + 1}
        changes = (
            Change(FINDING, finding),
            Change(REOPEN, reopened),
            Change(REOPEN_CASE, {"k_case": case_id}),
            *([Change(SEEN_STANDING, {**row, "n_private": snapshot})] if snapshot else ()),
        )
        async with self._engine.begin() as connection:
            # Under the lock that an erasure takes too: whichever comes second knows of the first.
            current = await locked(connection, case_id)
            if current.unwatched_at is not None:
                return False
            if await subject_of(connection, current, ring=self._ring) is None:
                raise SubjectErasedError(f"the data of case {case_id} were erased")
            await append_all(connection, [Append(entry, changes)])
        return True

    async def note_return(self, case_id: str, system: str, *, look: int, entry: Entry) -> None:
        """Access had come back before HR said that they work here again: a finding, no more."""
        at = whole_ms(entry.occurred_at)
        finding = {
            "finding_id": f"{case_id}:{system}:{look}",
            "case_id": case_id,
            "system": system,
            "kind": RETURNED_BEFORE_REHIRE,
            "raised_at": at,
            "resolved_at": at,  # nothing is left to be done about it
        }
        await self._ledger.append(Append(entry, (Change(FINDING, finding),)))

    async def is_watched(self, case_id: str) -> bool:
        """Whether access that returns is to be taken again."""
        query = select(cases.c.unwatched_at).where(cases.c.case_id == case_id)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one() is None

    async def doubt(
        self, case_id: str, system: str, *, entry: Entry, candidates: bytes | None
    ) -> None:
        """An account turned up that may be the leaver's: people are told, nothing is reopened.

        ``candidates``: what they are shown, sealed.
        """
        finding = {
            "finding_id": f"{case_id}:{system}:doubt:{entry.key.rpartition(':')[2]}",
            "case_id": case_id,
            "system": system,
            "kind": ACCOUNT_IN_DOUBT,
            "raised_at": whole_ms(entry.occurred_at),
            "resolved_at": None,
        }
        row = {"k_case": case_id, "k_system": system}
        changes = (
            Change(FINDING, finding),
            Change(DOUBTS, {**row, "n_candidates": candidates}),
        )
        async with self._engine.begin() as connection:
            await append_all(connection, [Append(entry, changes)])

    async def _tell_earlier(
        self,
        connection: AsyncConnection,
        openings: Sequence[Opening],
        made: Sequence[NewRows],
        winners: Sequence[NewRows],
    ) -> list[Append]:
        """What opens the cases, with what their people were reported for before."""
        said = {row.case["case_id"]: o.termination for row, o in zip(made, openings, strict=True)}
        ids = [row.case["case_id"] for row in winners]
        new = {
            case_id: personal_indexes(self._ring, said[case_id].tenant, said[case_id].keys.keys)
            for case_id in ids
        }
        now = made[0].case["opened_at"]
        earlier = await earlier_cases(connection, new, now=now) if new else {}
        return [
            Append(with_earlier(row.entry, earlier.get(row.case["case_id"], ())), row.changes)
            for row in winners
        ]

    async def _write_keys(
        self,
        connection: AsyncConnection,
        openings: Sequence[Opening],
        made: Sequence[NewRows],
        won: set[str],
    ) -> None:
        indexes = {
            row.case["case_id"]: key_indexes(
                self._ring, opening.termination.tenant, opening.termination.keys.keys
            )
            for opening, row in zip(openings, made, strict=True)
            if row.case["case_id"] in won
        }
        await write_keys(connection, indexes)

    async def _bar(
        self, connection: AsyncConnection, begun: Sequence[CaseRow], now: datetime
    ) -> None:
        """First of all, a leaver who may use Lockstep itself loses that."""
        if not begun:
            return
        ended = await bar(connection, [case.case_id for case in begun], now)
        for case in begun:
            if case.case_id in ended:
                sessions, tokens = ended[case.case_id]
                data = {"sessions": sessions, "tokens": tokens}
                await say(connection, case, EntryKind.CASE_BARRED, "", data, now=now)

    def _indexes(self, opening: Opening) -> dict[str, bytes]:
        termination = opening.termination
        spell = self.spell_index(termination)
        return {
            "worker_index": self.worker_index(termination.tenant, termination.worker_id),
            "spell_index": spell,
            "identity_index": spell,
        }

    async def _made(
        self, connection: AsyncConnection, openings: Sequence[Opening], pinned: PinnedPolicy
    ) -> list[NewRows]:
        """The rows of new cases.

        One whose cutoff has come begins at once, unless more was said of its leaver: then it
        begins, or not, when that is heard; or unless our own clock cannot be right.
        """
        read = await read_clock(connection, self._own)
        now = whole_ms(read.now)
        indexes = [self._indexes(opening) for opening in openings]
        due = [
            index["identity_index"]
            for opening, index in zip(openings, indexes, strict=True)
            if opening.cutoff <= now and not opening.tombstone
        ]
        own = [opening.inbox_id for opening in openings]
        unheard = await still_unheard(connection, due, but=own) if due else set()
        return [
            new_rows(
                opening,
                pinned,
                self._ring,
                indexes=index,
                now=now,
                waits=not read.is_agreed or index["identity_index"] in unheard,
            )
            for opening, index in zip(openings, indexes, strict=True)
        ]
