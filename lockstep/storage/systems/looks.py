"""What a look at one system of one case leaves in the ledger: a look, or a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lockstep.domain.systems.access import Access, Exchange
from lockstep.domain.systems.faults import FaultCategory
from lockstep.evidence.ledger.entries import (
    Entry,
    EntryKind,
    access_data,
    aside_data,
    exchange_data,
)
from lockstep.evidence.ledger.fold import ACCESS_RETURNED, ACCOUNT_IN_DOUBT, RETURNED_BEFORE_REHIRE
from lockstep.storage.systems.revocations import Progress, Revocation


@dataclass(frozen=True, slots=True)
class LookMade:
    """One look of a watch.

    Args:
        item: what was looked at.
        look: its number.
        last: whether it is the one that ends a watch because they work here again.
        exchanges: the calls that were made.
        dropped: how many more there were.
    """

    item: Revocation
    look: int
    last: bool
    exchanges: Sequence[Exchange]
    dropped: int

    def entry(self, standing: Sequence[Access], work: Progress) -> Entry:
        """What was seen: a finding where access stands, or where a new account is in doubt."""
        item = self.item
        doubts = {one.match.account.id for one in work.finding.in_doubt}
        known = {one.account_id for one in item.candidates if one.in_doubt}
        returned = RETURNED_BEFORE_REHIRE if self.last else ACCESS_RETURNED
        found = returned if standing else ACCOUNT_IN_DOUBT if doubts - known else ""
        kind = EntryKind.FINDING_RAISED if found else EntryKind.WATCH_LOOK
        data: dict[str, object] = {
            "look": self.look,
            "standing": access_data(item.subject.salt, item.system, standing),
            **aside_data(item.subject.salt, item.system, work.finding),
        }
        if found:
            data["finding"] = found
        return self._made(kind, item.key("look", self.look), data)

    def failed(self, category: FaultCategory, attempt: int) -> Entry:
        """That nothing was seen, and why."""
        key = self.item.key("look", self.look, "fault", attempt)
        data = {"look": self.look, "attempt": attempt, "category": category.value}
        return self._made(EntryKind.WATCH_LOOK, key, data)

    def _made(self, kind: EntryKind, key: str, data: Mapping[str, object]) -> Entry:
        now, item = datetime.now(UTC), self.item
        return Entry(
            kind=kind,
            key=key,
            tenant=item.tenant,
            occurred_at=now,
            recorded_at=now,
            case_id=item.case_id,
            subject=str(item.subject.subject_id),
            system=item.system,
            policy=item.policy,
            data={**data, **exchange_data(self.exchanges, dropped=self.dropped)},
        )
