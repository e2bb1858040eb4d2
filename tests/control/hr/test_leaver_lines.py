"""What each line of a sheet would do, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.cases.desk import Desk, Person
from lockstep.control.hr.leaver_lines import Becomes, LeaverLine, LeaverLines, became
from lockstep.control.intake.reporting import make_dates
from lockstep.control.intake.whose_case import WhoseCase
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE, Numbering
from lockstep.domain.intake.sheets import read_sheet
from lockstep.storage.board.views import CaseViews
from lockstep.storage.intake.brakes import Brakes
from tests.control.intake.test_brake import Hall
from tests.support.casework import TENANT, Casework

HEAD = "worker_id,name,emails,kind,zone,last_working_day,partner,revision"
DAY = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
LATER = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"
RULE = BrakeRule(per_hour=3, dismissals_per_hour=2)


def line(worker: str, *, kind: str = "voluntary", day: str = DAY, revision: str = "") -> str:
    mail = f"{worker.lower()}@example.com"
    return f"{worker},Ana {worker},{mail},{kind},Asia/Manila,{day},northwind,{revision}"


class Office:
    """Checks sheets, and sends them as the command does."""

    def __init__(self, work: Casework, rule: BrakeRule) -> None:
        self.hall = Hall(work, rule)
        whose = WhoseCase(work.cases, work.inbox, Numbering(()))
        views = CaseViews(work.engine, work.ring)
        self.desk = Desk(
            tenant=TENANT, views=views, inbox=work.inbox, rule=CutoffRule(), systems={"okta"}
        )
        brakes = Brakes(work.engine, work.ring, TENANT)
        self.lines = LeaverLines(self.desk, whose, brakes, rule)

    async def look(self, *rows: str, head: str = HEAD) -> list[LeaverLine]:
        return await self.lines.look(read_sheet("\n".join([head, *rows]).encode()))

    async def send(self, *rows: str) -> list[Becomes]:
        found = []
        views = CaseViews(self.hall.work.engine, self.hall.work.ring)
        for one in await self.look(*rows):
            assert one.event is not None, one.problems
            assert one.found is not None, one.problems
            whose = one.found.said.whose_number
            found += await self.desk.report([one.event], Person("hr", "left"), numbered_by=whose)
        await self.hall.dispatch()
        rows_by_id = await views.by_event(LOCAL_SOURCE, found)
        return [became(rows_by_id[key]["state"], rows_by_id[key]["verdict"] or "") for key in found]


@pytest.fixture
async def office(engine, ring) -> Office:
    work = Casework(engine, ring)
    await work.adopt()
    return Office(work, BrakeRule(per_hour=0, dismissals_per_hour=0))


async def test_a_line_shows_who_leaves_when(office):
    """Name, partner, and the cutoff on our clock and on theirs."""
    [one] = await office.look(line("W-1"))
    assert (one.worker_id, one.name, one.partner, one.becomes) == (
        *("W-1", "Ana W-1", "northwind", Becomes.OPENED),
    )
    assert one.cutoff is not None
    assert one.local_cutoff is not None
    assert f"{one.cutoff:%H:%M} {one.local_cutoff:%Y-%m-%d %H:%M}" == f"10:00 {DAY} 18:00"


async def test_what_a_line_would_do_is_what_it_does(office):
    """Opened; then the same is unchanged, a later revision amends, an earlier one is refused."""
    assert await office.send(line("W-1"), line("W-2")) == [Becomes.OPENED] * 2
    rows = [line("W-1"), line("W-2", day=LATER, revision="2"), line("W-3")]
    expected = [Becomes.UNCHANGED, Becomes.AMENDED, Becomes.OPENED]
    assert [one.becomes for one in await office.look(*rows)] == expected
    assert await office.send(*rows) == expected
    [late] = await office.look(line("W-2"))
    assert late.becomes is Becomes.REFUSED


async def test_a_line_that_contradicts_what_is_known_is_refused(office):
    """The same revision with another day is not swallowed."""
    await office.send(line("W-1"))
    [one] = await office.look(line("W-1", day=LATER))
    assert (one.becomes, bool(one.problems)) == (Becomes.REFUSED, True)


async def test_the_brake_is_foretold(engine, ring):
    """Which lines an approver would have to release is known before they are sent."""
    work = Casework(engine, ring)
    await work.adopt()
    office = Office(work, RULE)
    rows = [line(f"W-{n}", kind="involuntary" if n < 3 else "voluntary") for n in range(6)]
    foretold = [one.becomes for one in await office.look(*rows)]
    assert foretold.count(Becomes.HELD) > 0
    assert sorted(await office.send(*rows)) == sorted(foretold)


async def test_faulty_and_empty_lines_are_told_apart(office):
    """Every line has a word; the empty one is no problem."""
    rows = ["1.2E+11" + line("")[0:], ",,,,,,,", line("W-2").replace("Asia/Manila", "EST")]
    first, second, third, fourth = await office.look(*rows, line("W-3", revision="\u00b2"))
    assert (first.becomes, second.becomes, third.becomes) == (
        *(Becomes.REFUSED, Becomes.EMPTY, Becomes.REFUSED),
    )
    assert "rounded" in first.problems[0]
    assert second.problems == ()
    assert "did you mean America/New_York?" in third.problems[0]
    assert fourth.becomes is Becomes.REFUSED
    assert fourth.problems == ("revision: write a whole number from 1, as 2",)


async def test_a_line_pins_accounts_of_known_systems_only(office):
    """An account of a misspelt system is told with the line."""
    head = f"{HEAD},accounts"
    good, bad = await office.look(
        line("W-1") + ",okta=00u1;okta=00u2", line("W-2") + ",oktaa=00u1", head=head
    )
    assert good.problems == ()
    assert "oktaa: no system has this name; there are okta" in bad.problems[0]


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_word(verdict):
    """Counts add up only if nothing is left out."""
    assert became("refused" if verdict.is_refusal else "done", verdict.value) is not Becomes.WAITING


def test_a_zone_that_is_no_place_is_refused_in_our_own_words():
    """Without the prefix that a library puts before them."""
    with pytest.raises(RefusedError) as refused:
        make_dates(zone="Etc/GMT+8", last_day=None, access_ends_at="now")
    assert str(refused.value).startswith("zone: ")
    assert "Value error" not in str(refused.value)
