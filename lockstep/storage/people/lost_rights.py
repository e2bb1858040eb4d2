"""API tokens do not keep what a person has lost: they end with the sign-in that shows it.

A token follows one person: whoever made it, or, where it was made on the server, the owner that it
was given, if any.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from lockstep.domain.rights import Permission, Rights
from lockstep.evidence.ledger.entries import Actor, EntryKind
from lockstep.storage.ledger.append import Append, append_all
from lockstep.storage.people.acts import act_entry
from lockstep.storage.people.api_tokens import MADE_ON_SERVER, TokenEnd
from lockstep.storage.tables.sign_in import api_tokens


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who signs in.

    Args:
        key_indexes: blind indexes of their own keys.
        rights: what they have from now on.
        before: what they had at the sign-in before; None where there was none.
    """

    user_id: str
    key_indexes: frozenset[bytes] = field(repr=False)
    rights: Rights
    before: Rights | None


async def end_what_was_lost(
    connection: AsyncConnection, tenant: str, holder: Holder, now: datetime
) -> None:
    """End every token that would keep what ``holder`` has not; each with an entry.

    Inside the caller's transaction, which holds the person's row: the same person does not sign in
    twice at once.
    """
    for row in (await connection.execute(_standing_tokens(holder, now))).all():
        reason = _why(row, holder)
        if reason is None:
            continue
        await connection.execute(
            update(api_tokens)
            .where(api_tokens.c.token_id == row.token_id)
            .values(ended_at=now, end_reason=reason.value)
        )
        entry = act_entry(
            EntryKind.ACCESS_ACTED,
            tenant,
            holder.user_id,
            f"token.end:{row.token_id}",
            why=reason.value,
        )
        # Nobody did this: it follows from what the identity provider said of them.
        await append_all(connection, [Append(replace(entry, actor=Actor()))])


def _standing_tokens(holder: Holder, now: datetime) -> Any:
    """Locked, in an order that is always the same."""
    columns = api_tokens.c
    is_owned = columns.key_indexes.overlap(sorted(holder.key_indexes))
    return (
        select(columns.token_id, columns.created_by, columns.permissions, columns.partners)
        .where(columns.ended_at.is_(None), columns.expires_at > now)
        .where(
            or_(
                columns.created_by == holder.user_id,
                and_(columns.created_by == MADE_ON_SERVER, is_owned),
            )
        )
        .order_by(columns.token_id)
        .with_for_update()
    )


def _why(row: Any, holder: Holder) -> TokenEnd | None:
    """Why the token ends; None if it gives nothing that was lost."""
    gives = Rights(
        frozenset(each for each in Permission if each in row.permissions),
        None if row.partners is None else frozenset(row.partners),
    )
    if row.created_by == holder.user_id:
        return None if gives.is_within(holder.rights) else TokenEnd.MAKER_LOST_RIGHTS
    if holder.before is None:
        return None
    # The server may give an owner more than they have: only what they had can be lost.
    kept = gives.common(holder.before).is_within(holder.rights)
    return None if kept else TokenEnd.OWNER_LOST_RIGHTS
