"""Many at once: each an act of its own."""

from __future__ import annotations

import json
import re

import pytest

from lockstep.domain.rights import Role
from lockstep.domain.systems.faults import FaultCategory
from tests.support.casework import NAME
from tests.web.console.conftest import text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    VAULT,
    act,
    eventually,
)

ASKED = re.compile(r'name="asked" value="([^"]+)"')


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
    assert "12 systems were dealt with" in text_of(second)
    assert " done " not in text_of(first) + text_of(second), "what was only asked for is not done"
    for case in cases:
        for system in (DOOR, VAULT):
            await ward.until(case, system, "revoked")
    assert (await ward.acts(cases[1].case_id)).count("case.retry") == 2
    asked = ASKED.findall(first.text + second.text)
    assert len(asked) == 11
    data = {"asked": asked, "look": "0"}
    known = await olivia.client.post("/console/bulk/became", data=data, headers=headers)
    assert known.status_code == 286, "nothing is left to ask for"
    assert "11 are settled" in text_of(known)
    assert text_of(known).count(" revoked") == 11


async def test_what_fails_again_is_said_to_have_failed(site, ward):
    """By whose it is and why; not before it is known, and the page looks again until then."""
    cases = [await ward.stuck(f"W-{number}") for number in range(2)]
    olivia = await site.sign_in(Role.OPERATOR)
    for connector in ward.connectors.values():
        connector.fail("locate", FaultCategory.PERMISSION_MISSING, 2)
    left = json.dumps([[case.case_id, DOOR, ""] for case in cases])
    form = {"action": "retry", "left": left, "total": "2", "reason": "perhaps now"}
    done = await olivia.post("/console/bulk", form)
    assert " done " not in text_of(done)
    asked = ASKED.findall(done.text)

    async def failed_again() -> bool:
        told = "select 1 from ledger_entries where kind = 'revocation:needs_person'"
        return len(await ward.sql(f"{told} and system = '{DOOR}'")) == 4

    await eventually(failed_again, "both failed again")
    page = await olivia.post("/console/bulk/became", {"asked": asked, "look": "0"})
    assert "2 failed again and wait for a person" in text_of(page)
    assert text_of(page).count(NAME) == 2
    assert "settled" not in text_of(page).replace("0 are settled", "")
    [newest] = await ward.sql("select max(id) as id from ledger_entries")
    rows = [f"{case.case_id}/{DOOR}/{newest.id}" for case in cases]
    headers = {"hx-request": "true", "x-csrf-token": olivia.csrf}
    data = {"asked": rows, "look": "0"}
    waits = await olivia.client.post("/console/bulk/became", data=data, headers=headers)
    assert (waits.status_code, "looks again" in text_of(waits)) == (200, True)
    data["look"] = "39"
    over = await olivia.client.post("/console/bulk/became", data=data, headers=headers)
    assert over.status_code == 286, "nobody waits for ever"
    assert "of 2 nothing is known yet" in text_of(over)


FORGED = (
    *("x", "a/b", "a/b/c/d", "a/b/c", "a/b/-1", "a/b/\x00"),
    *("a/b/" + "9" * 19, "a/b/" + "1" * 300),
)


@pytest.mark.parametrize("asked", [[], *([row] for row in FORGED)])
async def test_forged_rows_are_refused(site, asked):
    """What a page claims to have asked for is read with care; of others' cases nothing is told."""
    olivia = await site.sign_in(Role.OPERATOR)
    assert (await olivia.post("/console/bulk/became", {"asked": asked})).status_code == 422
    gone = await olivia.post("/console/bulk/became", {"asked": ["cnothing/door/0"]})
    assert "1 was left out" in text_of(gone)


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
