"""What a system can do beyond locating, containing, stripping and reading back; and how far.

An ability is declared in the connector's manifest and offered by the connector itself. What one
cannot see is a `Gap`, with its reason: nothing may be concluded from what it would have shown.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from lockstep.domain.systems.faults import FaultCategory


class Ability(StrEnum):
    """What a connector may offer. Public: stands in the capability index; never rename."""

    CONTAIN_MANY = "contain_many"
    """Shuts the sign-in of many accounts in one call."""
    LIST_ACTIVE = "list_active"
    """Lists all accounts that can sign in."""
    ACTIVITY_SINCE = "activity_since"
    """Tells uses and refused tries of one account from the vendor's own log."""
    LIST_OWNED = "list_owned"
    """Lists what runs or stays because of one account."""
    READ_EACH_PLACE = "read_each_place"
    """Reads one account back at each place that enforces a block."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not seen: it is neither empty nor known.

    Args:
        what: our stable code of it ("accounts", "activity", a kind of owned thing, a place).
        category: why it could not be read.
        operation: our name of the call that failed.
        code: the vendor's code or ours, bounded and cleaned.
        retry_after: the vendor's own waiting time.
        missing: the permission that is missing, where the answer tells.
        request_id: the vendor's id of the failed call.
    """

    what: str
    category: FaultCategory
    operation: str = ""
    code: str = ""
    retry_after: timedelta | None = None
    missing: str | None = None
    request_id: str | None = None


class Enforcement(StrEnum):
    """Where a block takes hold. Public: stands in the capability index; never rename."""

    ONE_PLACE = "one_place"
    """The vendor's service decides at each sign-in; its record is the truth."""
    EACH_READ = "each_read"
    """Many places, and each one is read back by itself (`Ability.READ_EACH_PLACE`)."""
    NOT_READ = "not_read"
    """Many places, and the vendor lets nobody read them: a residual says for how long they lag."""


@dataclass(frozen=True, slots=True)
class EnforcedAt:
    """Where a block takes hold.

    Args:
        how: one place or many, read or not.
        places: what the places are ("domain controllers", "door readers"), for people.
    """

    how: Enforcement
    places: str

    def needs_residual(self, known: Collection[str]) -> bool:
        """Whether what lags at places that nobody can read is told by no residual."""
        return self.how is Enforcement.NOT_READ and not known
