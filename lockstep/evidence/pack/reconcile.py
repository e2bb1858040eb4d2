"""Events from HR against cases: every one of both is accounted for.

The counts come from the database, because the ledger begins where a case does. A verifier cannot
check them; an auditor compares them with HR's own list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

FATES = {
    "opened": "opened a case",
    "rescinded_first": "took back a termination that we had not heard of: a case without work",
    "later_word": "said something later about a known case (other dates, taken back)",
    "repeated": "repeated what was known, or came after something newer: changed nothing",
    "refused": "could not be read, or contradicts what is known: kept for operations",
    "waiting": "waited to be read when the pack was made",
}
"""What can become of an event, in words."""

_BY_VERDICT = {
    "open": "opened",
    "tombstone": "rescinded_first",
    "amend": "later_word",
    "rescind": "later_word",
    "too_late": "later_word",
    "rehired": "later_word",
    "duplicate": "repeated",
    "outdated": "repeated",
}


class Reconciliation:
    """Counts events: those of the pack's cases, and in a full pack those without a case.

    Args:
        cases: ids of all cases of the pack, counted or not.
        is_full: whether the pack speaks of everybody; nobody knows whose an unread event is.
        coming: whether it may tell of dismissals to come: they may be what waits, or is held.
    """

    def __init__(self, cases: Collection[str], *, is_full: bool, coming: bool = True) -> None:
        self._cases = cases
        self._is_full = is_full
        self._coming = coming
        self._counts: Counter[tuple[str, str]] = Counter()
        self._told: set[str] = set()

    def add(self, *, case_id: str, source: str, state: str, verdict: str, count: int) -> None:
        """Count events of one source that met the same end."""
        if case_id not in self._cases if case_id else not self._is_full:
            return
        if not (case_id or self._coming or state in {"done", "refused"}):
            return
        if state == "done":
            self._told.add(case_id)
            fate = _BY_VERDICT.get(verdict, "repeated")
        else:
            fate = "refused" if state == "refused" else "waiting"
        self._counts[source, fate] += count

    def counts(self) -> dict[str, int]:
        """Figures for the statement; the events add up, and so do the cases."""
        by_fate: Counter[str] = Counter()
        for (_, fate), count in self._counts.items():
            by_fate[fate] += count
        return {
            "hr_events": by_fate.total(),
            **{f"hr_{fate}": by_fate[fate] for fate in FATES},
            "cases_with_event": len(self._told),
            "cases_without_event": len(self._cases) - len(self._told),
        }

    def by_source(self) -> Iterator[tuple[str, str, int]]:
        """(source, what became of them, how many), in a fixed order."""
        order = list(FATES)
        for source, fate in sorted(self._counts, key=lambda pair: (pair[0], order.index(pair[1]))):
            yield source, FATES[fate], self._counts[source, fate]
