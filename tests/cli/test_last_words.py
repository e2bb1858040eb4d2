"""What a command says at the end, of itself or of a case, is true as far as it is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from lockstep.cli import render
from lockstep.cli.runtime.doctor import Check, last_line
from lockstep.cli.score.view import penalties
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.storage.board.views import CaseViews
from lockstep.storage.records import CaseView
from tests.support.casework import Casework, termination

OK, WARNING, PROBLEM = (Check("part", level, "says") for level in ("ok", "warning", "problem"))


@pytest.mark.parametrize(
    ("checks", "says"),
    [
        ([OK], "Everything is in order."),
        ([OK, WARNING], "Nothing to mend; 1 warning."),
        ([WARNING, OK, WARNING], "Nothing to mend; 2 warnings."),
        ([WARNING, PROBLEM], "1 to mend."),
    ],
)
def test_doctor_calls_nothing_in_order_below_a_warning(checks: list[Check], says: str) -> None:
    """The last line is what most people read."""
    assert last_line(checks) == says


def test_a_search_that_found_nobody_is_said_of_one_system() -> None:
    """Others may have found and revoked the leaver meanwhile."""
    assert "found there" in rule_for(FaultCategory.UNKNOWN_WORKER).reason


def test_a_month_in_which_nobody_is_judged_yet_may_have_leavers() -> None:
    """An open case in time is judged later; its cutoff lay in the month all the same."""
    [said] = penalties({"month": "2026-11", "partners": []})
    assert said == "No leaver with a cutoff in 2026-11 is judged yet."


@pytest.fixture
async def view(engine, ring) -> CaseView:
    """A case of two systems that has begun."""
    work = Casework(engine, ring)
    await work.adopt()
    case = await work.open(termination())
    found = await CaseViews(engine, ring).show(case.case_id)
    assert found is not None
    return found


async def test_exposure_is_the_least_while_a_system_is_not_off(view) -> None:
    """What was not found yet counts for nothing, so it may stand still and be too little."""
    begun, now = replace(view.case, begun_at=view.case.cutoff_at), view.case.cutoff_at
    off = now + timedelta(seconds=2)
    first, second = (replace(row, accounts=0, revoked_at=None) for row in view.revocations)
    done = replace(first, accounts=1, revoked_at=off, state=RevocationState.SETTLED)
    waived = replace(second, state=RevocationState.SETTLED)
    for rows, says in (
        ((done, second), f"at least 2.0 s account-time; {second.system} not known yet"),
        ((done, waived), f"at least 2.0 s account-time; {second.system} not known"),
        ((done, replace(waived, revoked_at=off)), "2.0 s account-time"),
    ):
        shown = replace(view, case=begun, revocations=rows)
        assert render.exposure_text(shown, render.times_of(shown, off)) == says


@pytest.mark.parametrize("state", [RevocationState.SETTLED, RevocationState.STOPPED])
async def test_a_system_in_which_nothing_is_done_any_more_is_not_open(view, state) -> None:
    """Of a case that was called off nothing is left to do."""
    over = replace(view, revocations=tuple(replace(row, state=state) for row in view.revocations))
    screen = Console(file=StringIO(), width=200)
    screen.print(render.case_table([over]))
    assert "0 of 2" in screen.file.getvalue()
