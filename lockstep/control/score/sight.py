"""The metric as somebody may see it: their partners only, and no case that is not theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.outside import outside
from lockstep.control.score.questions import QuestionError, parse_question
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import Permission, Principal, Scope
from lockstep.storage.board.known import KnownNames, UnknownNameError
from lockstep.storage.board.sight import CaseSight

Document = Mapping[str, Any]

HIDDEN = "A case that is not yours to see."


class NotYoursError(LockstepError):
    """The partner that was asked for is outside of the asker's scope."""

    kind = Kind.NO_SUCH_PARTNER

    def told(self) -> list[str]:
        return []


class NoSuchPartnerError(QuestionError):
    """Nothing names the partner that was asked for; the text says which ones there are."""

    kind = Kind.NO_SUCH_PARTNER


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks: ``window`` as `parse_question` reads it; ``partner`` "" is everybody."""

    window: str = "official"
    partner: str = ""
    in_full: bool = True


class ScoreSight:
    """Asks the score's service, and leaves out of its answers what is outside of a scope.

    The figures of a partner are of all of its cases: what is left out is which cases they are.
    """

    def __init__(self, service: ScoreService, known: KnownNames, cases: CaseSight) -> None:
        self._service = service
        self._known = known
        self.cases = cases

    async def score(
        self,
        wish: Wish,
        by: Principal,
        *,
        patience: timedelta,
        at_most: timedelta | None = None,
    ) -> dict[str, Any]:
        """The score's document; ``at_most``: how old it may be.

        Raises:
            NotYoursError: for a partner out of scope, or everybody's where the scope has bounds.
            NoSuchPartnerError: for one that nothing names.
            QuestionError: naming what is wrong with the window.
            BusyError: if it is still being computed when ``patience`` ends.
        """
        if by.partners is not None and wish.partner not in by.partners:
            raise NotYoursError
        question = parse_question(
            wish.window, wish.partner or None, in_full=wish.in_full, sealed=by.scope.sealed
        )
        await self.check_partner(wish.partner, by.scope)
        document = await self._service.current(question, patience=patience, at_most=at_most)
        hidden = await self._hidden(_cases_named(document), by.scope)
        shown = _within(document, by.scope, hidden)
        heads = by.may(Permission.SEE_CASES) or by.may(Permission.EXPORT)
        return shown if by.scope.sealed else outside(shown, heads=heads)

    async def check_partner(self, partner: str, scope: Scope) -> None:
        """Whether anything in ``scope`` names this partner; raises `NoSuchPartnerError`."""
        try:
            await self._known.check(scope, partner=partner)
        except UnknownNameError as error:
            raise NoSuchPartnerError(str(error)) from None

    async def penalties(self, month: str, by: Principal, *, patience: timedelta) -> dict[str, Any]:
        """Penalties of a month, of the partners in scope.

        Raises:
            QuestionError: if ``month`` is none.
            BusyError: as `score`.
        """
        document = await self._service.penalties(month, patience=patience)
        rows = [
            row
            for row in document["partners"]
            if by.partners is None or row["partner"] in by.partners
        ]
        hidden = await self._hidden(
            {case["case"] for row in rows for case in row["cases"]}, by.scope
        )
        return {**document, "partners": [_penalty_row(row, hidden) for row in rows]}

    async def _hidden(self, named: set[str], scope: Scope) -> frozenset[str]:
        if scope.partners is None and scope.sealed and not scope.own_keys:
            return frozenset()
        return frozenset(named) - await self.cases.among(named, scope)


def _cases_named(document: Document) -> set[str]:
    scores = _scores(document)
    caps = {hit["worst"]["case"] for found in scores for hit in found["caps"]}
    costs = {cost["case"] for cost in document.get("explain", ()) if cost["case"]}
    return {case for case in caps | costs if case}


def _scores(document: Document) -> Iterator[Document]:
    yield document["score"]
    for groups in document.get("by", {}).values():
        yield from groups.values()


def _within(document: Document, scope: Scope, hidden: frozenset[str]) -> dict[str, Any]:
    """A copy without what ``scope`` must not learn; the service's own answer stays as it is."""
    shown = {**document, "score": _score_row(document["score"], hidden)}
    if "by" in document:
        shown["by"] = {
            dimension: {name: _score_row(found, hidden) for name, found in groups.items()}
            for dimension, groups in document["by"].items()
        }
        shown["explain"] = [_cost_row(cost, hidden) for cost in document["explain"]]
    if scope.own_keys:  # their own leaving may be among them
        shown["scheduled"] = None
    return shown


def _score_row(found: Document, hidden: frozenset[str]) -> dict[str, Any]:
    caps = [
        {**hit, "worst": {**hit["worst"], "case": "", "system": ""}}
        if hit["worst"]["case"] in hidden
        else hit
        for hit in found["caps"]
    ]
    return {**found, "caps": caps}


def _cost_row(cost: Document, hidden: frozenset[str]) -> Document:
    if cost["case"] not in hidden:
        return cost
    return {**cost, "text": HIDDEN, "advice": "", "case": None, "system": None}


def _penalty_row(row: Document, hidden: frozenset[str]) -> dict[str, Any]:
    cases: Iterable[Document] = row["cases"]
    return {
        **row,
        "cases": [
            {**case, "case": "", "systems": []} if case["case"] in hidden else case
            for case in cases
        ],
    }
