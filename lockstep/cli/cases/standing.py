"""What of a case a statement can change: whether it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from lockstep.composition import Root
from lockstep.domain.cases.leavers import Key
from lockstep.storage.records import CaseView


@dataclass(frozen=True, slots=True)
class Standing:
    """How a case stands, as far as HR or operations can say otherwise."""

    case_id: str
    facts: tuple[object, ...]
    keys: frozenset[Key] = field(repr=False)

    @classmethod
    async def of(cls, context: Root, view: CaseView) -> Self:
        case = view.case
        subject = await context.stores.views.subject(case)
        facts = (case.kind, case.partner, case.site, case.zone, case.cutoff_at)
        return cls(case.case_id, facts, frozenset(subject.keys.keys if subject else ()))

    async def still(self, context: Root) -> bool:
        """Whether the case stands as it did."""
        return self == await self.of(context, await context.desk.find(self.case_id))
