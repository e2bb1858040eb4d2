"""A dismissed person's access lasts longer only when two people agree; shorter, by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from tests.support.casework import revised, termination
from tests.web.console.conftest import text_of
from tests.web.console.ward import HOUR, act, page, request_of, seen

SEALED = (Permission.SEALED,)


@pytest.fixture
async def coming(ward):
    """A dismissal whose cutoff is in two hours; its dates are in UTC."""
    return await ward.open(due=2 * HOUR, kind=TerminationKind.INVOLUNTARY)


@pytest.fixture
async def olivia(site):
    """She may ask, and is an approver too."""
    roles = (Role.OPERATOR, Role.APPROVER)
    return await site.sign_in(*roles, more=SEALED, name="Olivia Operator", subject="olivia")


@pytest.fixture
async def paula(site):
    return await site.sign_in(Role.APPROVER, more=SEALED, name="Paula Approver")


def at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def later() -> datetime:
    return (datetime.now(UTC) + timedelta(days=5)).replace(microsecond=0)


async def carried_out(ward, case) -> dict:
    while await ward.dispatcher.drain_once():
        pass
    return await ward.work.case(case.case_id)


async def last(ward, case, kind: str) -> dict:
    return [one for one in await ward.work.entries(case.case_id) if one["kind"] == kind][-1]


async def decide(browser, ward, case, word: str, **more):
    return await browser.post(f"/console/requests/{await request_of(ward, case)}/{word}", more)


async def test_a_later_cutoff_waits_for_somebody_else(ward, coming, olivia, paula):
    """Nothing moves until then; whoever asked cannot agree; both stand in the entry."""
    wanted = later()
    asked = await act(olivia, coming, "reschedule", ends_at=at(wanted))
    assert asked.headers["location"] == f"{page(coming)}?done=asked"
    assert (await carried_out(ward, coming))["cutoff_at"] == coming.cutoff_at
    assert (await decide(olivia, ward, coming, "approve")).status_code == 403

    shown = text_of(await paula.get(page(coming)))
    assert f"Later cutoff ({wanted:%Y-%m-%d %H:%M}" in shown
    assert "Approve and carry out" in shown
    approved = await decide(paula, ward, coming, "approve", reason="HR told me too")
    assert approved.status_code == 303, text_of(approved)
    assert (await carried_out(ward, coming))["cutoff_at"] == wanted

    entry = await last(ward, coming, "case:amended")
    assert entry["actor"]["type"] == "person"
    assert entry["data"]["second_person"] not in {"", entry["actor"]["ref"]}
    acts = ["case.ask_reschedule", "case.approve!", "case.reschedule"]
    assert await ward.acts(coming.case_id) == acts
    told = text_of(await olivia.get(page(coming)))
    assert "Paula Approver approved the later cutoff that Olivia Operator" in told
    assert f"second person Paula Approver ({paula.principal.user_id})" in told
    assert f"Prolonged the cutoff moved from {coming.cutoff_at:%Y-%m-%d %H:%M:%S} UTC to" in told
    assert f"{wanted:%Y-%m-%d %H:%M:%S} UTC, by two people" in told


async def test_an_earlier_cutoff_needs_nobody_else(ward, coming, olivia):
    """Access that ends sooner is no favour to whoever leaves."""
    sooner = coming.cutoff_at.replace(microsecond=0) - HOUR
    moved = await act(olivia, coming, "reschedule", ends_at=at(sooner))

    assert moved.headers["location"] == f"{page(coming)}?done=reschedule"
    assert (await carried_out(ward, coming))["cutoff_at"] == sooner
    assert "second_person" not in (await last(ward, coming, "case:amended"))["data"]


async def test_calling_off_waits_for_somebody_else(ward, coming, olivia, paula):
    """Refused it stays; asked for anew and approved, it stops, by both."""
    await act(olivia, coming, "rescind")
    assert (await act(olivia, coming, "rescind")).status_code == 409
    assert (await decide(paula, ward, coming, "refuse", reason="not so")).status_code == 303
    assert (await carried_out(ward, coming))["status"] == "scheduled"

    await act(olivia, coming, "rescind")
    assert (await decide(paula, ward, coming, "approve")).status_code == 303
    assert (await carried_out(ward, coming))["status"] == "rescinded"
    entry = await last(ward, coming, "case:rescinded")
    assert entry["data"]["second_person"] not in {"", entry["actor"]["ref"]}


async def test_what_was_agreed_to_is_what_was_asked_for(ward, coming, olivia, paula):
    """Once HR has moved the dates, or the case has begun, an old wish moves nothing."""
    await act(olivia, coming, "reschedule", ends_at=at(later()))
    by_hr = coming.cutoff_at + HOUR
    said = revised(termination(kind=TerminationKind.INVOLUNTARY), 2)
    await ward.work.cases.amend(coming, said, by_hr)
    stale = await decide(paula, ward, coming, "approve")
    assert stale.status_code == 409
    assert "since this was asked for" in text_of(stale)
    assert (await carried_out(ward, coming))["cutoff_at"] == by_hr

    await decide(paula, ward, coming, "refuse", reason="HR decided")
    await act(olivia, coming, "rescind")
    await ward.sql("update cases set status = 'revoking' where case_id = :c", c=coming.case_id)
    begun = await decide(paula, ward, coming, "approve")
    assert begun.status_code == 409
    assert "nothing is ever re-enabled" in text_of(begun)


async def test_a_wish_does_not_keep_others_from_ending_access_sooner(ward, coming, olivia, site):
    """A friend of the dismissed who asks for a later cutoff holds nobody up."""
    await act(olivia, coming, "reschedule", ends_at=at(later()))
    oscar = await site.sign_in(Role.OPERATOR, more=SEALED, name="Oscar")
    sooner = coming.cutoff_at.replace(microsecond=0) - HOUR
    saw = await seen(oscar, coming, "reschedule")
    again = await act(oscar, coming, "reschedule", ends_at=at(later()), seen=saw)
    assert again.status_code == 409
    assert "decide or withdraw that first" in text_of(again)

    assert (await act(oscar, coming, "reschedule", ends_at=at(sooner), seen=saw)).status_code == 303
    assert (await carried_out(ward, coming))["cutoff_at"] == sooner


async def test_the_list_says_that_a_coming_case_waits(ward, coming, olivia, paula, site):
    """Under what needs somebody, for those who may know of it; nobody else counts it."""
    await act(olivia, coming, "rescind")
    for state in ("need", "second"):
        shown = text_of(await paula.get(f"/console/?state={state}"))
        assert coming.case_id in shown
        assert "Waits for a second person until" in shown
        assert ": calling off." in shown
        assert "1 Wait for a second person" in shown
    outside = await site.sign_in(Role.APPROVER, name="Not in the know")
    shown = text_of(await outside.get("/console/?state=second"))
    assert coming.case_id not in shown
    assert "0 Wait for a second person" in shown
    assert (await decide(outside, ward, coming, "approve")).status_code == 404


async def test_whose_access_is_prolonged_alone_is_policy(ward, olivia):
    """By default that of people who leave by themselves."""
    case = await ward.open(due=2 * HOUR)
    moved = await act(olivia, case, "reschedule", ends_at=at(later()))
    assert moved.headers["location"] == f"{page(case)}?done=reschedule"
