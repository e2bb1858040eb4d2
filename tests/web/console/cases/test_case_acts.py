"""What people do to a whole case: its dates, who has it, and files."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from lockstep.domain.rights import Role
from lockstep.storage.privacy.erasure import Cause, Ground
from lockstep.storage.tables.intake import inbox
from tests.support.casework import everything_stored
from tests.web.console.conftest import text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    HOUR,
    PDF,
    VAULT,
    WHY,
    act,
    eventually,
    page,
    request_of,
    seen,
    soon,
)


async def test_dates_move_and_a_case_is_called_off(site, ward):
    """Through the inbox, as from HR; of two people at once one is told who was faster."""
    case = await ward.open(due=2 * HOUR)
    olivia, oscar = await site.sign_in(Role.OPERATOR), await site.sign_in(Role.OPERATOR)
    saw = await seen(olivia, case, "reschedule")
    moves = await asyncio.gather(
        act(olivia, case, "reschedule", ends_at=soon(hours=40), seen=saw),
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


async def test_a_page_drawn_while_dates_are_carried_out_can_be_sent(site, ward):
    """The case changes a moment before its event is done: that is one change, not two."""
    case = await ward.open(due=2 * HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    await act(olivia, case, "reschedule", ends_at=soon(hours=30))
    while await ward.dispatcher.drain_once():
        pass
    after = await seen(olivia, case, "rescind")
    async with site.engine.begin() as connection:
        await connection.execute(update(inbox).values(state="pending"))
    assert await seen(olivia, case, "rescind") == after


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
    erasure = site.stores.erasure
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
