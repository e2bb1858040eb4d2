"""What a definition makes of a case's facts before it judges them.

Facts are what the entries say. A definition of form 1 takes them as they are. One of form 2 lets
nobody choose scope, clock and population afterwards:

- **called off**: a case that HR took back after its cutoff had come counts, as if access had
  ended when HR's word was heard, on nobody's proof. Before, whoever was late could be made never to
  have been.
- **first cutoff**: a dismissal's clock runs from the earliest cutoff that stood while it was one,
  whoever put it off and however early. While the later cutoff is to come, the case is a secret and
  counts as before.
- **continued**: a case of somebody whose earlier case was called off runs on that one's clock, if
  it opened before `continue_days` had passed.

Pure, and with the standard library alone: the verifier runs it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.numbers import DAY_MS

CALLED_OFF: Final = "called_off"
"""The outcome of a system that was open when HR took the case back too late."""
_WORD: Final = "D"


class Counting:
    """Counts cases by one definition.

    Args:
        definition: the metric's.
        cases: those among which a clock may run on; only those that were called off are kept.
    """

    def __init__(self, definition: Definition, cases: Iterable[CaseFacts] = ()) -> None:
        self._definition = definition
        self._off: dict[str, CaseFacts] = {}
        if definition.has_rules:
            self._off = {case.case_id: case for case in cases if case.called_off_at is not None}

    def of(self, case: CaseFacts, as_of: int) -> CaseFacts:
        """The facts of ``case`` as the definition counts them at ``as_of``."""
        if not self._definition.has_rules:
            return case
        # What is to come is a secret: nothing that is counted may tell of it.
        first = case.cutoff_at if case.shown_cutoff_at > as_of else self._first(case)
        if first < case.cutoff_at:
            case = replace(case, cutoff_at=first, counts_from=first)
        at = case.called_off_at
        return case if at is None or at < case.cutoff_at else _called_off(case, at)

    def _first(self, case: CaseFacts) -> int:
        """The earliest cutoff of the case and of those that it goes on from, and so forth."""
        first = case.cutoff_at
        waiting, seen = [case], {case.case_id}
        while waiting:
            each = waiting.pop()
            first = min(first, each.cutoff_at)
            if each.first_cutoff_at is not None:
                first = min(first, each.first_cutoff_at)
            found = [
                self._off[name] for name in each.earlier if name in self._off and name not in seen
            ]
            found = [before for before in found if self._goes_on(before, each)]
            seen |= {before.case_id for before in found}
            waiting += found
        return first

    def _goes_on(self, before: CaseFacts, after: CaseFacts) -> bool:
        """Whether ``after`` is the same leaving again; what opened at once goes by its leaf."""
        ended = before.called_off_at or 0
        in_order = before.first_leaf < after.first_leaf
        return in_order and after.opened_at <= ended + self._definition.continue_days * DAY_MS


def _called_off(case: CaseFacts, at: int) -> CaseFacts:
    """Nobody has proved anything; but from then on nothing had to be taken."""
    items = tuple(
        replace(item, outcome=CALLED_OFF, grade=_WORD, off_at=at) if item.off_at is None else item
        for item in case.items
    )
    return replace(case, rescinded=False, items=items)
