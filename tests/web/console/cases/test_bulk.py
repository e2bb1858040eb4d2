"""Many at once: each an act of its own."""

from __future__ import annotations

import re

import pytest

from lockstep.domain.rights import Role
from tests.web.console.conftest import text_of
from tests.web.console.ward import (
    BADGE,
    DOOR,
    VAULT,
    act,
)


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
