"""Withdrawing a key of a leaver: alone before the cutoff, by two people afterwards."""

from __future__ import annotations

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.rights import Role
from tests.support.casework import EMAIL
from tests.web.console.conftest import text_of
from tests.web.console.ward import BADGE, DOOR, HOUR, TOKENS, VAULT, WHY, act, page

MAIL = {"kind": "email", "value": EMAIL.upper()}
THEIRS = "acc-theirs"
KEYS = LeaverKeys((Key(KeyKind.WORKER_ID, "W-9"), Key(KeyKind.EMAIL, EMAIL)))


async def decide(browser, ward, case, what, **fields):
    """Approve or refuse what is asked for about the case."""
    query = f"select request_id from requests where case_id = '{case.case_id}'"
    async with ward.work.engine.connect() as connection:
        request = (await connection.exec_driver_sql(f"{query} and state = 'pending'")).scalar_one()
    return await browser.post(f"/console/requests/{request}/{what}", fields)


async def keys_of(ward, case) -> LeaverKeys:
    return (await ward.work.revocations.load(case.case_id, DOOR, 1)).subject.keys


async def test_before_the_cutoff_one_person_withdraws_it_with_a_reason(site, ward):
    """However it is written; it is told with the case, and a page without a reason does nothing."""
    case = await ward.open("W-9", due=HOUR, keys=KEYS)
    olivia = await site.sign_in(Role.OPERATOR)
    bare = await olivia.post(f"{page(case)}/withdraw-key", MAIL)
    assert bare.status_code == 422
    done = await act(olivia, case, "withdraw-key", **MAIL)
    assert done.headers["location"] == f"{page(case)}?done=withdraw-key", text_of(done)

    assert (await keys_of(ward, case)).emails == ()
    shown = text_of(await olivia.get(page(case)))
    assert "Withdrawn: email" in shown
    assert f"withdrew a key of the leaver: address {EMAIL}" in shown
    assert WHY in shown
    kinds = await ward.work.kinds(case.case_id)
    assert kinds[-1] == "case:key_withdrawn"
    again = await act(olivia, case, "withdraw-key", **MAIL)
    assert again.status_code == 422
    assert "o such key is in force" in text_of(again)


async def test_after_the_cutoff_somebody_else_has_to_agree(site, ward):
    """They are shown which key; nothing changes before, and the entry names both."""
    ward.connectors[DOOR].knows(EMAIL, THEIRS)
    ward.connectors[DOOR].standing[THEIRS] = set()
    for connector in ward.connectors.values():
        connector.hire = lambda _: None
    case = await ward.open("W-9", keys=KEYS)
    await ward.until(case, DOOR, "already_absent")
    olivia = await site.sign_in(Role.OPERATOR)
    paula = await site.sign_in(Role.APPROVER, name="Paula Approver")
    asked = await act(olivia, case, "withdraw-key", **MAIL)
    assert asked.headers["location"] == f"{page(case)}?done=asked", text_of(asked)
    assert (await keys_of(ward, case)).emails == (EMAIL,)
    assert (await decide(olivia, ward, case, "approve")).status_code == 403

    assert f"It is about the address {EMAIL}" in text_of(await paula.get(page(case)))
    approved = await decide(paula, ward, case, "approve", reason="I asked them")
    assert approved.status_code == 303, text_of(approved)
    assert (await keys_of(ward, case)).emails == ()
    told = [row for row in await ward.work.entries(case.case_id) if row["kind"].endswith("drawn")]
    [entry] = told
    assert entry["data"]["second_person"] not in {"", entry["actor"]["ref"]}

    await act(olivia, case, "attest", BADGE)
    shown = text_of(await olivia.get(page(case)))
    assert "withdrawal of a key" in shown
    await ward.until(case, VAULT, "not_found")
    assert (await ward.work.case(case.case_id))["status"] == "revoking", "an account is in doubt"


async def test_the_same_by_api(site, ward):
    """200 before the cutoff, 202 afterwards, 422 for what is no key of theirs."""
    case = await ward.open("W-9", due=HOUR, keys=KEYS)
    browser = await site.sign_in(Role.OPERATOR)
    headers = {"authorization": f"Bearer {TOKENS['act']}"}
    path = f"/api/cases/{case.case_id}/withdraw-key"
    wrong = {"kind": "email", "value": "nobody@example.com", "reason": WHY}
    said = [wrong, {**MAIL, "reason": WHY}, {**MAIL, "system": DOOR, "reason": WHY}]
    answers = [await browser.client.post(path, json=body, headers=headers) for body in said]
    assert [answer.status_code for answer in answers] == [422, 200, 422]
