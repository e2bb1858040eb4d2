"""Everything that is kept about one case, read at once for whoever may know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.rights import Scope
from lockstep.storage.cases.acts import (
    ActKind,
    ActRow,
    acts_of,
    decisions_so_far,
    events_dealt_with,
)
from lockstep.storage.cases.candidates import Candidate, open_candidates
from lockstep.storage.keys.artefacts import ArtefactRow, artefacts_of
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.people.requests import RequestRow, requests_of
from lockstep.storage.people.visibility import visible
from lockstep.storage.records import CaseRow, CaseView, RevocationRow
from lockstep.storage.runtime.stalled import Stalled, stalled_of
from lockstep.storage.systems.holding import holds_case
from lockstep.storage.tables.case import cases, findings, revocations
from lockstep.storage.tables.casework import assignments, decisions
from lockstep.storage.tables.leavers import subjects
from lockstep.storage.tables.ledger import ledger_entries, ledger_leaves
from lockstep.storage.tables.systems import pauses

MOST_ROWS = 200
_CASE = [cases.c[item.name] for item in fields(CaseRow)]
_REVOCATION = [revocations.c[item.name] for item in fields(RevocationRow)]
_DATES = frozenset({ActKind.RESCHEDULE, ActKind.RESCIND, ActKind.REHIRE, ActKind.CORRECT})


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as recorded; who and why are personal, "" once they are erased."""

    decision_id: str
    system: str
    kind: str
    decided_at: datetime
    until: datetime | None
    artefact_digest: str
    actor: str = field(repr=False, default="")
    second: str = field(repr=False, default="")
    reason: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """Something wrong that was found later."""

    system: str
    kind: str
    raised_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stood:
    """What stood in a system when it was first looked at: kind and vendor id of each way in.

    The vendor's ids are personal.
    """

    accounts: tuple[str, ...] = field(default=(), repr=False)
    access: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A pause holds up the case in a system. ``by_two``: a second person has agreed to it."""

    until: datetime
    by_two: bool = False


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case with all that people and machines did to it.

    Args:
        subject: None once the leaver's data are erased.
        decided: how many decisions each system has had.
        dates_moved: how many of our own events about its dates were dealt with.
        assigned: who has taken it, and since when.
        stood: by system, as of the opening that is under way.
        paused: by system, what of it a pause holds up.
        candidates: by system, the accounts that a person is to tell apart.
        stalled: whether its workflow goes on, as far as that is known.
    """

    view: CaseView
    subject: Subject | None = field(repr=False)
    decisions: tuple[DecisionRow, ...] = ()
    decided: Mapping[str, int] = field(default_factory=dict)
    dates_moved: int = 0
    acts: tuple[ActRow, ...] = ()
    requests: tuple[RequestRow, ...] = ()
    artefacts: tuple[ArtefactRow, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    assigned: tuple[str, datetime] | None = None
    stood: Mapping[str, Stood] = field(default_factory=dict, repr=False)
    paused: Mapping[str, Held] = field(default_factory=dict)
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)
    stalled: Stalled = field(default_factory=Stalled)

    @property
    def is_under_way(self) -> bool:
        """Whether its workflow has something to do."""
        return self.view.case.status in {CaseStatus.SCHEDULED, CaseStatus.REVOKING}

    @property
    def unknown_systems(self) -> tuple[str, ...]:
        """Names of systems in which HR has named an account, and that this case does not hold."""
        keys = self.subject.keys.keys if self.subject else ()
        held = {row.system for row in self.view.revocations}
        return tuple(sorted({key.system for key in keys if key.system} - held))


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """An entry of a case; ``leaf`` is its place in the ledger, None before it has one."""

    id: int
    leaf: int | None
    body: bytes
    leaf_hash: bytes


class CaseFiles:
    """Reads only, and only what a scope may know of."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def read(self, case_id: str, scope: Scope) -> CaseFile | None:
        """One case by its whole id; None if there is none, or it is outside of ``scope``.

        All of it as it stood at one moment: nobody may act on what the rest did not show.
        """
        query = select(*_CASE).where(visible(scope), cases.c.case_id == case_id)
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                return None
            case = CaseRow(**row)
            subject = await self._subject(connection, case)
            rows, stood, candidates = await _doors(connection, case_id, subject)
            acts = await acts_of(connection, case_id, subject)
            moves = await acts_of(connection, case_id, subject, kinds=_DATES)
            return CaseFile(
                view=CaseView(case, rows, *_names(subject)),
                subject=subject,
                decisions=await _decisions(connection, case_id, subject),
                decided=await decisions_so_far(connection, case_id),
                dates_moved=await events_dealt_with(connection, moves, applied=case.last_event_id),
                acts=tuple(acts),
                requests=tuple(await requests_of(connection, case_id)),
                artefacts=tuple(await artefacts_of(connection, case_id, subject)),
                findings=await _findings(connection, case_id),
                assigned=await _assigned(connection, case_id),
                stood=stood,
                paused=await _paused(connection, case_id),
                candidates=candidates,
                stalled=await stalled_of(connection, case_id),
            )

    async def entries(self, case_id: str, *, limit: int = 2000) -> list[PlacedEntry]:
        """The newest entries of a case, the oldest of them first. The caller checked the scope."""
        query = (
            select(
                ledger_entries.c.id,
                ledger_leaves.c.leaf_index,
                ledger_entries.c.body,
                ledger_entries.c.leaf_hash,
            )
            .outerjoin(ledger_leaves, ledger_leaves.c.entry_id == ledger_entries.c.id)
            .where(ledger_entries.c.case_id == case_id)
            .order_by(ledger_entries.c.id.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            PlacedEntry(row.id, row.leaf_index, bytes(row.body), bytes(row.leaf_hash))
            for row in reversed(rows)
        ]

    async def _subject(self, connection: AsyncConnection, case: CaseRow) -> Subject | None:
        query = select(subjects).where(subjects.c.subject_id == case.subject_id)
        row = (await connection.execute(query)).one()
        if row.wrapped_key is None:
            return None
        return Subject.open(self._ring, case.subject_id, row.wrapped_key, row.private)


def _names(subject: Subject | None) -> tuple[str, str]:
    if subject is None:
        return "(erased)", ""
    worker = next(iter(subject.keys.of_kind(KeyKind.WORKER_ID)), "")
    return subject.display_name or worker, worker


async def _doors(
    connection: AsyncConnection, case_id: str, subject: Subject | None
) -> tuple[tuple[RevocationRow, ...], dict[str, Stood], dict[str, tuple[Candidate, ...]]]:
    query = (
        select(*_REVOCATION, revocations.c.private, revocations.c.candidates)
        .where(revocations.c.case_id == case_id)
        .order_by(revocations.c.system)
    )
    rows = []
    stood = {}
    shown = {}
    for found in (await connection.execute(query)).mappings():
        row = RevocationRow(**{name: found[name] for name in RevocationRow.__slots__})
        rows.append(row)
        if subject is not None and found["private"]:
            document = subject.decrypt(found["private"], context=f"{case_id}/{row.system}")
            if document["opening"] == row.opening:
                stood[row.system] = _stood(document)
        if subject is not None and found["candidates"]:
            shown[row.system] = open_candidates(
                found["candidates"], subject, case_id=case_id, system=row.system
            )
    return tuple(rows), stood, shown


def _stood(document: Mapping[str, Any]) -> Stood:
    standing = document["standing"]
    return Stood(
        accounts=tuple(locator or account for account, locator in document["accounts"]),
        access=tuple((kind, ref) for items in standing.values() for kind, ref in items),
    )


async def _decisions(
    connection: AsyncConnection, case_id: str, subject: Subject | None
) -> tuple[DecisionRow, ...]:
    query = (
        select(decisions)
        .where(decisions.c.case_id == case_id)
        .order_by(decisions.c.decided_at.desc())
        .limit(MOST_ROWS)
    )
    found = []
    for row in await connection.execute(query):
        document: Mapping[str, Any] = {}
        if subject is not None:
            document = subject.decrypt(row.private, context=row.decision_id)
        found.append(
            DecisionRow(
                decision_id=row.decision_id,
                system=row.system,
                kind=row.kind,
                decided_at=row.decided_at,
                until=row.until,
                artefact_digest=row.artefact_digest,
                actor=document.get("actor", ""),
                second=document.get("second_person", ""),
                reason=document.get("reason", ""),
            )
        )
    return tuple(found)


async def _findings(connection: AsyncConnection, case_id: str) -> tuple[FindingRow, ...]:
    query = (
        select(findings.c.system, findings.c.kind, findings.c.raised_at, findings.c.resolved_at)
        .where(findings.c.case_id == case_id)
        .order_by(findings.c.raised_at.desc())
        .limit(MOST_ROWS)
    )
    return tuple(FindingRow(*row) for row in await connection.execute(query))


async def _assigned(connection: AsyncConnection, case_id: str) -> tuple[str, datetime] | None:
    query = select(assignments).where(assignments.c.case_id == case_id)
    row = (await connection.execute(query)).one_or_none()
    return (row.user_id, row.assigned_at) if row else None


async def _paused(connection: AsyncConnection, case_id: str) -> dict[str, Held]:
    query = (
        select(pauses.c.system, pauses.c.until, pauses.c.agreed_by)
        .select_from(pauses.join(cases, cases.c.case_id == case_id))
        .where(holds_case())
        .order_by(pauses.c.until)
    )
    rows = (await connection.execute(query)).all()
    return {system: Held(until, bool(agreed_by)) for system, until, agreed_by in rows}
