"""Cases in any state, without the hours that it takes to come there."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text, update

from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import findings, revocations
from lockstep.storage.tables.casework import assignments, requests
from tests.support.casework import OTHER, SYSTEM, Casework, termination

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def shape(work: Casework, case: CaseRow, system: str = SYSTEM, **values: object) -> None:
    """Set columns of one revocation."""
    statement = (
        update(revocations)
        .where(revocations.c.case_id == case.case_id, revocations.c.system == system)
        .values(**values)
    )
    async with work.engine.begin() as connection:
        await connection.execute(statement)


async def stuck(
    work: Casework,
    worker_id: str,
    *,
    due: timedelta,
    fault: str = "permission_missing",
    **changes: object,
) -> CaseRow:
    """A case under way whose first system waits for a person and is due in ``due``."""
    case = await work.open(termination(worker_id, **changes))
    now = datetime.now(UTC)
    await shape(
        work,
        case,
        state="needs_person",
        fault=fault,
        fault_text="okta: users.get: 403",
        due_at=now + due,
        warn_at=now + due - HOUR,
        needs_person_since=now,
    )
    await shape(work, case, OTHER, state="settled", outcome="revoked")
    return case


async def came_back(work: Casework, case: CaseRow, system: str = SYSTEM) -> None:
    """A finding that stands."""
    row = {
        "finding_id": f"{case.case_id}:{system}:1",
        "case_id": case.case_id,
        "system": system,
        "kind": "access_returned",
        "raised_at": datetime.now(UTC),
    }
    async with work.engine.begin() as connection:
        await connection.execute(insert(findings), row)


async def asks_second(
    work: Casework, case: CaseRow, *, system: str = SYSTEM, lasts: timedelta = HOUR
) -> None:
    """A waiver that was asked for and waits for a second person."""
    now = datetime.now(UTC)
    row = {
        "request_id": "r" + secrets.token_hex(6),
        "case_id": case.case_id,
        "system": system,
        "kind": "waive",
        "asked_by": "u1",
        "asked_at": now - 2 * HOUR,
        "expires_at": now + lasts,
        "private": b"",
    }
    async with work.engine.begin() as connection:
        await connection.execute(insert(requests), row)


async def take(work: Casework, case: CaseRow, user_id: str) -> None:
    """Assign a case."""
    row = {"case_id": case.case_id, "user_id": user_id, "assigned_at": datetime.now(UTC)}
    async with work.engine.begin() as connection:
        await connection.execute(insert(assignments), row)


async def many(work: Casework, count: int) -> None:
    """``count`` copies of the one case that stands, all waiting for a person; the first due first.

    Cutoffs and SLAs differ by a second each; ids sort in the same order, and no real one has a 0.
    """
    async with work.engine.begin() as connection:
        for statement in _MANY:
            await connection.execute(text(statement), {"count": count})


_FIRST = "(select min(case_id) from cases where case_id not like 'c0%')"
_MANY = (
    f"""
    insert into cases select made.* from cases c, generate_series(1, :count) n,
    lateral jsonb_populate_record(c, jsonb_build_object(
        'case_id', 'c0' || lpad(n::text, 6, '0'),
        'spell_index', '\\x' || md5(n::text), 'identity_index', '\\x' || md5(n::text))) made
    where c.case_id = {_FIRST}
    """,
    f"""
    insert into revocations select made.* from revocations r, generate_series(1, :count) n,
    lateral jsonb_populate_record(r, jsonb_build_object(
        'case_id', 'c0' || lpad(n::text, 6, '0'), 'state', 'needs_person',
        'fault', 'manual', 'due_at', now() + n * interval '1 second')) made
    where r.case_id = {_FIRST}
    """,
)
