"""What people do to a case from its page, on real Temporal: who may, and who was faster."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest

from lockstep.domain.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.domain.terminations import TerminationKind
from lockstep.settings import load_settings
from lockstep.storage.erasure import Cause, Erasure, Ground
from lockstep.web.app import build_app
from tests.support.casework import EMAIL, everything_stored
from tests.web.console.conftest import ORIGIN, Browser, Site, text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    VAULT,
    Ward,
    eventually,
    soon,
    ward_settings,
    warding,
    write_tokens,
)

PDF = b"%PDF-1.7\nproof of work by hand\n%%EOF"
WHY = "the badge office confirmed it by phone"
HOUR = timedelta(hours=1)


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    write_tokens(tmp_path)
    return ward_settings(temporal.address)


@pytest.fixture
async def ward(site: Site, client) -> AsyncIterator[Ward]:
    async with warding(site, client) as made:
        yield made


def page(case) -> str:
    return f"/console/cases/{case.case_id}"


async def seen(browser: Browser, case, act: str, system: str = "") -> str:
    """What a form on the page carries."""
    answer = await browser.get(page(case))
    place = f"/systems/{system}/{act}" if system else f"/{act}"
    form = re.search(
        rf'action="[^"]*{place}".*?name="seen" value="([^"]*)"', answer.text, re.DOTALL
    )
    assert form is not None, (act, system)
    return form.group(1)


async def act(browser: Browser, case, what: str, system: str = "", **fields):
    """Send a form as the page has it; ``file`` is (name, content)."""
    path = f"{page(case)}/systems/{system}/{what}" if system else f"{page(case)}/{what}"
    file = fields.pop("file", None)
    data = {"csrf": browser.csrf, "reason": WHY, **fields}
    if file is not None:
        return await browser.client.post(path, data=data, files={"artefact": file})
    return await browser.client.post(path, data=data)


async def request_of(ward: Ward, case) -> str:
    [row] = await ward.sql(
        "select request_id from requests where case_id = :c order by asked_at desc limit 1",
        c=case.case_id,
    )
    return row.request_id


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


async def test_dates_move_and_a_case_is_called_off(site, ward):
    """Through the inbox, as from HR; of two people at once one is told who was faster."""
    case = await ward.open(due=2 * HOUR)
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    saw = await seen(olivia, case, "reschedule")
    moves = await asyncio.gather(
        act(olivia, case, "reschedule", ends_at=soon(hours=30), seen=saw),
        act(oscar, case, "rescind", seen=saw),
    )
    assert sorted(answer.status_code for answer in moves) == [303, 409]
    while await ward.dispatcher.drain_once():
        pass
    # Whoever won: now the other may, having seen it.
    if moves[0].status_code == 303:
        moved = (await ward.work.case(case.case_id))["cutoff_at"]
        assert moved - case.cutoff_at > 20 * HOUR
        fresh = await seen(oscar, case, "rescind")
        assert fresh != saw
        assert (await act(oscar, case, "rescind", seen=fresh)).status_code == 303
        while await ward.dispatcher.drain_once():
            pass
    assert (await ward.work.case(case.case_id))["status"] == "rescinded"
    late = await act(olivia, case, "reschedule", ends_at=soon(hours=9))
    assert late.status_code == 409
    assert "nothing is ever re-enabled" in text_of(late)


async def test_wrong_dates_are_explained(site, ward):
    """In words, and what was typed stands in the form again."""
    case = await ward.open(due=2 * HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    for fields in ({}, {"ends_at": "soon"}, {"last_day": "2199-01-01"}, {"last_day": "x"}):
        answer = await act(olivia, case, "reschedule", **fields)
        assert answer.status_code == 422, fields
        assert WHY in answer.text
    assert (await act(olivia, case, "retry", DOOR)).status_code == 422


async def test_a_case_is_taken_and_given_away(site, ward):
    """To somebody who may act on it; who clicks second is told."""
    case = await ward.stuck(partner="northwind")
    olivia = await site.sign_in(Role.OPERATOR)
    oscar = await site.sign_in(Role.OPERATOR, name="Oscar", partners=["northwind"])
    stranger = await site.sign_in(Role.OPERATOR, partners=["contoso"])
    viewer = await site.sign_in(Role.VIEWER)
    saw = await seen(olivia, case, "assign")
    answers = await asyncio.gather(
        act(olivia, case, "assign", user=olivia.principal.user_id, seen=saw),
        act(oscar, case, "assign", user=oscar.principal.user_id, seen=saw),
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    given = await act(olivia, case, "assign", user=oscar.principal.user_id)
    assert given.status_code == 303
    assert "Taken by Oscar" in text_of(await olivia.get(page(case)))
    for other in (stranger, viewer):
        wrong = await act(olivia, case, "assign", user=other.principal.user_id)
        assert wrong.status_code == 422, "who cannot act on the case cannot be given it"


async def test_an_artefact_is_stored_encrypted_and_goes_with_the_leaver(site, ward, database):
    """Not in any column in clear; fetched as a file and nothing else; gone after the erasure."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    await act(olivia, case, "attest", BADGE, file=("Ünïcode\r\nX-Evil: 1.pdf", PDF))
    [row] = await ward.sql("select artefact_id, media_type, size_bytes from artefacts")
    assert (row.media_type, row.size_bytes) == ("application/pdf", len(PDF))
    stored = everything_stored(database.superuser_url)
    for where, raw in stored.items():
        assert b"proof of work" not in raw, where
        assert b"badge office" not in raw, where
        assert b"X-Evil" not in raw, where

    fetched = await olivia.get(f"{page(case)}/artefacts/{row.artefact_id}")
    assert fetched.content == PDF
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert "x-evil" not in fetched.headers
    assert fetched.headers["content-type"] == "application/octet-stream"
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert (await ward.acts(case.case_id))[-1] == "case.fetch"

    for system in (DOOR, VAULT):
        await act(olivia, case, "retry", system)
        await ward.until(case, system, "revoked")
    paula = await site.sign_in(Role.APPROVER)
    await paula.post(f"/console/requests/{await request_of(ward, case)}/approve")

    async def closed() -> bool:
        return (await ward.work.case(case.case_id))["status"] == "closed"

    await eventually(closed, "closed")
    erasure = Erasure(site.engine, site.ring)
    found = await ward.work.case(case.case_id)
    spells = await erasure.spells_of(subject_id=found["subject_id"])
    erased = await erasure.erase(spells, Cause(Ground.REQUEST))
    assert erased.spells, erased.kept
    assert await ward.work.count("artefacts") == 0
    assert (await olivia.get(f"{page(case)}/artefacts/{row.artefact_id}")).status_code == 404
    text = text_of(await olivia.get(page(case)))
    assert "were erased" in text
    assert WHY not in text
    assert (await act(olivia, case, "comment", text="more")).status_code == 422


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("big.pdf", b"%PDF-" + b"x" * (10 * 1024 * 1024), 413),
        ("empty.pdf", b"", 422),
        ("page.html", b"<script>alert(1)</script>", 422),
        ("evil.svg", b"<svg/>", 422),
        ("liar.png", PDF, 422),
        ("liar.txt", b"MZ\x90\x00\x03", 422),
        ("noend", PDF, 422),
        ("mail.eml", b"no header here\n", 422),
    ],
)
async def test_what_may_not_be_handed_in_is_refused(site, ward, name, content, status):
    """By size, ending and content; nothing is kept of it."""
    case = await ward.stuck()
    olivia = await site.sign_in(Role.OPERATOR)
    answer = await act(olivia, case, "attest", BADGE, file=(name, content))
    assert answer.status_code == status, text_of(answer)[:300]
    assert await ward.work.count("artefacts") == 0
    assert await ward.work.count("requests") == 0


@pytest.mark.parametrize("role", [Role.HR, Role.AUDITOR, Role.VIEWER, Role.ADMIN, Role.APPROVER])
async def test_roles_without_the_right_do_not_act(site, ward, role):
    """Each try is refused and recorded; nothing reaches the case."""
    case = await ward.stuck()
    browser = await site.sign_in(role)
    tries = [("retry", DOOR), ("attest", BADGE), ("waive", DOOR)]
    for what, system in tries:
        assert (await act(browser, case, what, system)).status_code == 403
    for what in ("comment", "assign", "rescind", "reschedule"):
        assert (await act(browser, case, what)).status_code == 403
    assert (await browser.get("/console/bulk?action=retry&pick=x/y")).status_code == 403
    assert not await ward.decisions(case.case_id)
    assert len(await ward.denied()) == len(tries) + 5


async def test_another_partners_case_is_not_there_for_anything(site, ward):
    """Page, acts, requests, artefacts, proofs: 404, as for a case that does not exist."""
    case = await ward.stuck(partner="northwind")
    olivia = await site.sign_in(Role.OPERATOR)
    await act(olivia, case, "attest", BADGE, file=("badge.pdf", PDF))
    [row] = await ward.sql("select artefact_id from artefacts")
    request_id = await request_of(ward, case)
    everything = set(Role)
    stranger = await site.sign_in(*everything, partners=["contoso"])
    await nothing_there(stranger, case, row.artefact_id)
    for word in ("approve", "refuse", "withdraw"):
        answer = await stranger.post(f"/console/requests/{request_id}/{word}", {"reason": "x"})
        assert answer.status_code == 404
    assert not await ward.decisions(case.case_id)


async def nothing_there(browser: Browser, case, artefact_id: str = "f0") -> None:
    """Every page and act of a case is as if there were none."""
    for path in ("", "/proofs.json", f"/artefacts/{artefact_id}"):
        assert (await browser.get(f"{page(case)}{path}")).status_code == 404, path
    for what, system in (("retry", DOOR), ("attest", BADGE), ("waive", DOOR)):
        assert (await act(browser, case, what, system)).status_code == 404
    for what in ("comment", "assign", "rescind", "reschedule", "names"):
        assert (await act(browser, case, what)).status_code == 404
    bulk = await browser.get(f"/console/bulk?action=retry&pick={case.case_id}/{DOOR}")
    assert "not yours to see" in text_of(bulk)


async def test_ones_own_case_is_not_there_for_anything(site, ward):
    """Whatever the role, and however the key is written."""
    mine = [Key(KeyKind.EMAIL, EMAIL.upper())]
    leaver = await site.sign_in(*Role, more=[Permission.SEALED], keys=mine)
    case = await ward.open(due=2 * HOUR)
    await nothing_there(leaver, case)
    olivia = await site.sign_in(Role.OPERATOR)
    given = await act(olivia, case, "assign", user=leaver.principal.user_id)
    assert given.status_code == 422, "and nobody can give it to them"


async def test_a_form_must_come_from_our_page(site, ward):
    """Without its token, or with another session's, nothing is done."""
    case = await ward.stuck()
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    for token in ("", "x", oscar.csrf):
        answer = await act(olivia, case, "retry", DOOR, csrf=token)
        assert answer.status_code == 403
    assert not await ward.decisions(case.case_id)


async def test_many_are_retried_each_as_an_act_of_its_own(site, ward):
    """A preview says what is left out and why; then a few at a time, with a result for each."""
    cases = [await ward.stuck(f"W-{number}") for number in range(6)]
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    picks = [f"{case.case_id}/{system}" for case in cases for system in (DOOR, VAULT)]
    query = "&".join(f"pick={pick}" for pick in [*picks, f"{cases[0].case_id}/{BADGE}", "no/such"])
    preview = await olivia.get(f"/console/bulk?action=retry&{query}")
    text = text_of(preview)
    assert "Retry 12 systems" in text
    assert "2 are left out" in text
    assert "worked by hand" in text
    left = re.search(r'name="left" value="([^"]*)"', preview.text).group(1).replace("&#34;", '"')
    await act(oscar, cases[0], "retry", DOOR)

    form = {"action": "retry", "left": left, "total": "12", "reason": "the scope was granted"}
    first = await olivia.post("/console/bulk", form)
    assert "10 of 12 carried out" in text_of(first)
    assert "Olivia Operator asked for a retry" in text_of(first), "somebody was faster with one"
    left = re.search(r'name="left" value="([^"]*)"', first.text).group(1).replace("&#34;", '"')
    headers = {"hx-request": "true", "x-csrf-token": olivia.csrf}
    second = await olivia.client.post("/console/bulk", data={**form, "left": left}, headers=headers)
    assert "All 12 were dealt with" in text_of(second)
    for case in cases:
        for system in (DOOR, VAULT):
            await ward.until(case, system, "revoked")
    assert (await ward.acts(cases[1].case_id)).count("case.retry") == 2


async def test_many_are_handed_over(site, ward):
    """Each case once, whatever number of its systems was picked."""
    cases = [await ward.stuck(f"W-{number}") for number in range(2)]
    olivia = await site.sign_in(Role.OPERATOR)
    oscar = await site.sign_in(Role.OPERATOR, name="Oscar")
    query = "&".join(f"pick={case.case_id}/{system}" for case in cases for system in (DOOR, BADGE))
    preview = await olivia.get(f"/console/bulk?action=reassign&{query}")
    assert "Reassign 2 cases" in text_of(preview)
    left = re.search(r'name="left" value="([^"]*)"', preview.text).group(1).replace("&#34;", '"')
    form = {"action": "reassign", "left": left, "total": "2", "reason": "my shift is over"}
    done = await olivia.post("/console/bulk", {**form, "user": oscar.principal.user_id})
    assert text_of(done).count(" done ") == 2
    rows = await ward.sql("select user_id from assignments")
    assert {row.user_id for row in rows} == {oscar.principal.user_id}


@pytest.mark.parametrize(
    "query",
    ["", "action=retry", "action=evil&pick=a/b", "action=retry&pick=x", "action=retry&pick=a/b%00",
     "action=retry&" + "&".join(f"pick=c/{number}" for number in range(501))],
)  # fmt: skip
async def test_nonsense_picks_are_explained(site, query):
    """Too many, none, or no picks at all."""
    olivia = await site.sign_in(Role.OPERATOR)
    assert (await olivia.get(f"/console/bulk?{query}")).status_code == 422


@pytest.mark.parametrize("left", ["", "[]", "{", "[[1]]", '[["a","b"]]', '[["\\u0000","b","c"]]'])
async def test_a_forged_list_is_refused(site, left):
    """What a form claims to be left is read with care."""
    olivia = await site.sign_in(Role.OPERATOR)
    form = {"action": "retry", "left": left, "reason": "x"}
    assert (await olivia.post("/console/bulk", form)).status_code == 422


async def test_whoever_sees_names_with_a_reason_only_gives_one(site, ward):
    """An auditor reads the name and an artefact once, by a reason that is recorded."""
    case = await ward.stuck()
    olivia, ada = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.AUDITOR, name="Ada")
    await act(olivia, case, "attest", BADGE, file=("badge.pdf", PDF))
    [row] = await ward.sql("select artefact_id from artefacts")
    before = text_of(await ada.get(page(case)))
    assert "Maria" not in before
    assert WHY not in before
    assert "Olivia" not in before
    assert (await act(ada, case, "names", reason=" ")).status_code == 422
    shown = await act(ada, case, "names", reason="sample 12 of the audit")
    assert "Maria Dalisay Evangelista" in text_of(shown)
    assert "sse-connect" not in shown.text, "or the next refresh would take the name away"
    assert "Maria" not in text_of(await ada.get(page(case)))

    artefact = f"{page(case)}/artefacts/{row.artefact_id}"
    assert (await ada.get(artefact)).status_code == 422
    fetched = await ada.post(artefact, {"reason": "sample 12 of the audit"})
    assert fetched.content == PDF
    assert (await ward.acts(case.case_id))[-2:] == ["case.names", "case.fetch"]
    history = text_of(await olivia.get(page(case)))
    assert "Ada looked at the leaver&#39;s name" in history
    assert "sample 12 of the audit" in history


async def test_a_sealed_case_needs_the_right(site, ward):
    """A coming dismissal is there for whoever has the right, and for nobody else."""
    case = await ward.open(due=5 * HOUR, kind=TerminationKind.INVOLUNTARY)
    olivia = await site.sign_in(Role.OPERATOR)
    trusted = await site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    assert (await olivia.get(page(case))).status_code == 404
    assert (await act(olivia, case, "rescind")).status_code == 404
    assert "secret until the cutoff" in text_of(await trusted.get(page(case)))
    assert (await act(trusted, case, "comment", text="handle with care")).status_code == 303
