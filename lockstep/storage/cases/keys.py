"""By which keys a case is found, and who of our own users is its leaver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Text, bindparam, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.keys import comparable
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.tables.leavers import case_keys

_ALIKE = frozenset({KeyKind.USERNAME, KeyKind.EMAIL})
"""Many systems use the address as the user name: what is written as one is found as the other."""


def key_indexes(ring: Keyring, tenant: str, keys: Iterable[Key]) -> frozenset[bytes]:
    """Blind indexes of ``keys``; account ids belong to one system and are left out."""
    found = set()
    for key in keys:
        if key.kind is KeyKind.ACCOUNT_ID:
            continue
        # Rows of older releases are found by the form that those compared in.
        forms = {comparable(key.kind, key.value), key.value.strip().casefold()} - {""}
        kinds = _ALIKE if key.kind in _ALIKE else {key.kind}
        found |= {
            ring.blind_index("key", tenant, kind.value, form) for kind in kinds for form in forms
        }
    return frozenset(found)


def searched_indexes(ring: Keyring, tenant: str, value: str) -> frozenset[bytes]:
    """Blind indexes of ``value`` read as any kind of key."""
    kinds = [kind for kind in KeyKind if kind is not KeyKind.ACCOUNT_ID]
    return key_indexes(ring, tenant, [Key(kind, value) for kind in kinds])


def indexes_as_any(ring: Keyring, tenant: str, keys: Iterable[Key]) -> frozenset[bytes]:
    """Blind indexes of the values of ``keys``, each read as any kind of key.

    Whoever knows somebody's worker id may write it where an address belongs.
    """
    values = {key.value for key in keys if key.kind is not KeyKind.ACCOUNT_ID}
    return frozenset().union(*(searched_indexes(ring, tenant, value) for value in values))


async def write_keys(
    connection: AsyncConnection, indexes: dict[str, frozenset[bytes]], *, anew: bool = False
) -> None:
    """Store the indexes by case id; ``anew`` takes those away that are not among them."""
    if anew:
        await connection.execute(delete(case_keys).where(case_keys.c.case_id.in_(sorted(indexes))))
    rows = [
        {"case_id": case_id, "key_index": index}
        for case_id, found in indexes.items()
        for index in sorted(found)
    ]
    if rows:
        await connection.execute(insert(case_keys).on_conflict_do_nothing(), rows)


_BAR = text(
    """
    with gone as (
        select key_index, max(case_id) as case_id from case_keys
        where case_id = any(:ids) group by key_index order by key_index
    ), barred as (
        insert into barred_keys (key_index, case_id, barred_at)
        select key_index, case_id, :now from gone
        on conflict (key_index) do update
        set case_id = excluded.case_id, barred_at = excluded.barred_at, lifted_at = null,
            lifted_by = null, private = null
    ), ended_sessions as (
        update sessions s set ended_at = :now, end_reason = 'left'
        where s.ended_at is null
            and s.key_indexes && (select array_agg(key_index) from gone)
        returning s.session_hash, s.key_indexes
    ), ended_tokens as (
        update api_tokens t set ended_at = :now, end_reason = 'left'
        where t.ended_at is null
            and t.key_indexes && (select array_agg(key_index) from gone)
        returning t.token_id, t.key_indexes
    ), ended as (
        select session_hash, null as token_id, key_indexes from ended_sessions
        union all select null, token_id, key_indexes from ended_tokens
    )
    select gone.case_id, count(distinct ended.session_hash) as sessions,
        count(distinct ended.token_id) as tokens
    from ended join gone on gone.key_index = any(ended.key_indexes) group by gone.case_id
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)))


async def bar(
    connection: AsyncConnection, case_ids: Sequence[str], now: datetime
) -> dict[str, tuple[int, int]]:
    """End every session and token of these cases' leavers and let them sign in no more.

    Returns:
        by case, how many sessions and tokens ended; cases without any are left out.
    """
    rows = (await connection.execute(_BAR, {"ids": list(case_ids), "now": now})).all()
    return {row.case_id: (row.sessions, row.tokens) for row in rows}
