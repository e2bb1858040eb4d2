"""Picking accounts on the page and by API, on real Temporal."""

from __future__ import annotations

import re

from lockstep.control.cases.asking import Asked
from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.desk import Desk
from lockstep.control.cases.picking import Picking
from lockstep.control.people.pairs import Pairs
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.policy import Tier
from lockstep.domain.rights import Role
from lockstep.storage.board.views import CaseViews
from tests.support.casework import EMAIL, TENANT
from tests.web.console.conftest import text_of
from tests.web.console.ward import BADGE, DOOR, TOKENS, VAULT, WHY, act, eventually, page, seen

OURS, THEIRS = "acc-ours", "acc-theirs"


async def doubtful(ward, worker_id: str = "W-1", **changes):
    """A case in which two accounts of the door have the leaver's address, and none their number."""
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, worker_id), Key(KeyKind.EMAIL, EMAIL)))
    ward.connectors[DOOR].hire = lambda _: None  # the leaver has no account there by number
    for account in (OURS, THEIRS):
        type(ward.connectors[DOOR]).hire(ward.connectors[DOOR], account)
        _meet(ward.connectors[DOOR], account)
    case = await ward.open(worker_id, keys=keys, **changes)
    await ward.until(case, DOOR, "needs_person")
    return case


def _meet(connector, account: str) -> None:
    standing = dict(connector.standing)
    connector.meet(account, EMAIL)
    connector.standing.update(standing)


def desk_of(site, ward, pairs: Pairs) -> CaseDesk:
    """The console's desk, in an installation with other settings."""
    desk = Desk(
        tenant=TENANT,
        views=CaseViews(site.engine, site.ring),
        inbox=ward.work.inbox,
        rule=CutoffRule(),
        client=ward.client,
    )
    return CaseDesk(site.stores, desk, pairs=pairs)


async def picked(browser, case, *accounts: str, seen: str = "", **fields):
    data = {"account": list(accounts), "reason": WHY, "seen": seen, "csrf": browser.csrf, **fields}
    return await browser.client.post(f"{page(case)}/systems/{DOOR}/pick", data=data)


async def test_accounts_are_shown_side_by_side_and_one_is_picked(site, ward):
    """What the vendor holds, when each was made and why nobody touches it; then it is taken."""
    case = await doubtful(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    text = text_of(await olivia.get(page(case)))
    assert "2 accounts are in doubt." in text
    for word in (OURS, THEIRS, f"Name of {OURS}", EMAIL, "2026-03-01", "another employee number"):
        assert word in text

    answer = await picked(olivia, case, OURS, seen=await seen(olivia, case, "pick", DOOR))
    assert answer.headers["location"] == f"{page(case)}?done=pick"
    await ward.until(case, DOOR, "revoked")
    assert ward.connectors[DOOR].standing[OURS] == set()
    assert len(ward.connectors[DOOR].standing[THEIRS]) == 3
    assert await ward.acts(case.case_id) == ["case.pick"]
    [said] = await ward.decisions(case.case_id)
    assert (len(said["data"]["accounts"]), len(said["data"]["others"])) == (1, 1)
    text = text_of(await olivia.get(page(case)))
    assert f"picked {OURS}" in text
    assert "in doubt." not in text


async def test_that_none_is_the_leavers_has_to_be_said(site, ward):
    """A form without a tick says nothing; "none of these" settles it, and nobody is touched."""
    case = await doubtful(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    assert (await picked(olivia, case)).status_code == 422
    assert (await picked(olivia, case, OURS, none="yes")).status_code == 422
    assert (await picked(olivia, case, none="yes")).status_code == 303
    await ward.until(case, DOOR, "not_found")
    assert ward.connectors[DOOR].effects == []


async def test_only_what_is_shown_can_be_picked(site, ward):
    """Not an account of the same system that was never in doubt, not one of another system."""
    case = await doubtful(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    answer = await picked(olivia, case, "acc-stranger")
    assert answer.status_code == 422
    assert "no account acc-stranger among those in doubt" in text_of(answer)
    for system in (VAULT, BADGE):
        answer = await act(olivia, case, "pick", system, account=OURS)
        assert answer.status_code == 409
        assert "in doubt" in text_of(answer)
    assert await ward.decisions(case.case_id) == []


async def test_a_page_that_shows_other_accounts_decides_nothing(site, ward):
    """Another account has turned up since: the pick is refused and says so."""
    case = await doubtful(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    before = await seen(olivia, case, "pick", DOOR)
    _meet(ward.connectors[DOOR], "acc-third")
    await act(olivia, case, "retry", DOOR)

    async def shows_three():
        return "acc-third" in (await olivia.get(page(case))).text

    await eventually(shows_three, "the third account is shown")
    answer = await picked(olivia, case, OURS, seen=before)
    assert answer.status_code == 409
    assert "has changed since you looked" in text_of(answer)


async def test_who_may_not_act_neither_picks_nor_is_asked_to(site, ward):
    """An approver sees the accounts and no form; an auditor sees how many, and no id."""
    case = await doubtful(ward)
    paula = await site.sign_in(Role.APPROVER)
    ada = await site.sign_in(Role.AUDITOR)
    assert OURS in (await paula.get(page(case))).text
    assert "/pick" not in (await paula.get(page(case))).text
    text = (await ada.get(page(case))).text
    assert "2 accounts are" in text
    assert OURS not in text
    assert f"Name of {OURS}" not in text
    for browser in (paula, ada):
        assert (await picked(browser, case, OURS)).status_code == 403


async def test_where_settings_say_so_a_pick_takes_two_people(site, ward):
    """It waits, is nothing until somebody else agrees, and is carried out as it was asked for."""
    case = await doubtful(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    paula = await site.sign_in(Role.APPROVER)
    desk = desk_of(site, ward, Pairs(pick=frozenset({Tier.ONE})))
    asked = await Picking(desk).pick(olivia.principal, case.case_id, DOOR, [OURS], reason="I asked")
    assert isinstance(asked, Asked)
    assert await ward.decisions(case.case_id) == []
    way = f"/console/requests/{asked.request_id}/approve"
    assert (await olivia.post(way)).status_code == 403
    text = text_of(await paula.get(page(case)))
    assert "Pick of accounts of door" in text
    approved = await paula.post(way)
    assert approved.status_code == 303, text_of(approved)
    await ward.until(case, DOOR, "revoked")
    assert await ward.acts(case.case_id) == ["case.ask_pick", "case.pick"]


async def test_accounts_are_picked_by_api(site, ward):
    """The case tells candidates and what to give as seen; a token without names is told neither."""
    case = await doubtful(ward)
    work_token = {"Authorization": f"Bearer {TOKENS['work']}"}
    see_token = {"Authorization": f"Bearer {TOKENS['see_cases']}"}
    path = f"/api/cases/{case.case_id}"
    client = await site.visitor()
    plain = (await client.get(path, headers=see_token)).json()
    assert {(row["candidates"], row["pick_seen"]) for row in plain["systems"]} == {(None, None)}

    shown = (await client.get(path, headers=work_token)).json()
    [door] = [row for row in shown["systems"] if row["system"] == DOOR]
    assert {row["account_id"] for row in door["candidates"]} == {OURS, THEIRS}
    assert re.fullmatch(r"1\.0\.[0-9a-f]{16}", door["pick_seen"])
    body = {"accounts": [OURS], "reason": WHY, "seen": door["pick_seen"]}
    answer = await client.post(f"{path}/systems/{DOOR}/pick", json=body, headers=work_token)
    assert answer.status_code == 200, answer.text
    await ward.until(case, DOOR, "revoked")
    again = await client.post(f"{path}/systems/{DOOR}/pick", json=body, headers=work_token)
    assert again.status_code == 409
