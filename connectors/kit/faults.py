"""What a vendor's refusal means, as rows: by its status and code, never by its text.

The first row that fits decides. Where none does, a 403 that carries a limit is one that passes
(many vendors answer so where others answer 429), and the status decides the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from connectors.kit.pacing.limits import is_throttling
from connectors.kit.paths import Path, at
from lockstep.domain.systems.faults import FaultCategory

_FORBIDDEN: Final = 403
_BROKEN: Final = 500
_BY_STATUS: Final[Mapping[int, FaultCategory]] = {
    401: FaultCategory.CREDENTIALS_REJECTED,
    _FORBIDDEN: FaultCategory.PERMISSION_MISSING,
    408: FaultCategory.TIMEOUT,
    425: FaultCategory.VENDOR_ERROR,
    429: FaultCategory.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One kind of refusal; codes or statuses that are left out are any."""

    category: FaultCategory
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()

    def fits(self, status: int, code: str) -> bool:
        by_code = not self.codes or code in self.codes
        return by_code and (not self.statuses or status in self.statuses)


@dataclass(frozen=True, slots=True)
class ReallyOk:
    """Where a body says whether the call succeeded, of a vendor that answers 200 to all.

    Whatever is not ``value`` is a refusal, also where nothing is said.
    """

    at: Path
    value: object = True

    def holds(self, data: object) -> bool:
        said = at(data, self.at)
        return type(said) is type(self.value) and said == self.value


def category_of(
    rows: Iterable[FaultRow], status: int, code: str, headers: Mapping[str, str], now: datetime
) -> FaultCategory:
    """What a refusal with this status, vendor's code and headers is."""
    for row in rows:
        if row.fits(status, code):
            return row.category
    if status == _FORBIDDEN and is_throttling(headers, now):
        return FaultCategory.RATE_LIMITED
    if status >= _BROKEN:
        return FaultCategory.VENDOR_ERROR
    return _BY_STATUS.get(status, FaultCategory.UNEXPECTED_ANSWER)
