"""The made-up company: three partners, people with jobs, and accounts that follow from these."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from httpx import AsyncClient

from sandbox import Options, company, running
from sandbox.company import MOST, PARTNERS, holders
from sandbox.vendors.registry import descriptions, simulated


def test_the_same_people_work_there_every_time_and_more_join_at_the_end():
    """Whoever leaves by an id today is the same person tomorrow, however large it is."""
    assert company(40) == company(40)
    assert company(500)[:40] == company(40)


def test_three_partners_share_five_hundred_people():
    """In the shares that are said; nobody shares a key with anybody."""
    people = company()
    assert Counter(person.partner for person in people) == {
        partner.name: partner.share * 50 for partner in PARTNERS
    }
    for key in ("worker_id", "employee_number", "email", "username"):
        assert len({getattr(person, key) for person in people}) == 500
    sites = {site.name for partner in PARTNERS for site in partner.sites}
    assert {person.site for person in people} == sites


def test_accounts_follow_from_the_job():
    """Where a vendor names jobs, nobody else has an account; where it names none, all have."""
    people = company()
    for kind, each in descriptions().items():
        have = {person.title for person in holders(people, kind)}
        assert have == (each.held_by or {person.title for person in people})
        assert len(holders(people, kind)) < 100 or not each.held_by


@pytest.mark.parametrize("count", [-1, MOST + 1])
def test_a_company_that_cannot_be_is_refused(count: int):
    """Not half made."""
    with pytest.raises(ValueError, match="people"):
        company(count)


async def test_a_vendor_that_is_new_in_this_version_gets_its_people(tmp_path: Path):
    """A state file of before knows nothing of it: the others keep theirs, it begins like new."""
    kept = tmp_path / "state.json"
    async with running(Options(people=company(3), state_file=kept)):
        pass
    value = json.loads(kept.read_text())
    new, *others = simulated()
    del value["services"][new]
    kept.write_text(json.dumps(value))

    async with running(Options(people=company(5), state_file=kept)) as urls, AsyncClient() as peer:
        states = {kind: await peer.get(f"{url}/sandbox/state") for kind, url in urls.items()}

    told = {kind: answer.json().get("accounts") for kind, answer in states.items()}
    counts = {kind: count for kind, count in told.items() if count is not None}
    there = {kind: len(holders(company(3), kind)) for kind in others if kind in counts}
    assert counts == {new: len(holders(company(5), new)), **there}
    assert there
