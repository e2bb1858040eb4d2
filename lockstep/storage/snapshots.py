"""What stood in a system when it was first seen, kept under the leaver's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lockstep.domain.access import Access, AccessKind, Account
from lockstep.storage.subjects import Subject


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Accounts pinned by immutable id, and everything that stood when they were first seen.

    ``stood_at`` says of an account when its sign-in was last seen standing, by our clock (UTC).
    """

    accounts: tuple[Account, ...] = field(default=(), repr=False)
    standing: Mapping[str, tuple[Access, ...]] = field(default_factory=dict, repr=False)
    stood_at: Mapping[str, datetime] = field(default_factory=dict, repr=False)

    def all_standing(self) -> tuple[Access, ...]:
        return tuple(item for items in self.standing.values() for item in items)


def seal_snapshot(
    snapshot: Snapshot, subject: Subject, *, case_id: str, system: str, opening: int
) -> bytes:
    """A snapshot as it is stored, under the leaver's key; ``opening`` is the one it was made in."""
    document: dict[str, object] = {
        "opening": opening,
        "accounts": [[account.id, account.locator] for account in snapshot.accounts],
        "standing": {
            account: [[access.kind.value, access.ref] for access in items]
            for account, items in snapshot.standing.items()
        },
        "stood_at": {account: at.isoformat() for account, at in snapshot.stood_at.items()},
    }
    return subject.encrypt(document, context=f"{case_id}/{system}")


def open_snapshot(
    private: bytes | None, subject: Subject, *, case_id: str, system: str, opening: int
) -> Snapshot:
    """What `seal_snapshot` made, as of ``opening``; empty where nothing was seen yet."""
    if private is None:
        return Snapshot()
    document: Any = subject.decrypt(private, context=f"{case_id}/{system}")
    accounts = tuple(Account(id_, locator) for id_, locator in document["accounts"])
    stood_at = {
        account: datetime.fromisoformat(at) for account, at in document.get("stood_at", {}).items()
    }
    if document["opening"] != opening:  # accounts stay pinned, what stood before was settled then
        return Snapshot(accounts, stood_at=stood_at)
    return Snapshot(
        accounts=accounts,
        standing={
            account: tuple(Access(AccessKind(kind), ref) for kind, ref in items)
            for account, items in document["standing"].items()
        },
        stood_at=stood_at,
    )
