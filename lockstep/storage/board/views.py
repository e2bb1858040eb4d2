"""Reading cases for people: lists, one case, what is stuck. Every list is bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.people.visibility import visible
from lockstep.storage.records import CaseRow, CaseView, RevocationRow
from lockstep.storage.tables.case import cases, revocations
from lockstep.storage.tables.intake import inbox
from lockstep.storage.tables.leavers import subjects

LEFT_ALONE = timedelta(minutes=15)
"""Longer than the longest pause between two tries, and a try."""
MOST_ROWS = 1000
_CASE = [cases.c[item.name] for item in fields(CaseRow)]
_REVOCATION = [revocations.c[item.name] for item in fields(RevocationRow)]


_OF_AN_ID = re.compile(r"c[a-z2-7]{0,12}")
LEAST_OF_AN_ID = 6
"""So many characters of an id mean one case; fewer are a slip, that would act on whichever fits."""


class CaseIdError(LookupError):
    """What cannot be the id of a case, or says too little of it."""


class AmbiguousCaseError(CaseIdError):
    """The beginning of an id fits several cases."""


class CaseViews:
    """Reads only, and only what ``scope`` may know of."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, scope: Scope = EVERYTHING) -> None:
        self._engine = engine
        self._ring = ring
        self._scope = scope

    def within(self, scope: Scope) -> CaseViews:
        """The same for somebody else."""
        return CaseViews(self._engine, self._ring, scope)

    async def list_cases(
        self,
        *,
        status: str | None = None,
        partner: str | None = None,
        worker: tuple[str, str] | None = None,
        limit: int = 50,
    ) -> list[CaseView]:
        """Newest first. ``worker`` is (tenant, worker id); found by blind index."""
        wanted = self._wanted(status, partner, worker)
        query = select(*_CASE).where(wanted).order_by(cases.c.opened_at.desc())
        return await self._views(query.limit(min(limit, MOST_ROWS)))

    async def count_cases(
        self,
        *,
        status: str | None = None,
        partner: str | None = None,
        worker: tuple[str, str] | None = None,
    ) -> int:
        """How many there are of what `list_cases` lists."""
        query = select(func.count()).select_from(cases).where(self._wanted(status, partner, worker))
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)

    def _wanted(
        self, status: str | None, partner: str | None, worker: tuple[str, str] | None
    ) -> ColumnElement[bool]:
        conditions = [visible(self._scope)]
        if status == CaseStatus.NEEDS_PERSON:
            conditions.append(_waits_for_person())
        elif status:
            conditions.append(cases.c.status == status)
        if partner:
            conditions.append(cases.c.partner == partner)
        if worker:
            index = self._ring.blind_index("worker", *worker)
            conditions.append(cases.c.worker_index == index)
        return and_(*conditions)

    async def later_than(self, case_id: str) -> str:
        """A case of a later employment under the same spell; "" where none may be known of."""
        this = cases.alias("this")
        query = (
            select(cases.c.case_id)
            .join(this, this.c.identity_index == cases.c.identity_index)
            .where(this.c.case_id == case_id, this.c.numbered_by == cases.c.numbered_by)
            .where(cases.c.employment > this.c.employment, visible(self._scope))
            .limit(1)
        )
        async with self._engine.connect() as connection:
            return str(await connection.scalar(query) or "")

    async def stuck(self, *, limit: int = 200) -> list[CaseView]:
        """Cases that need somebody, most urgent first.

        Whatever state a kill has left: what is open and past its warning time, what nobody has
        tried for long, also of a closed case, and a case that is done and does not close.
        """
        earliest = (
            select(func.min(revocations.c.due_at))
            .where(revocations.c.case_id == cases.c.case_id)
            .where(revocations.c.state != RevocationState.SETTLED.value)
            .scalar_subquery()
        )
        running = cases.c.status.in_([CaseStatus.REVOKING.value, CaseStatus.CLOSED.value])
        query = (
            select(*_CASE)
            .where(visible(self._scope), running)
            .where(cases.c.case_id.in_(_left_open().union(_unclosed())))
            .order_by(earliest)
            .limit(min(limit, MOST_ROWS))
        )
        return await self._views(query)

    async def of(self, case_ids: Sequence[str]) -> list[CaseView]:
        """These cases, as far as they may be known of, in this order."""
        query = select(*_CASE).where(visible(self._scope), cases.c.case_id.in_(case_ids))
        found = {view.case.case_id: view for view in await self._views(query)}
        return [found[case_id] for case_id in case_ids if case_id in found]

    async def show(self, case_id: str) -> CaseView | None:
        """One case by its id or the beginning of it; None if there is none.

        Raises:
            AmbiguousCaseError: if several cases begin so.
            CaseIdError: if no id begins so, or it is fewer than `LEAST_OF_AN_ID` characters.
        """
        if not _OF_AN_ID.fullmatch(case_id):
            raise CaseIdError(
                f"there is no case {case_id!r}: an id is c and 12 more of a-z and 2-7; see"
                " `lockstep cases`"
            )
        if len(case_id) < LEAST_OF_AN_ID:
            raise CaseIdError(
                f"{case_id!r} is too short for a case: give {LEAST_OF_AN_ID} characters of its id"
                " at least"
            )
        query = (
            select(*_CASE).where(visible(self._scope), cases.c.case_id.startswith(case_id)).limit(2)
        )
        found = await self._views(query)
        exact = [view for view in found if view.case.case_id == case_id]
        if exact or len(found) <= 1:
            return next(iter(exact or found), None)
        raise AmbiguousCaseError(f"{case_id!r} is the beginning of several cases: give more of it")

    async def by_event(self, source: str, dedupe_keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What became of stored events: state, case, verdict and error by dedupe key."""
        query = select(
            inbox.c.dedupe_key, inbox.c.state, inbox.c.case_id, inbox.c.verdict, inbox.c.error
        ).where(inbox.c.source == source, inbox.c.dedupe_key.in_(dedupe_keys))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return {row["dedupe_key"]: dict(row) for row in rows}

    async def subject(self, case: CaseRow) -> Subject | None:
        """The leaver's personal data; None once erased."""
        query = select(subjects).where(subjects.c.subject_id == case.subject_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one()
        if row.wrapped_key is None:
            return None
        return Subject.open(self._ring, case.subject_id, row.wrapped_key, row.private)

    async def _views(self, query: Select[Any]) -> list[CaseView]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
            found = [CaseRow(**row) for row in rows]
            ids = [case.case_id for case in found]
            doors = (
                select(*_REVOCATION)
                .where(revocations.c.case_id.in_(ids))
                .order_by(revocations.c.case_id, revocations.c.system)
            )
            door_rows = (await connection.execute(doors)).mappings().all()
            people = (
                await connection.execute(
                    select(subjects).where(
                        subjects.c.subject_id.in_([case.subject_id for case in found])
                    )
                )
            ).all()
        by_case: dict[str, list[RevocationRow]] = {}
        for row in door_rows:
            by_case.setdefault(row["case_id"], []).append(RevocationRow(**row))
        names = {row.subject_id: self._name(row) for row in people}
        return [
            CaseView(case, tuple(by_case.get(case.case_id, ())), *names[case.subject_id])
            for case in found
        ]

    def _name(self, row: Any) -> tuple[str, str]:
        if row.wrapped_key is None:
            return "(erased)", ""
        subject = Subject.open(self._ring, row.subject_id, row.wrapped_key, row.private)
        worker = next(iter(subject.keys.of_kind(KeyKind.WORKER_ID)), "")
        return subject.display_name or worker, worker


def _left_open() -> Any:
    """Cases of which a system waits for a person, is late, or was tried by nobody for long.

    By the open systems, which are few, and not by the cases.
    """
    state, now = revocations.c.state, func.now()
    moved_at = func.greatest(revocations.c.retry_at, revocations.c.updated_at)
    is_left = (
        (state == RevocationState.NEEDS_PERSON.value)
        | (revocations.c.warn_at < now)
        | (moved_at < now - LEFT_ALONE)
    )
    return select(revocations.c.case_id).where(
        state != RevocationState.SETTLED.value, state != RevocationState.STOPPED.value, is_left
    )


def _unclosed() -> Any:
    """Cases of which every required system is settled, and that do not close."""
    of_case = (revocations.c.case_id == cases.c.case_id) & revocations.c.required
    moves = (revocations.c.state != RevocationState.SETTLED.value) | (
        revocations.c.updated_at > func.now() - LEFT_ALONE
    )
    return (
        select(cases.c.case_id)
        .where(cases.c.status == CaseStatus.REVOKING.value)
        .where(cases.c.updated_at < func.now() - LEFT_ALONE, ~exists().where(of_case, moves))
    )


def _waits_for_person() -> Any:
    return exists().where(
        and_(
            revocations.c.case_id == cases.c.case_id,
            revocations.c.state == RevocationState.NEEDS_PERSON.value,
        )
    )
