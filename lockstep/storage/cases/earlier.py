"""Earlier cases of the person whom a new case is about: a clock may run on from one of them.

Every case has a subject of its own, so the ledger could not tell that somebody who is reported
anew was called off before. The entry that opens a case therefore names those cases; what they are
worth, the metric's definition says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, LargeBinary, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.keys.keyring import Keyring

LONGEST = timedelta(days=400)
"""What was called off longer ago matters to no definition."""
MOST = 20
"""The newest of so many are named."""

_PERSONAL = frozenset({KeyKind.USERNAME, KeyKind.EMAIL})
"""Numbers are another person's in another HR system; these are one person's everywhere."""

_EARLIER = text(
    """
    with alike as (
        select n.case_id as of_case, c.case_id from cases n
          join cases c on c.worker_index = n.worker_index and c.numbered_by = n.numbered_by
         where n.case_id = any(:ids)
        union
        select v.owner, k.case_id
          from unnest(cast(:owners as text[]), cast(:indexes as bytea[])) as v(owner, key_index)
          join case_keys k on k.key_index = v.key_index
    )
    select a.of_case, c.case_id from alike a join cases c on c.case_id = a.case_id
     where a.case_id <> a.of_case
       and (c.status = 'scheduled' or (c.status = 'rescinded' and c.updated_at >= :since))
     order by c.opened_at desc, c.case_id
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Text)),
    bindparam("owners", type_=ARRAY(Text)),
    bindparam("indexes", type_=ARRAY(LargeBinary)),
)


def personal_indexes(ring: Keyring, tenant: str, keys: Iterable[Key]) -> frozenset[bytes]:
    """Blind indexes of the keys by which a person is the same under another number."""
    return key_indexes(ring, tenant, [key for key in keys if key.kind in _PERSONAL])


async def earlier_cases(
    connection: AsyncConnection, new: Mapping[str, frozenset[bytes]], *, now: datetime
) -> dict[str, list[str]]:
    """By new case, earlier ones of the same person that have not begun, or were called off.

    Args:
        connection: the transaction in which they open; they are inserted already.
        new: the personal indexes of each new case.
        now: when they open.
    """
    owned = [(case_id, index) for case_id, indexes in new.items() for index in sorted(indexes)]
    rows = await connection.execute(
        _EARLIER,
        {
            "ids": list(new),
            "owners": [owner for owner, _ in owned],
            "indexes": [index for _, index in owned],
            "since": now - LONGEST,
        },
    )
    found: dict[str, list[str]] = {}
    for of_case, case_id in rows:
        named = found.setdefault(of_case, [])
        if len(named) < MOST:
            named.append(case_id)
    return {of_case: sorted(named) for of_case, named in found.items()}
