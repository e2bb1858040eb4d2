"""That a leaver works here again, said by people: in the console, by command and by API."""

from __future__ import annotations

import pytest

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from tests.support.casework import termination
from tests.web.console.cases.test_command_line import approve, paula, site_settings, type_in
from tests.web.console.conftest import text_of
from tests.web.console.ward import HOUR, TOKENS, WHY, act, page, request_of, seen

__all__ = ["paula", "site_settings", "type_in"]


async def closed(ward, worker_id: str = "W-1", **changes):
    """A case that has closed and is watched."""
    case = await ward.work.open(termination(worker_id, **changes))
    await ward.sql(
        "update cases set status = 'closed', begun_at = now(), closed_at = now()"
        " where case_id = :c",
        c=case.case_id,
    )
    return case


async def carried_out(ward, case) -> dict:
    while await ward.dispatcher.drain_once():
        pass
    return await ward.work.case(case.case_id)


async def said(ward, case) -> dict:
    entries = await ward.work.entries(case.case_id)
    [entry] = [one for one in entries if one["kind"] == "case:rehired"]
    return entry


@pytest.fixture
async def olivia(site):
    return await site.sign_in(Role.OPERATOR)


async def test_an_operator_ends_the_watch_with_a_reason(ward, olivia):
    """On the page: recorded as a person's word, told on the page, and said once."""
    case = await closed(ward)
    saw = await seen(olivia, case, "rehire")
    no_reason = await act(olivia, case, "rehire", reason=" ", seen=saw)
    assert no_reason.status_code == 422
    done = await act(olivia, case, "rehire", seen=saw, hired_on="2026-12-01")
    assert done.headers["location"] == f"{page(case)}?done=rehire"
    assert (await carried_out(ward, case))["unwatched_at"] is not None
    assert (await said(ward, case))["actor"]["type"] == "person"
    shown = text_of(await olivia.get(page(case)))
    assert "Watch ended" in shown
    assert "Olivia Operator said that they work here again" in shown
    again = await act(olivia, case, "rehire")
    assert again.status_code == 422
    assert "is not watched since" in text_of(again)


async def test_of_a_dismissal_two_people_say_it(ward, olivia, paula):
    """As with calling one off; meanwhile the page Now tells that it waits."""
    case = await closed(ward, kind=TerminationKind.INVOLUNTARY)
    asked = await act(olivia, case, "rehire")
    assert asked.headers["location"] == f"{page(case)}?done=asked"
    assert (await carried_out(ward, case))["unwatched_at"] is None
    now = text_of(await paula.get("/console/"))
    assert "1 closed case waits for a second person." in now
    assert "Nothing needs you" not in now
    assert (await approve(olivia, await request_of(ward, case))).status_code == 403
    assert (await approve(paula, await request_of(ward, case))).status_code == 303
    assert (await carried_out(ward, case))["unwatched_at"] is not None
    entry = await said(ward, case)
    assert entry["data"]["second_person"] not in {"", entry["actor"]["ref"]}
    assert "waits for a second person" not in text_of(await paula.get("/console/"))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("scheduled", "they have not left yet"),
        ("revoking", "access is being ended there"),
        ("rescinded", "it was called off"),
    ],
)
async def test_it_can_be_said_of_a_closed_case_only(ward, olivia, type_in, status, says):
    """Each other state has its reason, on the page and by command."""
    case = await ward.work.open(termination(), due=HOUR)
    await ward.sql("update cases set status = :s", s=status)
    answer = await act(olivia, case, "rehire")
    assert answer.status_code == 422
    assert says in text_of(answer)
    assert "They work here again" not in (await olivia.get(page(case))).text
    code, told = await type_in("rehired", case.case_id, "-r", WHY)
    assert code == 1
    assert says in told


async def test_the_earlier_of_two_employments_is_not_meant(ward, olivia):
    """Who left again after being hired again has a later case."""
    case = await closed(ward)
    later = await closed(ward, "W-2")
    await ward.sql(
        "update cases set employment = 2, identity_index ="
        " (select identity_index from cases where case_id = :a) where case_id = :b",
        a=case.case_id,
        b=later.case_id,
    )
    answer = await act(olivia, case, "rehire")
    assert answer.status_code == 422
    assert later.case_id in text_of(answer)


async def test_a_secret_case_is_not_there_to_be_asked_about(ward, site, olivia):
    """A coming dismissal is absent for whoever may not know of it."""
    case = await ward.work.open(termination(kind=TerminationKind.INVOLUNTARY), due=HOUR)
    assert (await act(olivia, case, "rehire")).status_code == 404
    trusted = await site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    assert (await act(trusted, case, "rehire")).status_code == 422
    viewer = await site.sign_in(Role.AUDITOR)
    assert (await act(viewer, await closed(ward, "W-2"), "rehire")).status_code == 403


async def test_it_is_said_by_command(ward, type_in):
    """Stored, and told so while no worker has come to it."""
    case = await closed(ward)
    code, told = await type_in("rehired", case.case_id, "-r", WHY, "--hired-on", "2026-12-01")
    assert code == 0
    assert "stored; it is carried out as soon as a worker runs" in told
    assert (await carried_out(ward, case))["unwatched_at"] is not None


async def test_it_is_said_by_api(ward, site):
    """With the right to act; the answer names the act."""
    case = await closed(ward)
    client = await site.visitor()
    headers = {"authorization": f"Bearer {TOKENS['act']}"}
    path = f"/api/cases/{case.case_id}/rehire"
    answer = await client.post(path, json={"reason": WHY}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await carried_out(ward, case))["unwatched_at"] is not None
