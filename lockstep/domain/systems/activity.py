"""What was done with an account, as the vendor's own log tells it.

"It was not used" is a claim: it holds only where the log was read whole and is known to reach back
to the instant from which on was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockstep.domain.systems.abilities import Gap


class UseKind(StrEnum):
    """What an entry of the vendor's log says. Public: never rename."""

    USED = "used"
    """The account got in, or did something."""
    REFUSED = "refused"
    """Somebody tried, and the vendor turned them away."""


@dataclass(frozen=True, slots=True)
class Use:
    """One entry of the vendor's log.

    Args:
        at: when it happened (UTC), by the vendor's clock.
        kind: whether it was let in.
        what: the vendor's type of event ("lock.unlock"), bounded and cleaned; nothing personal.
        ref: the vendor's id of the entry, by which an auditor finds it.
    """

    at: datetime
    kind: UseKind
    what: str
    ref: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Activity:
    """What the log says of one account from one instant on.

    Args:
        account_id: the account.
        since: from when on was asked (UTC).
        uses: in the order of their instants; none of them before ``since``.
        reaches_from: from when on the log is known to hold entries (UTC): the oldest entry that it
            showed, or what the vendor documents; None where neither is known.
        read_at: when the log was read (UTC): what happened later is not in it, and what happened
            shortly before may not be in it yet.
        gaps: what of the log was not seen.
    """

    account_id: str = field(repr=False)
    since: datetime
    uses: tuple[Use, ...]
    reaches_from: datetime | None
    read_at: datetime
    gaps: tuple[Gap, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the log showed everything that it may show from ``since`` on."""
        reaches = self.reaches_from is not None and self.reaches_from <= self.since
        return reaches and not self.gaps

    @property
    def proves_none(self) -> bool:
        """Whether it is known that the log has nothing of this account."""
        return self.is_whole and not self.uses
