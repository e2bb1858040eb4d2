"""What outlives a revocation: when it is shown, and for how long, as somebody has stated it.

One rule: a residual is told of an account whose sign-in is shut or gone. While the front door
stands open there is nothing yet to outlive. One that hangs on things that the account holds is
told while such a thing is seen; one whose bound is 0 outlives nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from connectors.kit.options import Option, Values
from lockstep.domain.systems.access import Residual


@dataclass(frozen=True, slots=True)
class Outlives:
    """One row: something that the vendor cannot end at once.

    Args:
        what: its stable code.
        bound: the option that states it; a number that the vendor documents; None for unknown.
        of_things: whether it is told only where a list shows such a thing (`Holding.leaves`).
        ends: whether it is told no more once its bound has passed since the sign-in was shut.
    """

    what: str
    bound: Option[int | None] | int | None = None
    of_things: bool = False
    ends: bool = False

    def told(self, values: Values, shut_for: timedelta | None = None) -> tuple[Residual, ...]:
        bound = values[self.bound] if isinstance(self.bound, Option) else self.bound
        if self.ends and bound is not None and shut_for is not None:
            bound = 0 if shut_for >= timedelta(seconds=bound) else bound
        return residual(self.what, bound)

    @property
    def default(self) -> int | None:
        """The bound where the settings say nothing."""
        return self.bound.absent if isinstance(self.bound, Option) else self.bound


def residual(what: str, bound_s: int | None) -> tuple[Residual, ...]:
    """What outlives a revocation; nothing does where the bound is 0."""
    return () if bound_s == 0 else (Residual(what, bound_s),)


def shown(
    rows: Iterable[Outlives],
    values: Values,
    *,
    signs_in: bool,
    seen: Collection[str] = (),
    shut_for: timedelta | None = None,
) -> tuple[Residual, ...]:
    """What outlives the revocation of one account.

    Args:
        rows: all that the vendor may leave.
        values: of the system's options.
        signs_in: whether the front door stands open.
        seen: codes of what the lists show.
        shut_for: how long the sign-in has been shut, by the vendor's clock; None for unknown.
    """
    told = (row for row in rows if not signs_in and (not row.of_things or row.what in seen))
    return tuple(each for row in told for each in row.told(values, shut_for))
