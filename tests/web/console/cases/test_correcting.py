"""Adding keys, and correcting kind, partner and site, from the page and by API."""

from __future__ import annotations

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.rights import Role
from tests.support.casework import EMAIL
from tests.web.console.conftest import text_of
from tests.web.console.ward import BADGE, DOOR, HOUR, VAULT, WHY, act, eventually, page, seen

LATER = "maria.dalisay@example.com"


async def unknown(ward):
    """A leaver whom no system knows by the keys that HR sent."""
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "W-9"), Key(KeyKind.EMAIL, EMAIL)))
    for connector in ward.connectors.values():
        connector.hire = lambda _: None
    case = await ward.open("W-9", keys=keys)
    await ward.until(case, DOOR, "not_found")
    await ward.until(case, VAULT, "not_found")
    return case


async def corrected(ward, browser, case, **fields):
    answer = await act(
        browser, case, "correct", seen=await seen(browser, case, "correct"), **fields
    )
    assert answer.status_code == 303, text_of(answer)
    while await ward.dispatcher.drain_once():
        pass


async def test_a_case_shows_the_keys_and_how_each_system_was_searched(site, ward):
    """To whoever sees names; an auditor is told how it was searched, and no key."""
    case = await unknown(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    ada = await site.sign_in(Role.AUDITOR)
    text = text_of(await olivia.get(page(case)))
    assert "Keys that are known (2)" in text
    assert EMAIL in text
    assert "email (the search was proved to find)" in text
    text = text_of(await ada.get(page(case)))
    assert "email (the search was proved to find)" in text
    assert EMAIL not in text


async def test_systems_that_waited_for_keys_are_tried_again_by_themselves(site, ward):
    """The key is added to HR's; the system that asked for a person finds the account by it."""
    case = await unknown(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    await act(olivia, case, "attest", BADGE)
    await ward.until(case, DOOR, "needs_person")
    assert "case correct" in text_of(await olivia.get(page(case)))

    connector = ward.connectors[DOOR]
    type(connector).hire(connector, "acc-1")
    connector.knows(LATER, "acc-1")
    await corrected(ward, olivia, case, emails=LATER)
    await ward.until(case, DOOR, "revoked")
    text = text_of(await olivia.get(page(case)))
    assert "Keys that are known (3)" in text
    assert "added to what HR said: keys" in text
    assert await ward.acts(case.case_id) == ["case.attest", "case.correct"]


async def test_kind_partner_and_site_are_corrected_and_the_cutoff_stays(site, ward):
    """Of a case that is to come: dates, keys and name stay as HR said them."""
    case = await ward.open("W-9", due=HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    await corrected(ward, olivia, case, kind="contract_end", partner="southwind", site="davao")
    now = await ward.work.case(case.case_id)
    assert (now["kind"], now["partner"], now["site"]) == ("contract_end", "southwind", "davao")
    assert (now["cutoff_at"], now["zone"]) == (case.cutoff_at, case.zone)


async def test_what_cannot_be_is_refused(site, ward):
    """Nothing said, or an address that is none: with why, and nothing is sent."""
    case = await unknown(ward)
    olivia = await site.sign_in(Role.OPERATOR)
    for fields in ({}, {"emails": "no address"}, {"kind": "nonsense"}):
        answer = await act(olivia, case, "correct", **fields)
        assert answer.status_code == 422, fields
    assert await ward.acts(case.case_id) == []


async def test_an_outdated_page_corrects_nothing(site, ward):
    """Of two people who correct at once the second is told to look again."""
    case = await ward.open("W-9", due=HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    before = await seen(olivia, case, "correct")
    await corrected(ward, olivia, case, site="davao")

    async def applied():
        return (await ward.work.case(case.case_id))["site"] == "davao"

    await eventually(applied, "the site is corrected")
    answer = await act(olivia, case, "correct", seen=before, site="manila", reason=WHY)
    assert answer.status_code == 409
