"""Who acts on which case: by role, partner, name and secrecy."""

from __future__ import annotations

import pytest

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from tests.support.casework import EMAIL
from tests.web.console.conftest import Browser, text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    HOUR,
    PDF,
    WHY,
    act,
    page,
    request_of,
)


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
