"""Whether HR has said something of a leaver that nobody has carried out yet.

Asked within the transaction in which a case begins: what was acknowledged before counts, however
long the inbox is. Nobody has begun anything by then, so nothing has to be taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, BigInteger, LargeBinary, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.storage.records import CaseRow
from lockstep.storage.tables.case import cases
from lockstep.storage.tables.intake import inbox

_KNOWN = bindparam("known", type_=ARRAY(BigInteger))
_INDEXES = bindparam("indexes", type_=ARRAY(LargeBinary))
_ITS_INDEX = (
    select(cases.c.identity_index).where(cases.c.case_id == bindparam("case")).scalar_subquery()
)
_OF_CASE = (
    select(inbox.c.id)
    .where(inbox.c.state == "pending")
    .where(or_(inbox.c.identity_index == _ITS_INDEX, inbox.c.identity_index.is_(None)))
    # What the case rests on is carried out, though its dispatcher may not have said so yet.
    .where(inbox.c.dedupe_key != bindparam("last"))
    .where(inbox.c.id != func.all(_KNOWN))
    .limit(1)
)
_OF_MANY = (
    select(inbox.c.identity_index)
    .where(inbox.c.state == "pending")
    .where(or_(inbox.c.identity_index == func.any(_INDEXES), inbox.c.identity_index.is_(None)))
    .where(inbox.c.id != func.all(_KNOWN))
    .distinct()
)


class UnheardError(RuntimeError):
    """HR has said something of this leaver that has to be heard before the case may begin."""


async def require_heard(
    connection: AsyncConnection, case: CaseRow, *, but: Collection[int] = ()
) -> None:
    """Raise while something waits in the inbox that may be about a case.

    ``but``: events that were looked at, and that wait for something else.

    Raises:
        UnheardError: if there is anything else.
    """
    values = {"case": case.case_id, "last": case.last_event_id, "known": sorted(but)}
    if await connection.scalar(_OF_CASE, values) is not None:
        raise UnheardError(f"something was said about case {case.case_id} and is not heard yet")


async def still_unheard(
    connection: AsyncConnection, indexes: Sequence[bytes], *, but: Collection[int]
) -> set[bytes]:
    """Those of some spells about which more waits in the inbox than the events ``but``."""
    values = {"indexes": list(indexes), "known": sorted(but)}
    found = set((await connection.scalars(_OF_MANY, values)).all())
    if None in found:  # nobody knows yet whom it is about
        return set(indexes)
    return {bytes(index) for index in found}
