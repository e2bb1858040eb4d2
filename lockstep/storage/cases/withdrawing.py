"""Withdrawing a key of a leaver: what HR has said is not taken back in silence."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.keys import comparable, without
from lockstep.evidence.format.canonical import reference
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.cases.entries import say
from lockstep.storage.cases.keys import key_indexes, write_keys
from lockstep.storage.cases.reads import locked, subject_of
from lockstep.storage.cases.revocation_writes import NEW_KEYS
from lockstep.storage.cases.rows import Said
from lockstep.storage.cases.writes import NEW_EDITION
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject, SubjectErasedError
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import subjects


class AloneError(Exception):
    """The cutoff has come: nobody withdraws a key alone any more."""


class Withdrawals:
    """A key is out of force, its entry on record, and every system searched again; all or none."""

    def __init__(self, engine: AsyncEngine, ring: Keyring) -> None:
        self._engine = engine
        self._ring = ring

    async def withdraw(self, case_id: str, key: Key, said: Said) -> Key:
        """Take ``key`` out of force; return it as it was known.

        Raises:
            AloneError: if the case has begun, and ``said`` names no second person.
            WithdrawalError: if it is not in force, or cannot be withdrawn.
            SubjectErasedError: if the leaver's data are gone.
        """
        async with self._engine.begin() as connection:
            case = await locked(connection, case_id)
            if case.begun_at is not None and not said.second:
                raise AloneError
            subject = await subject_of(connection, case, ring=self._ring)
            if subject is None:
                raise SubjectErasedError(f"the data of case {case_id} were erased")
            keys, known = without(subject.keys, key)
            changed = replace(subject, keys=keys)
            await connection.execute(
                update(subjects)
                .where(subjects.c.subject_id == case.subject_id)
                .values(private=changed.private())
            )
            indexes = key_indexes(self._ring, case.tenant, keys.keys)
            await write_keys(connection, {case_id: indexes}, anew=True)
            await connection.execute(NEW_EDITION, {"k_case": case_id})
            await connection.execute(NEW_KEYS, {"k_case": case_id})
            edition = await connection.scalar(
                select(cases.c.key_edition).where(cases.c.case_id == case_id)
            )
            kind = EntryKind.CASE_KEY_WITHDRAWN
            data = withdrawn_data(subject, known)
            await say(connection, case, kind, edition, data, subject=subject, said=said)
        return known


def withdrawn_data(subject: Subject, key: Key) -> dict[str, object]:
    """Which key, by its kind and a commitment; an account's is that of the other entries."""
    if key.kind is KeyKind.ACCOUNT_ID and key.system:
        ref = reference(subject.salt, key.system, "account", key.value)
        return {"by": key.kind.value, "of": key.system, "key": ref}
    ref = reference(subject.salt, "key", key.kind.value, comparable(key.kind, key.value))
    return {"by": key.kind.value, "key": ref}
