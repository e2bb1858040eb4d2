"""Whoever reported a dismissal neither delays it nor calls it off alone, on no way."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from tests.web.console.conftest import text_of
from tests.web.console.test_hr_sheet import SHEET
from tests.web.console.ward import act, request_of

SEALED = (Permission.SEALED,)
HOME = "/console/hr"


def day(ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()


def form(ahead: int = 3, **changes: str) -> dict[str, str]:
    return {
        "worker_id": "W-1",
        "name": "Kim Example",
        "emails": "kim@example.com",
        "kind": "involuntary",
        "zone": "UTC",
        "when": "last_day",
        "last_working_day": day(ahead),
        "spell": "1",
        "reason": "ticket 7",
        "once": "o" * 22,
        **changes,
    }


@pytest.fixture
async def hana(site):
    return await site.sign_in(Role.HR, name="Hana HR")


@pytest.fixture
async def paula(site):
    return await site.sign_in(Role.APPROVER, more=SEALED, name="Paula Approver")


async def dispatch(ward) -> None:
    while await ward.dispatcher.drain_once():
        pass


async def reported(ward, who) -> str:
    """The page of a report of a coming dismissal."""
    assert (await who.post(f"{HOME}/report", form())).status_code == 303
    await dispatch(ward)
    found = re.search(r'href="(/console/hr/\d+)"', (await who.get(HOME)).text)
    assert found is not None
    return found[1]


async def the_case(ward):
    [row] = await ward.sql("select case_id, kind, status, cutoff_at from cases")
    return row


@pytest.mark.parametrize("what", ["amend", "rescind"])
async def test_one_person_of_hr_prolongs_no_dismissal(ward, hana, paula, what):
    """A later day and calling it off wait for an approver; at the cutoff access ends as planned."""
    event = await reported(ward, hana)
    before = await the_case(ward)
    wish = form(ahead=9, once="p" * 22) if what == "amend" else {"reason": "no", "once": "p" * 22}
    asked = await hana.post(f"{event}/{what}", wish)
    assert asked.headers["location"] == f"{HOME}?asked=1#sent"
    assert "Nothing has changed yet." in text_of(await hana.get(f"{HOME}?asked=1"))
    await dispatch(ward)
    assert await the_case(ward) == before

    one = f"/console/requests/{await request_of(ward, before)}/approve"
    assert (await hana.post(one)).status_code == 403
    assert (await paula.post(one)).status_code == 303
    await dispatch(ward)
    after = await the_case(ward)
    assert (after.status == "rescinded") is (what == "rescind")
    assert (after.cutoff_at > before.cutoff_at) is (what == "amend")


async def test_an_earlier_day_needs_nobody_else(ward, hana):
    """Access that ends sooner is no favour."""
    event = await reported(ward, hana)
    before = await the_case(ward)
    done = await hana.post(f"{event}/amend", form(ahead=2, once="p" * 22))
    assert done.headers["location"] == f"{HOME}#sent"
    await dispatch(ward)
    assert (await the_case(ward)).cutoff_at < before.cutoff_at


async def test_no_file_prolongs_a_dismissal(ward, hana):
    """Neither by a later day nor by another kind: the line is refused before anything is sent."""
    await reported(ward, hana)
    for kind, ahead in (("involuntary", 9), ("voluntary", 3)):
        cells = f"W-1,{kind},UTC,{day(ahead)},2"
        sheet = f"worker_id,kind,zone,last_working_day,revision\n{cells}\n".encode()
        files = {"file": ("leavers.csv", sheet, "text/csv")}
        looked = await hana.post(f"{SHEET}/preview", {"reason": "ticket 8"}, files=files)
        assert "access that nobody prolongs alone" in text_of(looked), text_of(looked)


async def test_nobody_makes_a_resignation_of_a_dismissal(ward, site):
    """It would open the way to prolonging it alone."""
    case = await ward.open(due=timedelta(hours=2), kind=TerminationKind.INVOLUNTARY)
    me = await site.sign_in(Role.OPERATOR, more=SEALED)
    refused = await act(me, case, "correct", kind="voluntary")
    assert refused.status_code == 422, text_of(refused)
    assert "may say so by an event" in text_of(refused)
    await dispatch(ward)
    assert (await the_case(ward)).kind == "involuntary"
