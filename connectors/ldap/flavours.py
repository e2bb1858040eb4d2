"""How each kind of server shuts an entry, as rows.

An entry is shut when all of its doors are. A door that we may not read is open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.kit.ldap.instants import generalized, written
from connectors.kit.ldap.messages import Entry
from connectors.kit.ldap.people import ENTRY_UUID, NS_UNIQUE_ID, Naming

FOR_GOOD: Final = "000001010000Z"
"""Locked until an administrator unlocks it (slapo-ppolicy(5))."""
NO_PASSWORD: Final = "{CRYPT}!lockstep."  # noqa: S105 - a hash that no password has
_BEFORE: Final = timedelta(seconds=60)
"""The end lies so far back that no clock of a replica is still before it."""


@dataclass(frozen=True, slots=True)
class Door:
    """One attribute that shuts an entry: what is written, and when it is shut."""

    attribute: str
    shut: Callable[[datetime], bytes]
    is_shut: Callable[[tuple[str, ...]], bool]


def _has_ended(values: tuple[str, ...]) -> bool:
    ends = [generalized(value) for value in values]
    return bool(ends) and all(end is not None and end <= datetime.now(UTC) for end in ends)


END: Final = Door("pwdEndTime", lambda now: written(now - _BEFORE).encode(), _has_ended)
LOCK: Final = Door(
    "pwdAccountLockedTime", lambda _: FOR_GOOD.encode(), lambda values: values == (FOR_GOOD,)
)
ACCOUNT_LOCK: Final = Door(
    "nsAccountLock",
    lambda _: b"TRUE",
    lambda values: bool(values) and all(value.lower() == "true" for value in values),
)
# The random part: a server that knows no such hash would take the whole for a password.
SCRAMBLED: Final = Door(
    "userPassword",
    lambda _: (NO_PASSWORD + secrets.token_hex(24)).encode(),
    lambda values: bool(values) and all(value.startswith(NO_PASSWORD) for value in values),
)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One kind of server.

    Args:
        doors: all of them are written at once, and all must be shut.
        naming: its immutable id.
        used: the attribute that says when somebody last signed in.
        policy: whether a password policy decides what the doors are worth.
    """

    doors: tuple[Door, ...]
    naming: Naming
    used: str = ""
    policy: bool = False

    def is_shut(self, entry: Entry) -> bool:
        return all(door.is_shut(entry.all(door.attribute)) for door in self.doors)


FLAVOURS: Final = {
    "openldap": Flavour((END, LOCK), ENTRY_UUID, "pwdLastSuccess", policy=True),
    "389ds": Flavour((ACCOUNT_LOCK,), NS_UNIQUE_ID, "lastLoginTime"),
    "scramble": Flavour((SCRAMBLED,), ENTRY_UUID),
}
