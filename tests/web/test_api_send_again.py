"""An act without an answer is sent again under its id, by a program as from the page."""

from __future__ import annotations

import asyncio

import httpx

from lockstep.domain.rights import Role
from tests.web.console.cases.test_system_acts import reaching_nobody
from tests.web.console.conftest import site  # noqa: F401 - a fixture
from tests.web.console.ward import DOOR, TOKENS, VAULT, Ward, page
from tests.web.openapi_description import Description
from tests.web.test_api_acts import (  # noqa: F401 - fixtures
    WHY,
    Caller,
    acting,
    in_days,
    site_settings,
    system,
    ward,
)

SEND = "/api/cases/{case_id}/acts/{act_id}/send"


async def unanswered(ward: Ward, database, path: str, right: str = "act") -> httpx.Response:  # noqa: F811
    """An act while Temporal is away."""
    async with reaching_nobody(ward.site, database) as client:
        return await Caller(client, TOKENS[right]).post(path, reason=WHY)


def send(case, act_id: str) -> str:
    return SEND.format(case_id=case.case_id, act_id=act_id)


async def test_what_got_no_answer_is_named_and_sent_again_once(ward, acting, database):  # noqa: F811
    """Of many sendings, at once and later, one decision comes, under the act's id."""
    case = await ward.stuck()
    path = system(case, DOOR, "retry")
    silent = await unanswered(ward, database, path)
    description = Description(ward.site.app.openapi())
    description.check("POST", "/api/cases/{case_id}/systems/{system}/retry", silent)
    assert (silent.status_code, silent.json()["error"]) == (503, "no_answer")
    act_id = silent.json()["act_id"]
    assert (await acting.post(path, reason=WHY)).status_code == 409

    sent = await asyncio.gather(*(acting.post(send(case, act_id)) for _ in range(3)))
    assert {answer.status_code for answer in sent} <= {200, 409}
    for answer in sent:
        description.check("POST", SEND, answer)
    done = [answer.json() for answer in sent if answer.status_code == 200]
    assert {"act_id": act_id, "outcome": None} in done
    await ward.until(case, DOOR, "revoked")
    [decision] = await ward.decisions(case.case_id)
    assert decision["data"]["decision"] == f"d-{act_id}"
    late = await acting.post(send(case, act_id))
    assert (late.status_code, late.json()["error"]) == (409, "somebody_was_faster")
    assert set(await ward.acts(case.case_id)) == {"case.retry", "case.send_again"}


async def test_while_there_is_no_answer_the_act_stays_the_same(ward, database):  # noqa: F811
    """Sent again into silence it keeps its id, and the page can send it too."""
    case = await ward.stuck()
    first = (await unanswered(ward, database, system(case, DOOR, "retry"))).json()
    again = await unanswered(ward, database, send(case, first["act_id"]))

    assert again.status_code == 503
    assert again.json() == first
    assert again.headers["retry-after"] == "30"
    Description(ward.site.app.openapi()).check("POST", SEND, again)
    olivia = await ward.site.sign_in(Role.OPERATOR)
    sent = await olivia.post(f"{page(case)}/acts/{first['act_id']}/send")
    assert sent.headers["location"].endswith("?done=sent")


async def test_an_approval_without_an_answer_is_sent_again_too(ward, acting, database):  # noqa: F811
    """By whoever may act: it is on record whose approval it was."""
    case = await ward.stuck()
    until = in_days(1)
    asked = await acting.post(system(case, VAULT, "waive"), reason=WHY, until=until)
    path = f"/api/requests/{asked.json()['request_id']}/approve"
    silent = await unanswered(ward, database, path, "approve")
    Description(ward.site.app.openapi()).check("POST", "/api/requests/{request_id}/approve", silent)
    sent = await acting.post(send(case, silent.json()["act_id"]))

    assert (sent.status_code, sent.json()["outcome"]) == (200, "waived")
    assert len(await ward.decisions(case.case_id)) == 1


async def test_only_what_waits_for_an_answer_is_sent_again(ward, acting, database):  # noqa: F811
    """Not a comment, nor an act of another case, nor what cannot be done any more."""
    case, other = await ward.stuck(), await ward.stuck("W-2")
    said = await acting.post(f"/api/cases/{case.case_id}/comment", text="called HR")
    silent = (await unanswered(ward, database, system(case, DOOR, "retry"))).json()["act_id"]
    for where in (
        send(case, said.json()["act_id"]),
        send(other, silent),
        send(case, "a" + "0" * 16),
    ):
        answer = await acting.post(where)
        assert (answer.status_code, answer.json()) == (404, {"error": "not_there"})
    for act_id in ("a1", "%00", "x" * 99, "..%2f..", silent.upper()):
        assert (await acting.post(send(case, act_id))).status_code in {404, 422}
    for right in ("see_cases", "approve"):
        caller = Caller(await ward.site.visitor(), TOKENS[right])
        assert (await caller.post(send(case, silent))).status_code == 403
    assert await ward.decisions(case.case_id) == []

    await ward.client.get_workflow_handle(case.case_id).terminate("as if it had been lost")
    gone = await acting.post(send(case, silent))
    assert (gone.status_code, gone.json()["error"]) == (422, "cannot_be_done")
