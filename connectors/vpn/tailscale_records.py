"""What Tailscale's documents say of one user: who it is, and what still connects.

Field meanings: https://tailscale.com/api and github.com/tailscale/tailscale-client-go-v2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.kit.instants import told_instant
from lockstep.domain.access import Access, AccessKind, Account, Match, Observation, Unread
from lockstep.domain.keys import comparable, local_part
from lockstep.domain.leavers import Key, KeyKind

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserState:
    """What Tailscale shows of one user. ``user`` is None once the user is gone."""

    user: Item | None
    devices: Mapping[str, Item]
    """The user's own devices that still connect, by id."""
    keys: tuple[str, ...]
    """Valid auth keys and API keys that the user made."""
    has_tagged_devices: bool
    has_oauth_clients: bool

    def standing(self, account_id: str) -> tuple[Access, ...]:
        # Only "suspended" is shut: "needs-approval" is one click of an administrator from open.
        on = self.user is not None and self.user.get("status") != "suspended"
        sign_in = (Access(AccessKind.SIGN_IN, account_id),) if on else ()
        keys = tuple(Access(AccessKind.SECRET, key) for key in self.keys)
        return sign_in + keys + tuple(Access(AccessKind.DEVICE, each) for each in self.devices)


def state_of(
    user: Item | None,
    login: str,
    *,
    account_id: str,
    devices: Iterable[Item],
    keys: Iterable[Item],
    now: datetime,
) -> UserState:
    """Pick one user's own out of the tailnet's devices and keys."""
    mine = [each for each in devices if _is_owned(each, login.casefold())]
    made = [each for each in keys if each.get("userId") == account_id and _is_valid(each, now)]
    return UserState(
        user=user,
        devices={
            str(each.get("nodeId") or each["id"]): each
            for each in mine
            if not each.get("tags") and _connects(each, now)
        },
        keys=tuple(each["id"] for each in made if not _outlives_its_maker(each)),
        has_tagged_devices=any(each.get("tags") for each in mine),
        has_oauth_clients=any(_outlives_its_maker(each) for each in made),
    )


def match_of(user: Item, found_by: KeyKind) -> Match:
    """A user as the list shows it, with everything by which it can be told from another."""
    return Match(
        _account_of(user),
        found_by,
        seen_of(user["id"], user),
        name=str(user.get("displayName") or ""),
        created_at=told_instant(user.get("created")),
        last_used_at=told_instant(user.get("lastSeen")),
    )


def seen_of(account_id: str, user: Item | None) -> Observation:
    """What the user's own record says; devices and keys are lists of their own."""
    if user is None:
        return Observation(account_id, exists=False, standing=())
    state = UserState(user, {}, (), has_tagged_devices=False, has_oauth_clients=False)
    lists = (Unread(AccessKind.SECRET), Unread(AccessKind.DEVICE))
    return Observation(account_id, True, state.standing(account_id), unread=lists)


def _account_of(user: Item) -> Account:
    login = str(user.get("loginName", ""))
    known = [Key(KeyKind.USERNAME, login)]
    # An identity provider without addresses signs people in as "name@github" and the like.
    if "." in login.rpartition("@")[2]:
        known.append(Key(KeyKind.EMAIL, login))
    return Account(user["id"], locator=login, known_keys=tuple(known))


def is_named(user: Item, kind: KeyKind, value: str) -> bool:
    """Whether the key may name the user; a short name is looked for before the @.

    Tailscale's login names always have one: compared whole, a short name could find nobody, and
    would still count as a search that found nobody.
    """
    if kind is KeyKind.ACCOUNT_ID:
        return bool(user["id"] == value)
    wanted, login = comparable(kind, value), comparable(kind, str(user.get("loginName", "")))
    is_short = kind is KeyKind.USERNAME and "@" not in wanted
    return wanted == (local_part(login) if is_short else login)


def _is_owned(device: Item, login: str) -> bool:
    """Registered by this user and of this tailnet: one that is shared in is not ours to cut off."""
    owner = str(device.get("user", "")).casefold()
    return bool(login) and owner == login and not device.get("isExternal")


def _connects(device: Item, now: datetime) -> bool:
    if device.get("authorized") is False:
        return False
    expires = instant_of(device.get("expires"))
    return bool(device.get("keyExpiryDisabled")) or expires is None or expires > now


def _is_valid(key: Item, now: datetime) -> bool:
    expires = instant_of(key.get("expires"))
    revoked = key.get("invalid") is True or instant_of(key.get("revoked")) is not None
    return not revoked and (expires is None or expires > now)


def _outlives_its_maker(key: Item) -> bool:
    return key.get("keyType") in {"client", "federated"}


def instant_of(text: object) -> datetime | None:
    """A vendor time; None for none, which Go writes as an empty string or as year 1.

    An unreadable or zoneless time is None too: then the door counts as open.
    """
    try:
        moment = datetime.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year > 1 else None
