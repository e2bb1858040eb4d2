"""Which AWS users are the leaver's: one place for ambiguity and contradiction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.base import ConnectorFault
from lockstep.domain.access import Account, Location, Match
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import KeyKind, LeaverKeys

_OWN_STRONG_KEYS = (KeyKind.EMPLOYEE_NUMBER, KeyKind.WORKER_ID)


@dataclass(slots=True)
class Finds:
    """Accounts found so far, each once, under the first (strongest) key that found it."""

    keys: LeaverKeys = field(repr=False)
    operation: str
    _matches: dict[str, Match] = field(default_factory=dict, repr=False)
    _tried: dict[KeyKind, None] = field(default_factory=dict)

    def tried(self, kind: KeyKind) -> None:
        self._tried.setdefault(kind)

    def add(self, found: Sequence[Account], kind: KeyKind) -> None:
        """Take what a search by one value of ``kind`` found.

        Raises:
            ConnectorFault: `FaultCategory.AMBIGUOUS_MATCH` for several accounts, and for one
                whose own employee number or worker id is another person's.
        """
        if len({account.id for account in found}) > 1:
            raise self._ambiguous(f"several_by_{kind.value}")
        for account in found:
            self._refuse_contradiction(account)
            self._matches.setdefault(account.id, Match(account, kind))

    def location(self) -> Location:
        return Location(tuple(self._matches.values()), tuple(self._tried))

    def _refuse_contradiction(self, account: Account) -> None:
        for kind in _OWN_STRONG_KEYS:
            ours = self.keys.of_kind(kind)
            theirs = [key.value for key in account.known_keys if key.kind is kind]
            if ours and theirs and not set(ours) & set(theirs):
                raise self._ambiguous(f"other_{kind.value}")

    def _ambiguous(self, code: str) -> ConnectorFault:
        return ConnectorFault(
            FaultCategory.AMBIGUOUS_MATCH, connector="aws", operation=self.operation, code=code
        )


def joined(*parts: Location) -> Location:
    """One location out of several searches, in order."""
    matches = tuple(match for part in parts for match in part.matches)
    tried = dict.fromkeys(kind for part in parts for kind in part.keys_tried)
    return Location(matches, tuple(tried))
