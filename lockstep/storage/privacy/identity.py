"""Who the leavers of some cases are, in a form that the ledger confirms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.storage.cases.reads import UnknownCaseError
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import Subject, commitment_of
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.leavers import subjects

BATCH = 500
"""Cases that are read at once: what is disclosed is never held in memory as a whole."""


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One leaver by name, and what opens the commitment that stands in the ledger.

    Args:
        identity: the RFC 8785 text that was committed to; "" once erased.
        opening: the HMAC key that opens the commitment, in hex; "" once erased.
        erased: the data were destroyed, and nobody can disclose them any more.
    """

    case_id: str
    subject: str
    identity: str = field(repr=False)
    opening: str = field(repr=False)
    erased: bool

    def answers(self, commitment: str) -> bool:
        """Whether an entry's ``identity`` is about this text.

        An amendment makes a new commitment, so a checkpoint from before it holds an older one.
        """
        if self.erased:
            return False
        return commitment_of(self.identity.encode(), bytes.fromhex(self.opening)) == commitment


async def disclose(
    engine: AsyncEngine, ring: Keyring, case_ids: Iterable[str]
) -> AsyncIterator[Disclosed]:
    """Disclose the leavers of ``case_ids``, in that order; whether it may be is asked before.

    Raises:
        UnknownCaseError: if there is no such case.
        KeyringError: if the ring does not open a leaver's data.
    """
    for batch in _batches(case_ids):
        query = (
            select(cases.c.case_id, cases.c.subject_id, subjects.c.wrapped_key, subjects.c.private)
            .join(subjects, subjects.c.subject_id == cases.c.subject_id)
            .where(cases.c.case_id.in_(batch))
        )
        async with engine.connect() as connection:
            rows = {row.case_id: row for row in await connection.execute(query)}
        for case_id in batch:
            if case_id not in rows:
                raise UnknownCaseError(f"no case {case_id}")
            yield _disclosed(ring, rows[case_id])


def _disclosed(ring: Keyring, row: Any) -> Disclosed:
    subject_id = str(row.subject_id)
    if row.wrapped_key is None:
        return Disclosed(row.case_id, subject_id, "", "", erased=True)
    subject = Subject.open(ring, row.subject_id, row.wrapped_key, row.private)
    return Disclosed(
        case_id=row.case_id,
        subject=subject_id,
        identity=subject.identity().decode(),
        opening=subject.opening().hex(),
        erased=False,
    )


def _batches(case_ids: Iterable[str]) -> Iterator[Sequence[str]]:
    waiting = iter(case_ids)
    while batch := list(islice(waiting, BATCH)):
        yield batch
