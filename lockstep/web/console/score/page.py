"""`People metric`: the score with all that is needed to read it, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from lockstep.control.people.sessions import Signed
from lockstep.control.score.answers import BusyError
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import QuestionError
from lockstep.control.score.sight import NotYoursError, ScoreSight, Wish
from lockstep.domain.rights import Permission
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, act_of
from lockstep.web.console.score.words import (
    last_months,
    metric_values,
    penalty_values,
    windows,
)

HOME = "/console/people-metric"
AT_ONCE = timedelta(milliseconds=400)
"""How long the page itself waits; after that it comes without figures, which follow."""
FOLLOWING = timedelta(seconds=8)
RENEWED = timedelta(seconds=5)
"""Whoever asks for new figures gets none that are older."""

Text = Annotated[str, Query(max_length=300)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address says.

    Args:
        printing: everything unfolded, for paper.
        renewed: compute anew what was computed a while ago.
    """

    wish: Wish
    printing: bool
    renewed: bool = False

    @property
    def query(self) -> str:
        given = {"window": self.wish.window, "partner": self.wish.partner}
        given |= {"print": "1"} if self.printing else {}
        return urlencode(given | ({"renew": "1"} if self.renewed else {}))


def _asked(
    window: Text = "official",
    partner: Text = "",
    printing: Annotated[str, Query(alias="print", max_length=1)] = "",
    renew: Annotated[str, Query(max_length=1)] = "",
) -> _Asked:
    return _Asked(Wish(window, partner), printing == "1", renew == "1")


def router(page: ScoreRoom) -> APIRouter:
    """Everything that the right to the metric opens."""
    routes = page.gate.router(Permission.SCORE)

    @routes.get(HOME)
    async def show_metric(
        request: Request,
        asked: Annotated[_Asked, Depends(_asked)],
        first: Annotated[str, Query(alias="from", max_length=30)] = "",
        last: Annotated[str, Query(alias="to", max_length=30)] = "",
    ) -> Response:
        window = f"{first}..{last}" if first and last else asked.wish.window
        return await page.show(request, replace(asked, wish=replace(asked.wish, window=window)))

    @routes.get(f"{HOME}/figures")
    async def show_figures(request: Request, asked: Annotated[_Asked, Depends(_asked)]) -> Response:
        """The figures alone, for a page that waits for them."""
        return await page.figures(request, asked, patience=FOLLOWING)

    @routes.get(f"{HOME}/penalties")
    async def show_penalties(
        request: Request, month: Annotated[str, Query(max_length=10)] = ""
    ) -> Response:
        return await page.penalties(request, month)

    return routes


@dataclass(frozen=True, slots=True)
class ScoreRoom(Front):
    """The People metric, as far as somebody's scope."""

    score: ScoreService
    sight: ScoreSight

    async def show(self, request: Request, asked: _Asked) -> Response:
        me = await self._me(request)
        partners = await self.sight.cases.partners(me.principal.scope)
        if me.principal.partners is not None and not asked.wish.partner and partners:
            # Somebody's own partner: there is no figure of everybody for them.
            asked = replace(asked, wish=replace(asked.wish, partner=partners[0]))
        values: dict[str, Any] = {
            "asked": asked,
            "partners": partners,
            "windows": windows(datetime.now(UTC).date()),
            "home": HOME,
            "printing": asked.printing,
            "bounds": self.bounds,
        }
        problem, found = "", None
        if partners or me.principal.partners is None:
            try:
                found = await self._ask(request, me, asked, AT_ONCE)
            except QuestionError as error:
                problem = str(error)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
        return self.pages.page(
            request,
            "people.html",
            status=status,
            problem=problem,
            nothing=me.principal.partners is not None and not partners,
            metric=None if found is None else metric_values(found, now=datetime.now(UTC)),
            months=last_months(datetime.now(UTC).date()),
            **values,
        )

    async def figures(self, request: Request, asked: _Asked, *, patience: timedelta) -> Response:
        me = await self._me(request)
        try:
            found = await self._ask(request, me, asked, patience)
        except QuestionError:
            raise NOT_THERE from None  # only the page itself leads here
        return self.pages.page(
            request,
            "people_waiting.html" if found is None else "people_figures.html",
            asked=asked,
            home=HOME,
            printing=asked.printing,
            bounds=self.bounds,
            metric=None if found is None else metric_values(found, now=datetime.now(UTC)),
            months=last_months(datetime.now(UTC).date()),
        )

    async def penalties(self, request: Request, month: str) -> Response:
        me = await self._me(request)
        chosen = month or datetime.now(UTC).strftime("%Y-%m")
        problem, found = "", None
        try:
            found = await self.sight.penalties(chosen, me.principal, patience=FOLLOWING)
        except QuestionError as error:
            problem = str(error)
        except BusyError:
            pass
        return self.pages.page(
            request,
            "people_penalties.html",
            status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
            month=chosen,
            problem=problem,
            found=None if found is None else penalty_values(found),
            home=HOME,
        )

    @property
    def bounds(self) -> tuple[float, float]:
        """Below the first a score is bad, from the second on it is good."""
        definition = self.score.rules.definition
        shares = (definition.high_risk_below, definition.audit_proof_from)
        low, high = (float(definition.max_score * share) for share in shares)
        return low, high

    async def _ask(
        self, request: Request, me: Signed, asked: _Asked, patience: timedelta
    ) -> dict[str, Any] | None:
        """The document; None while it is still being computed."""
        at_most = RENEWED if asked.renewed else None
        try:
            return await self.sight.score(
                asked.wish, me.principal, patience=patience, at_most=at_most
            )
        except BusyError:
            return None
        except NotYoursError:
            user = me.principal.user_id
            await self.gate.sessions.log.denied(user, act_of(request), why="scope")
            raise NOT_THERE from None

    async def _me(self, request: Request) -> Signed:
        signed = await self.gate.signed(request)
        assert signed is not None  # noqa: S101 - the router's dependency
        return signed
