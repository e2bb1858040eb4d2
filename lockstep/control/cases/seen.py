"""What an act says that it looked at, so that it is refused where that has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.control.cases.casework import position
from lockstep.control.cases.dates import assigned_at, dates_seen
from lockstep.storage.board.file import CaseFile


@dataclass(frozen=True, slots=True)
class CaseSeen:
    """The texts that acts on one case take as ``seen``.

    Args:
        systems: by system, for retrying, attesting and waiving.
        dates: for moving the cutoff and calling the case off.
        assignment: for giving the case to somebody.
    """

    systems: Mapping[str, str]
    dates: str
    assignment: str

    @classmethod
    def of(cls, found: CaseFile) -> CaseSeen:
        """As the case stood when it was read."""
        systems = {row.system: position(found, row.system) for row in found.view.revocations}
        return cls(systems, dates_seen(found), assigned_at(found))
