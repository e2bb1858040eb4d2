"""Who left: the keys by which systems know the person."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class KeyKind(StrEnum):
    """Identity keys, from the most to the least trustworthy.

    Immutable ids come first; an e-mail address can be renamed or recycled to somebody else,
    so it never outweighs a key above it.
    """

    ACCOUNT_ID = "account_id"
    WORKER_ID = "worker_id"
    EMPLOYEE_NUMBER = "employee_number"
    EXTERNAL_ID = "external_id"
    USERNAME = "username"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Key:
    """One identity key. ``system`` narrows an account id to the system that issued it."""

    kind: KeyKind
    value: str
    system: str | None = None


@dataclass(frozen=True, slots=True)
class LeaverKeys:
    """All keys under which a leaver may be known; personal data, never logged.

    ``withdrawn``: what people have said not to be theirs; nobody is searched for by it, and it is
    not forgotten.
    """

    keys: tuple[Key, ...] = field(default=(), repr=False)
    withdrawn: tuple[Key, ...] = field(default=(), repr=False)

    def withdrawn_of(self, system: str) -> tuple[Key, ...]:
        """The withdrawn keys by which an account of one system may have been found."""
        return tuple(key for key in self.withdrawn if key.system in (None, system))

    def of_kind(self, *kinds: KeyKind) -> tuple[str, ...]:
        """Distinct values of the given kinds, in the order of ``kinds``."""
        found: dict[str, None] = {}
        for kind in kinds:
            for key in self.keys:
                if key.kind is kind and key.kind is not KeyKind.ACCOUNT_ID:
                    found.setdefault(key.value)
        return tuple(found)

    def account_ids(self, system: str) -> tuple[str, ...]:
        """Immutable account ids that HR or an operator supplied for one system."""
        return tuple(
            key.value
            for key in self.keys
            if key.kind is KeyKind.ACCOUNT_ID and key.system in (None, system)
        )

    @property
    def emails(self) -> tuple[str, ...]:
        return self.of_kind(KeyKind.EMAIL)

    @property
    def usernames(self) -> tuple[str, ...]:
        return self.of_kind(KeyKind.USERNAME)

    @property
    def employee_numbers(self) -> tuple[str, ...]:
        return self.of_kind(KeyKind.EMPLOYEE_NUMBER)

    @property
    def worker_ids(self) -> tuple[str, ...]:
        return self.of_kind(KeyKind.WORKER_ID)
