"""What people do to a system of a case, on real Temporal: who may, and who was faster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from hashlib import sha256

import httpx

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Role
from lockstep.settings import load_settings
from lockstep.web.app import build_app
from tests.web.console.conftest import ORIGIN, Site, text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    PDF,
    VAULT,
    WHY,
    act,
    page,
    request_of,
    seen,
    soon,
    ward_settings,
)


async def test_a_retry_goes_on_and_closes_the_system(site, ward):
    """By the form of the page: the act, the decision and the outcome stand in the ledger."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    answer = await act(olivia, case, "retry", DOOR, seen=await seen(olivia, case, "retry", DOOR))

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{page(case)}?done=retry"
    await ward.until(case, DOOR, "revoked")
    assert await ward.acts(case.case_id) == ["case.retry"]
    text = text_of(await olivia.get(page(case)))
    assert "Olivia Operator asked for a retry" in text
    assert WHY in text
    assert "grade B" in text


async def test_an_attestation_alone_is_grade_d(site, ward):
    """A person's word, for a system of a tier that one may attest alone."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    answer = await act(olivia, case, "attest", BADGE)

    assert answer.status_code == 303, text_of(answer)
    row = await ward.work.row(case.case_id, BADGE)
    assert (row.outcome, row.grade) == ("attested", "D")


async def test_an_attestation_with_an_artefact_waits_for_somebody_else(site, ward):
    """Grade C: artefact, digest in the ledger, and a second person by name and id."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    paula = await site.sign_in(Role.APPROVER, name="Paula Approver")
    asked = await act(olivia, case, "attest", BADGE, file=("badge.pdf", PDF))

    assert asked.headers["location"] == f"{page(case)}?done=asked"
    assert (await ward.work.row(case.case_id, BADGE)).outcome is None
    request_id = await request_of(ward, case)
    text = text_of(await paula.get(page(case)))
    assert "Approve and carry out" in text
    assert sha256(PDF).hexdigest() in text

    approved = await paula.post(f"/console/requests/{request_id}/approve", {"reason": "I looked"})
    assert approved.status_code == 303, text_of(approved)
    row = await ward.work.row(case.case_id, BADGE)
    assert (row.outcome, row.grade) == ("attested", "C")
    [decision] = await ward.decisions(case.case_id)
    assert decision["data"]["artefact_sha256"] == sha256(PDF).hexdigest()
    assert decision["data"]["second_person"]
    assert await ward.acts(case.case_id) == ["case.ask_attest", "case.attest"]
    text = text_of(await olivia.get(page(case)))
    asker = f"Olivia Operator ({olivia.principal.user_id})"
    assert f"Paula Approver approved the attestation that {asker} asked for" in text


async def test_nobody_approves_what_they_asked_for_themselves(site, ward):
    """Not in the same session, not in another one, not as another user with the same keys."""
    case = await ward.stuck()
    both = (Role.OPERATOR, Role.APPROVER)
    mine = [Key(KeyKind.EMAIL, "olivia@example.com")]
    olivia = await site.sign_in(*both, subject="olivia", keys=mine)
    again = await site.sign_in(*both, subject="olivia", keys=mine)
    other = await site.sign_in(*both, subject="olivia-admin", keys=mine)
    await act(olivia, case, "attest", VAULT)
    request_id = await request_of(ward, case)

    for browser in (olivia, again, other):
        for word in ("approve", "refuse"):
            answer = await browser.post(f"/console/requests/{request_id}/{word}", {"reason": "x"})
            assert answer.status_code == 403
    [row] = await ward.sql("select state from requests")
    assert row.state == "pending"
    assert (await ward.acts(case.case_id)).count("case.approve!") == 3


async def test_tier_0_is_attested_in_pairs(site, ward):
    """Whether or not there is an artefact; without one it stays a person's word."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    paula = await site.sign_in(Role.APPROVER)
    await act(olivia, case, "attest", VAULT)
    assert (await ward.work.row(case.case_id, VAULT)).outcome is None
    await paula.post(f"/console/requests/{await request_of(ward, case)}/approve")

    row = await ward.work.row(case.case_id, VAULT)
    assert (row.outcome, row.grade) == ("attested", "D")


async def test_a_waiver_waits_for_a_second_person(site, ward):
    """Refused, asked again, withdrawn, asked again, approved: each is on record."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    paula = await site.sign_in(Role.APPROVER, name="Paula")
    await act(olivia, case, "waive", DOOR, until=soon(days=2))
    twice = await act(olivia, case, "waive", DOOR, until=soon(days=2))
    assert twice.status_code == 409
    first = await request_of(ward, case)
    assert (await paula.post(f"/console/requests/{first}/refuse")).status_code == 422
    await paula.post(f"/console/requests/{first}/refuse", {"reason": "too long"})
    late = await paula.post(f"/console/requests/{first}/approve")
    assert late.status_code == 409
    assert "It was refused." in text_of(late)

    await act(olivia, case, "waive", DOOR, until=soon(days=1))
    second = await request_of(ward, case)
    assert (await olivia.post(f"/console/requests/{second}/withdraw")).status_code == 303
    await act(olivia, case, "waive", DOOR, until=soon(days=1))
    third = await request_of(ward, case)
    approved = await paula.post(f"/console/requests/{third}/approve")

    assert approved.headers["location"].endswith("?done=waive")
    assert (await ward.work.row(case.case_id, DOOR)).outcome == "waived"
    assert await ward.acts(case.case_id) == [
        "case.ask_waive",
        "case.refuse",
        "case.ask_waive",
        "case.withdraw",
        "case.ask_waive",
        "case.waive",
    ]


async def test_only_the_asker_withdraws(site, ward):
    """Everybody else refuses, with a reason."""
    case = await ward.stuck()
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    await act(olivia, case, "attest", VAULT)
    request_id = await request_of(ward, case)
    assert (await oscar.post(f"/console/requests/{request_id}/withdraw")).status_code == 403


async def test_what_was_asked_for_must_still_fit(site, ward):
    """Settled meanwhile, or run out: an approval changes nothing, and says why."""
    case = await ward.stuck()
    olivia, paula = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.APPROVER)
    await act(olivia, case, "attest", VAULT)
    request_id = await request_of(ward, case)
    await act(olivia, case, "retry", VAULT)
    await ward.until(case, VAULT, "revoked")
    answer = await paula.post(f"/console/requests/{request_id}/approve")
    assert answer.status_code == 409
    assert "revoked" in text_of(answer)

    await act(olivia, case, "waive", DOOR, until=soon(days=1))
    late = await request_of(ward, case)
    await ward.sql(
        "update requests set expires_at = now() - interval '1 second' where request_id = :r", r=late
    )
    answer = await paula.post(f"/console/requests/{late}/approve")
    assert answer.status_code == 409
    assert "ran out" in text_of(answer)
    again = await act(olivia, case, "waive", DOOR, until=soon(days=1))
    assert again.status_code == 303, "what has run out makes room"


async def test_two_people_at_the_same_instant_one_wins_and_the_other_is_told(site, ward):
    """Exactly one decision; who lost reads who won, and when."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR, name="Olivia Operator")
    oscar = await site.sign_in(Role.OPERATOR, name="Oscar Other")
    saw = await seen(olivia, case, "retry", DOOR)
    answers = await asyncio.gather(
        act(olivia, case, "retry", DOOR, seen=saw), act(oscar, case, "retry", DOOR, seen=saw)
    )

    assert sorted(answer.status_code for answer in answers) == [303, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    winner = "Oscar Other" if lost is answers[0] else "Olivia Operator"
    assert f"{winner} asked for a retry at" in text_of(lost)
    assert len(await ward.decisions(case.case_id)) == 1
    await ward.until(case, DOOR, "revoked")
    later = await act(oscar, case, "attest", DOOR, seen=saw)
    assert later.status_code == 409


async def test_a_stale_form_is_told_who_did_what(site, ward):
    """Even if what was done before is over already."""
    case = await ward.stuck()
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    saw = await seen(oscar, case, "attest", BADGE)
    await act(olivia, case, "attest", BADGE, seen=saw)
    answer = await act(oscar, case, "attest", BADGE, seen=saw)
    assert answer.status_code == 409
    assert "Olivia Operator attested it at" in text_of(answer)


async def test_what_the_workflow_refuses_gives_its_slot_back(site, ward):
    """The act stays on record as not possible, and the next person can act."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    await ward.client.get_workflow_handle(case.case_id).terminate("as if it had been lost")
    answer = await act(olivia, case, "retry", DOOR)
    assert answer.status_code == 422
    assert "no running workflow" in text_of(answer)
    rows = await ward.sql("select state, slot from acts")
    assert [(row.state, row.slot) for row in rows] == [("refused", None)]
    assert await ward.acts(case.case_id) == ["case.retry", "case.retry!"]


async def test_without_an_answer_the_act_can_be_sent_again(site, ward, database):
    """It keeps its slot and its id: sent again by somebody else, it is decided once."""
    case = await ward.stuck()
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    async with reaching_nobody(site, database) as cut_off:
        olivia.client, there = cut_off, olivia.client
        cut_off.cookies = there.cookies
        answer = await act(olivia, case, "retry", DOOR)
        olivia.client = there
    assert answer.status_code == 503
    assert "Send it again" in text_of(answer)

    blocked = await act(oscar, case, "attest", DOOR)
    assert blocked.status_code == 409
    assert "no answer has come yet" in text_of(blocked)
    [row] = await ward.sql("select act_id from acts where state = 'sent'")
    sent = await oscar.post(f"{page(case)}/acts/{row.act_id}/send")
    assert sent.headers["location"].endswith("?done=sent")
    await ward.until(case, DOOR, "revoked")
    [decision] = await ward.decisions(case.case_id)
    assert decision["data"]["decision"] == f"d-{row.act_id}"
    assert (await oscar.post(f"{page(case)}/acts/{row.act_id}/send")).status_code == 409


@contextlib.asynccontextmanager
async def reaching_nobody(site: Site, database) -> AsyncIterator[httpx.AsyncClient]:
    """Another web process on the same database, whose Temporal is away."""
    path = site.folder / "cut-off.toml"
    path.write_text(ward_settings("127.0.0.1:1"))
    app = build_app(load_settings(path), database.app_url, site.ring)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client,
    ):
        yield client
