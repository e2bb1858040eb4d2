"""The facts of very many cases in little memory."""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import Any

from lockstep.scorecard.facts import CaseFacts, ItemFacts

HOT = 4096
"""Cases kept as objects. A case's entries lie close together, so most are packed only once."""

_Head = tuple[str, str, str, bool, int]


class CaseBook(MutableMapping[str, CaseFacts]):
    """Case ids to facts, in the order in which the cases opened.

    100,000 cases of 12 systems are more than a million small objects; the cases that were not
    touched lately are held as bytes instead and made anew when somebody asks.
    """

    def __init__(self, *, hot: int = HOT) -> None:
        self._limit = hot
        self._hot: OrderedDict[str, CaseFacts] = OrderedDict()
        self._packed: dict[str, bytes] = {}
        self._heads: dict[_Head, int] = {}
        self._head_list: list[_Head] = []
        self._texts: dict[str, str] = {}

    def __getitem__(self, case_id: str) -> CaseFacts:
        found = self._hot.get(case_id)
        return found if found is not None else self._unpack(case_id, self._packed[case_id])

    def __setitem__(self, case_id: str, facts: CaseFacts) -> None:
        self._packed[case_id] = b""
        self._hot[case_id] = facts
        self._hot.move_to_end(case_id)
        if len(self._hot) > self._limit:
            oldest, cold = self._hot.popitem(last=False)
            self._packed[oldest] = self._pack(cold)

    def __delitem__(self, case_id: str) -> None:
        del self._packed[case_id]
        self._hot.pop(case_id, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, case_id: object) -> bool:
        return case_id in self._packed

    def _pack(self, facts: CaseFacts) -> bytes:
        base = facts.cutoff_at
        items = tuple(
            (
                self._head(item),
                item.accounts,
                item.outcome,
                item.grade,
                _minus(item.off_at, base),
                _minus(item.read_back_at, base),
                _minus(item.first_attempt_at, base),
                _minus(item.waived_until, base),
                item.waived_in_vain,
                item.openings,
            )
            for item in facts.items
        )
        return marshal.dumps(
            (
                facts.subject,
                facts.kind,
                facts.source,
                facts.partner,
                facts.site,
                facts.zone,
                facts.recorded_at,
                facts.cutoff_at,
                facts.shown_cutoff_at,
                facts.received_at,
                facts.opened_at,
                facts.policy,
                facts.first_leaf,
                items,
                facts.begun_at,
                facts.closed_at,
                facts.rescinded,
                facts.called_off_at,
                facts.first_cutoff_at,
                facts.earlier,
            )
        )

    def _unpack(self, case_id: str, raw: bytes) -> CaseFacts:
        row = marshal.loads(raw)  # noqa: S302 - bytes that this object made, never from outside
        base = row[7]
        items = tuple(self._unpack_item(item, base) for item in row[13])
        values: tuple[Any, ...] = (case_id, *row[:13], items, *row[14:])
        return CaseFacts(*values)

    def _unpack_item(self, row: Any, base: int) -> ItemFacts:
        head, accounts, outcome, grade, off_at, read_back_at, attempt_at, until, vain, times = row
        system, category, tier, required, sla_ms = self._head_list[head]
        return ItemFacts(
            system,
            category,
            tier,
            required,
            sla_ms,
            accounts,
            self._text(outcome),
            self._text(grade),
            _plus(off_at, base),
            _plus(read_back_at, base),
            _plus(attempt_at, base),
            _plus(until, base),
            vain,
            times,
        )

    def _head(self, item: ItemFacts) -> int:
        """The number of what is the same for a system in every case of one policy and kind."""
        head = (item.system, item.category, item.tier, item.required, item.sla_ms)
        number = self._heads.setdefault(head, len(self._heads))
        if number == len(self._head_list):
            self._head_list.append(head)
        return number

    def _text(self, text: str) -> str:
        """One object per word, however many cases say it."""
        return self._texts.setdefault(text, text)


def _minus(moment: int | None, base: int) -> int | None:
    return None if moment is None else moment - base


def _plus(moment: int | None, base: int) -> int | None:
    return None if moment is None else moment + base
