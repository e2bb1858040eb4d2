"""What people did and were refused, in the ledger: by a random user id, never a name."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from lockstep.domain.cases.clocks import whole_ms
from lockstep.evidence.ledger.entries import Actor, Entry, EntryKind
from lockstep.storage.ledger.append import Append, Ledger


def act_entry(
    kind: EntryKind,
    tenant: str,
    user_id: str,
    act: str,
    *,
    case_id: str = "",
    system: str = "",
    why: str = "",
    key: str = "",
    token: bool = False,
) -> Entry:
    """An act, or one that was not allowed, as it stands in the ledger."""
    now = whole_ms(datetime.now(UTC))
    return Entry(
        kind=kind,
        key=f"{kind.value}:{key or secrets.token_hex(12)}",
        tenant=tenant,
        occurred_at=now,
        recorded_at=now,
        case_id=case_id,
        system=system,
        actor=Actor("token" if token else "person", user_id),
        data={"act": act, "user": user_id, **({"why": why} if why else {})},
    )


class ActsLog:
    """Appends only."""

    def __init__(self, ledger: Ledger, tenant: str) -> None:
        self._ledger = ledger
        self._tenant = tenant

    async def acted(
        self, user_id: str, act: str, *, case_id: str = "", system: str = "", token: bool = False
    ) -> None:
        """Somebody did ``act``, a word such as ``session.begin`` or ``case.comment``."""
        await self._ledger.append(
            Append(
                act_entry(
                    EntryKind.ACCESS_ACTED,
                    self._tenant,
                    user_id,
                    act,
                    case_id=case_id,
                    system=system,
                    token=token,
                )
            )
        )

    async def denied(
        self,
        user_id: str,
        act: str,
        *,
        why: str,
        case_id: str = "",
        system: str = "",
        token: bool = False,
    ) -> None:
        """Somebody known was not allowed to do ``act``, or it could not be; ``why`` is a word."""
        await self._ledger.append(
            Append(
                act_entry(
                    EntryKind.ACCESS_DENIED,
                    self._tenant,
                    user_id,
                    act,
                    case_id=case_id,
                    system=system,
                    why=why,
                    token=token,
                )
            )
        )
