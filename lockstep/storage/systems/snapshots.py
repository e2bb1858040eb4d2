"""What stood in a system when first seen, and what was closed; kept under the leaver's key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.systems.access import Access, AccessKind, Account, Action, Observation
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.keys.subjects import Subject


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Accounts pinned by immutable id, everything that ever stood in them, and what was closed.

    ``done`` holds what the vendor accepted in all attempts of one opening, so that an attempt that
    fails half way has done what it did, at the instant at which it did it. ``stood_at`` says of an
    account when its sign-in was last seen standing, by our clock (UTC). ``released`` accounts were
    pinned until a key was withdrawn: a person says whose they are, and none is forgotten.
    """

    accounts: tuple[Account, ...] = field(default=(), repr=False)
    standing: Mapping[str, tuple[Access, ...]] = field(default_factory=dict, repr=False)
    done: tuple[Action, ...] = field(default=(), repr=False)
    stood_at: Mapping[str, datetime] = field(default_factory=dict, repr=False)
    released: tuple[Account, ...] = field(default=(), repr=False)

    @property
    def known(self) -> tuple[Account, ...]:
        """Every account that was ever found to be the leaver's."""
        return (*self.accounts, *self.released)

    def all_standing(self) -> tuple[Access, ...]:
        return tuple(item for items in self.standing.values() for item in items)

    def with_accounts(self, accounts: Iterable[Account]) -> Snapshot:
        """Pin more accounts; of one that is pinned the newest locator counts."""
        pinned = {account.id: account for account in (*self.accounts, *accounts)}
        released = tuple(account for account in self.released if account.id not in pinned)
        return replace(self, accounts=tuple(pinned.values()), released=released)

    def releasing(self, ids: Collection[str]) -> Snapshot:
        """Touch these no more; what was closed of them stays told."""
        gone = tuple(account for account in self.accounts if account.id in ids)
        if not gone:
            return self
        kept = tuple(account for account in self.accounts if account.id not in ids)
        standing = {name: ways for name, ways in self.standing.items() if name not in ids}
        return replace(self, accounts=kept, standing=standing, released=(*self.released, *gone))

    def with_standing(self, looks: Iterable[Observation], *, at: datetime) -> Snapshot:
        """Add what stands now, seen after ``at``, to what stood before."""
        stood, stood_at = dict(self.standing), dict(self.stood_at)
        for look in looks:
            before = stood.get(look.account_id, ())
            stood[look.account_id] = tuple(dict.fromkeys((*before, *look.standing)))
            if look.signs_in:
                stood_at[look.account_id] = at
        return replace(self, standing=stood, stood_at=stood_at)

    def with_actions(self, actions: Iterable[Action]) -> Snapshot:
        """Add what the vendor accepted, to the millisecond: as it is stored and compared."""
        made = (replace(action, accepted_at=whole_ms(action.accepted_at)) for action in actions)
        return replace(self, done=tuple(dict.fromkeys((*self.done, *made))))

    def merged(self, other: Snapshot) -> Snapshot:
        """Add what an overlapping attempt saw in the accounts that we see too, and what it did."""
        stood = {
            account.id: tuple(
                dict.fromkeys(
                    (*other.standing.get(account.id, ()), *self.standing.get(account.id, ()))
                )
            )
            for account in self.accounts
        }
        done = tuple(dict.fromkeys((*other.done, *self.done)))
        stood_at = dict(self.stood_at)
        for account, at in other.stood_at.items():
            stood_at[account] = max(at, stood_at.get(account, at))
        pinned = {account.id for account in self.accounts}
        released = {account.id: account for account in (*self.released, *other.released)}
        left = tuple(account for name, account in released.items() if name not in pinned)
        return Snapshot(self.accounts, stood, done, stood_at, left)


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
        "done": [
            [
                action.access.kind.value,
                action.access.ref,
                instant_text(action.accepted_at),
                action.operation,
                action.request_id or "",
            ]
            for action in snapshot.done
        ],
        "stood_at": {account: at.isoformat() for account, at in snapshot.stood_at.items()},
        "released": [[account.id, account.locator] for account in snapshot.released],
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
    released = tuple(Account(id_, locator) for id_, locator in document.get("released", ()))
    if document["opening"] != opening:  # accounts stay pinned, what stood before was settled then
        return Snapshot(accounts, stood_at=stood_at, released=released)
    return Snapshot(
        released=released,
        accounts=accounts,
        standing={
            account: tuple(Access(AccessKind(kind), ref) for kind, ref in items)
            for account, items in document["standing"].items()
        },
        done=tuple(
            Action(
                Access(AccessKind(kind), ref),
                datetime.fromisoformat(at),
                operation,
                request_id or None,
            )
            for kind, ref, at, operation, request_id in document.get("done", ())
        ),
        stood_at=stood_at,
    )
