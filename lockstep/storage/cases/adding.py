"""Adding what HR says anew of a leaver to what is known of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.cases.terminations import Termination
from lockstep.domain.policy import Policy
from lockstep.domain.systems.keys import joined
from lockstep.storage.cases.keys import key_indexes, write_keys
from lockstep.storage.cases.reads import subject_of
from lockstep.storage.cases.revocation_writes import NEW_KEYS
from lockstep.storage.cases.writes import NEW_EDITION
from lockstep.storage.engine.clocks import read_clock
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.leavers import subjects


async def add_said(
    connection: AsyncConnection,
    case: CaseRow,
    termination: Termination,
    *,
    ring: Keyring,
    by_person: bool,
) -> Subject | None:
    """Add HR's newest keys to the leaver's, and take the name; None once erased."""
    subject = await subject_of(connection, case, ring=ring)
    if subject is None:
        return None
    merged = replace(
        subject,
        keys=joined(termination.keys, subject.keys, by_person=by_person),
        display_name=termination.display_name or subject.display_name,
    )
    await connection.execute(
        update(subjects)
        .where(subjects.c.subject_id == case.subject_id)
        .values(private=merged.private())
    )
    indexes = key_indexes(ring, case.tenant, merged.keys.keys)
    await write_keys(connection, {case.case_id: indexes}, anew=True)
    if len(merged.keys.keys) > len(subject.keys.keys):
        await connection.execute(NEW_EDITION, {"k_case": case.case_id})
        await connection.execute(NEW_KEYS, {"k_case": case.case_id})
    return merged


async def is_watch_over(connection: AsyncConnection, case: CaseRow, policy: Policy) -> bool:
    """Whether the last look at a closed case lies behind, or HR has ended its watch."""
    if case.closed_at is None:
        return False
    last = case.closed_at + max(policy.watch, default=timedelta(0))
    return case.unwatched_at is not None or (await read_clock(connection)).now >= last


async def adds_keys(
    connection: AsyncConnection, case: CaseRow, termination: Termination, *, ring: Keyring
) -> bool:
    """Whether it names keys of the leaver that are not known yet; never of an erased one."""
    subject = await subject_of(connection, case, ring=ring)
    if subject is None:
        return False
    merged = joined(termination.keys, subject.keys, by_person=False)
    return len(merged.keys) > len(subject.keys.keys)
