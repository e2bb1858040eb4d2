"""The page `Settings`: what is set, never a secret; and how the policy has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.rights import Role
from lockstep.storage.cases.rows import pin
from tests.support.casework import TENANT, two_systems
from tests.web.console.conftest import text_of

HOME = "/console/settings"
COSTS = {"contoso": 4242, "southgate": 9191}
CONTRACT = """
[scorecard.penalties.{name}]
currency = "EUR"
per_case = {cost}
per_started_hour = 1
"""
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def site_settings(site_settings, monkeypatch) -> str:
    """With groups, a brake, a source, and a token."""
    monkeypatch.setenv("PLANTED_TOKEN", "planted-" + "t" * 40)
    monkeypatch.setenv("PLANTED_HOOK", "whsec_" + "cGxhbnRlZC1ob29rLXNlY3JldC1wbGFudGVk")
    return site_settings + (
        '\n[sources.hr-main]\nsecrets = ["env:PLANTED_HOOK"]\n'
        '\n[sources.hr-own]\nsecrets = ["env:PLANTED_HOOK"]\npartners = ["contoso"]\n'
        '\n[sources.hr-two]\nsecrets = ["env:PLANTED_HOOK"]\npartners = ["contoso", "southgate"]\n'
        '\n[tokens.board]\nsecret = "env:PLANTED_TOKEN"\nrights = ["score"]\n'
        f'\n[groups.ops]\ngroup = "{HOSTILE}"\nroles = ["operator"]\npartners = ["contoso"]\n'
        '\n[groups.south]\ngroup = "southgate-desk"\nroles = ["hr"]\npartners = ["southgate"]\n'
        '\n[groups.both]\ngroup = "both-one"\nroles = ["hr"]\npartners = ["contoso", "southgate"]\n'
        + "".join(CONTRACT.format(name=name, cost=cost) for name, cost in COSTS.items())
        + "\n[brake]\nper_hour = 77\n"
    )


async def test_the_page_shows_what_is_set(site):
    """Policy, systems, sources, groups, brake, versions: and no secret, nor where one lies."""
    who = await site.sign_in(Role.ADMIN)
    answer = await who.get(HOME)
    page = text_of(answer)
    for said in ("memory-1", "hr-main", "board", "contoso", "77 per hour", "18:00", "19 of 20"):
        assert said in page
    assert HOSTILE not in answer.text
    for secret in ("PLANTED", "planted", "whsec_", "ledger.key", "keyring", str(site.folder)):
        assert secret not in answer.text


async def test_policies_are_compared_place_by_place(site):
    """What differs, before and after; what does not is left out."""
    cases = site.stores.cases
    old = two_systems().policy
    new = replace(
        old,
        version=f"2 {HOSTILE}"[:40],
        systems=old.systems[:1],
        cutoff=CutoffRule(end_of_day=time(17, 30), involuntary_at_notice=True),
    )
    for policy in (old, new):
        await cases.adopt(pin(policy), TENANT)
    who = await site.sign_in(Role.ADMIN)
    listed = await who.get(HOME)
    query = f"?old={pin(old).digest}&new={pin(new).digest}"
    answer = await who.get(f"{HOME}/policies{query}")
    page = text_of(answer)

    assert query.replace("&", "&amp;") in listed.text
    assert "cutoff, end of day 18:00 17:30" in page
    assert "cutoff, involuntary at notice no yes" in page
    assert "systems, memory-2, tier 1 –" in page
    assert "memory-1, tier" not in page
    assert HOSTILE not in answer.text
    same = await who.get(f"{HOME}/policies?old={pin(old).digest}&new={pin(old).digest}")
    assert "They are the same." in text_of(same)
    for wrong in ("", "?old=x&new=y", f"?old={pin(old).digest}&new=%00"):
        assert (await who.get(f"{HOME}/policies{wrong}")).status_code == 404


async def test_without_a_policy_it_says_so(site):
    """A worker adopts one when it starts."""
    who = await site.sign_in(Role.ADMIN)
    page = text_of(await who.get(HOME))
    assert "No policy was adopted yet." in page
    assert "not adopted yet" in page


@pytest.mark.parametrize("role", [Role.HR, Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.VIEWER])
async def test_settings_are_for_administrators(site, role):
    """Neither page nor history for anybody else."""
    who = await site.sign_in(role)
    for path in ("", "/policies"):
        assert (await who.get(f"{HOME}{path}")).status_code == 403


async def test_whoever_is_bound_reads_nothing_of_other_partners(site):
    """Neither their groups nor their contracts, nor that they are among others in a group."""
    free = text_of(await (await site.sign_in(Role.ADMIN)).get(HOME))
    assert all(said in free for said in ("southgate-desk", "9191", "4242", "both-one", "hr-two"))
    for partners in (["contoso"], []):
        who = await site.sign_in(Role.ADMIN, partners=partners)
        page = text_of(await who.get(HOME))
        for said in ("southgate", "9191", "board", "hr-two"):
            assert said not in page, said
        for said in ("4242", "both-one", "hr-own"):
            assert (said in page) is bool(partners), said
