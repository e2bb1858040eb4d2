"""What late revocations cost by contract: per partner, which cases, how late, how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.judging import CaseResult, deciding, judge
from lockstep.scorecard.numbers import HOUR_MS, instant_text
from lockstep.scorecard.scores import Window


@dataclass(frozen=True, slots=True)
class Terms:
    """A partner's contract. Amounts are whole minor units (cents) of ``currency`` (ISO 4217).

    Args:
        per_case: for each late case, once.
        per_started_hour: for each started hour past due, of the latest system.
        cap_per_case: the most that one case costs; None without such a limit.
    """

    currency: str
    per_case: int = 0
    per_started_hour: int = 0
    cap_per_case: int | None = None

    def amount(self, late_ms: int) -> int:
        """What a case costs that is late by ``late_ms``; nothing where it is not."""
        if late_ms <= 0:
            return 0
        amount = self.per_case + self.per_started_hour * started_hours(late_ms)
        return amount if self.cap_per_case is None else min(amount, self.cap_per_case)


@dataclass(frozen=True, slots=True)
class LateCase:
    """One late case. ``amount`` is None where the partner has no terms.

    Args:
        late_ms: of the latest deciding system; still growing while ``is_open``.
        systems: those that were late, by name.
    """

    case_id: str
    cutoff_at: int
    late_ms: int
    started_hours: int
    is_open: bool
    systems: tuple[str, ...]
    amount: int | None


@dataclass(frozen=True, slots=True)
class PartnerPenalties:
    """One partner's late cases, oldest cutoff first; without terms they cost nothing."""

    partner: str
    terms: Terms | None
    judged: int
    cases: tuple[LateCase, ...]

    @property
    def total(self) -> int:
        """In minor units of the terms' currency; open cases as they stand."""
        return sum(case.amount or 0 for case in self.cases)

    def as_document(self) -> dict[str, Any]:
        """The report as plain data; amounts in whole minor units."""
        return {
            "partner": self.partner,
            "currency": self.terms.currency if self.terms else None,
            "judged": self.judged,
            "late": len(self.cases),
            "total": self.total if self.terms else None,
            "cases": [
                {
                    "case": case.case_id,
                    "cutoff": instant_text(case.cutoff_at),
                    "late_ms": case.late_ms,
                    "started_hours": case.started_hours,
                    "open": case.is_open,
                    "systems": list(case.systems),
                    "amount": case.amount,
                }
                for case in self.cases
            ],
        }


def started_hours(late_ms: int) -> int:
    """Hours begun; the first one begins with the first millisecond."""
    return -(-late_ms // HOUR_MS)


def penalties(
    cases: Iterable[CaseFacts],
    terms: Mapping[str, Terms],
    definition: Definition,
    *,
    window: Window,
    as_of: int,
    called_off: Iterable[CaseFacts] = (),
) -> list[PartnerPenalties]:
    """The report per partner, sorted by name, of cases whose cutoff lies in the window.

    A case belongs to the period of its cutoff alone, open or not, so that two periods never
    charge it twice; what is open at ``as_of`` is charged up to there. A partner with terms stands
    in the report though nothing was late.
    """
    judged: dict[str, int] = dict.fromkeys(terms, 0)
    late: dict[str, list[LateCase]] = {partner: [] for partner in terms}
    counting = Counting(definition, called_off)
    for told in cases:
        case = counting.of(told, as_of)
        if not window.start <= case.cutoff_at < window.end:
            continue
        result = judge(case, definition, as_of)
        if not result.scored:
            continue
        judged[case.partner] = judged.get(case.partner, 0) + 1
        rows = late.setdefault(case.partner, [])
        if result.late_ms:
            rows.append(_late_case(case, result, terms.get(case.partner)))
    return [
        PartnerPenalties(
            partner,
            terms.get(partner),
            judged[partner],
            tuple(sorted(late[partner], key=lambda row: (row.cutoff_at, row.case_id))),
        )
        for partner in sorted(judged)
    ]


def _late_case(case: CaseFacts, result: CaseResult, terms: Terms | None) -> LateCase:
    return LateCase(
        case_id=case.case_id,
        cutoff_at=case.cutoff_at,
        late_ms=result.late_ms,
        started_hours=started_hours(result.late_ms),
        is_open=result.is_open,
        systems=tuple(sorted(row.system for row in deciding(result.items) if row.late_ms)),
        amount=terms.amount(result.late_ms) if terms else None,
    )
