"""What became of something that a second person was asked for: decided, and carried out or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.dates import OF_DATES
from lockstep.control.cases.words import state_words
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import Principal
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.acts import ActKind, ActRow, ActState
from lockstep.storage.people.requests import RequestRow, RequestState

_TAKEN = frozenset({Verdict.AMEND, Verdict.RESCIND, Verdict.REHIRED, Verdict.DUPLICATE})
_LOST = "It was approved, and what became of it cannot be read any more."


@dataclass(frozen=True, slots=True)
class Followed:
    """Where it stands.

    Args:
        state: of the request; a stable word.
        is_over: nothing more is to come of it.
        is_done: it was approved and has been carried out.
    """

    state: RequestState
    is_over: bool
    is_done: bool
    words: str


class Following:
    """Looks at requests; changes nothing."""

    def __init__(self, cases: CaseDesk, views: CaseViews) -> None:
        self._cases = cases
        self._views = views

    async def look(self, me: Principal, request_id: str) -> Followed:
        """Where a request stands, which is there and in the scope of ``me``."""
        row = await self._cases.requests.one(request_id, me.scope)
        if row is None:
            return Followed(RequestState.LAPSED, True, False, "The case is not there any more.")
        state = row.state_at(datetime.now(UTC))
        if state is RequestState.PENDING:
            return Followed(state, False, False, state_words(state))
        found = await self._cases.find(me, row.case_id)
        act = next((one for one in found.acts if _is_about(one, row)), None)
        if state is not RequestState.APPROVED:
            return Followed(state, True, False, _told(state, act))
        if act is None:
            return Followed(state, True, False, _LOST)
        return await self._carried_out(act)

    async def _carried_out(self, act: ActRow) -> Followed:
        state = RequestState.APPROVED
        if act.state == ActState.REFUSED:
            return Followed(state, True, False, state_words(RequestState.LAPSED))
        if act.state == ActState.SENT:
            waits = "It was approved, and no answer has come yet."
            return Followed(state, False, False, waits)
        done = Followed(state, True, True, _told(state, act))
        if ActKind(act.kind) not in OF_DATES:
            return done
        event = str(act.document.get("event", ""))
        row = (await self._views.by_event(LOCAL_SOURCE, [event])).get(event)
        if row is None or row["state"] in {"pending", "held"}:
            return Followed(state, False, False, "It was approved, and waits for a worker.")
        if row["verdict"] in _TAKEN and row["state"] == "done":
            return done
        return Followed(state, True, False, f"It was approved, and not carried out: {_why(row)}.")


def _is_about(act: ActRow, row: RequestRow) -> bool:
    decides = {row.kind, ActKind.REFUSE.value, ActKind.WITHDRAW.value}
    return act.document.get("request") == row.request_id and act.kind in decides


def _told(state: RequestState, act: ActRow | None) -> str:
    words = state_words(state)
    if act is None:
        return words
    name, reason = act.document.get("name", ""), act.document.get("reason", "")
    return " ".join(part for part in (words, f"By {name}." if name else "", reason) if part)


def _why(row: Mapping[str, object]) -> str:
    return str(row["error"] or row["verdict"] or row["state"]).replace("_", " ")
