"""Stores of one process, taken from one place."""

from __future__ import annotations

import asyncio

import pytest

from lockstep.storage.engine.database import StorageError
from lockstep.storage.people.acts import ActsLog
from lockstep.storage.stores import Stores
from tests.support.casework import TENANT, Casework

COMMITS = "(select 1 from ledger_entries where kind = 'access:acted' group by xmin) commits"


async def _burst(*logs: ActsLog) -> None:
    """Each of ``logs`` is told of five acts, all at the same time."""
    told = [log.acted(f"u-{count}", "case.comment") for log in logs for count in range(5)]
    await asyncio.gather(*told)


async def test_acts_of_many_use_cases_share_commits(work: Casework):
    """Sessions, tokens, cases and brakes append through one ledger: a burst takes two commits."""
    stores = Stores(work.engine, work.ring, tenant=TENANT)
    await _burst(*(stores.log for _ in range(5)))
    assert await work.count("ledger_entries where kind = 'access:acted'") == 25
    assert await work.count(COMMITS) <= 2


async def test_stores_of_two_places_would_commit_by_themselves(work: Casework):
    """What the one place is for: as many ledgers as places take as many commits at least."""
    places = [Stores(work.engine, work.ring, tenant=TENANT) for _ in range(5)]
    await _burst(*(stores.log for stores in places))
    assert await work.count(COMMITS) >= len(places)


async def test_a_case_and_an_act_append_to_the_same_ledger(work: Casework):
    """Cases, revocations and acts were given one ledger, and each is the same when asked again."""
    stores = Stores(work.engine, work.ring, tenant=TENANT)
    writers = (stores.cases, stores.revocations, stores.log)
    assert {id(writer._ledger) for writer in writers} == {id(stores.ledger)}
    assert stores.cases is stores.cases
    assert stores.erasure._inbox is stores.inbox


async def test_without_a_keyring_nothing_personal_is_opened(work: Casework):
    """`lockstep doctor` looks at a database whose keyring is what is wrong."""
    stores = Stores(work.engine, None, tenant=TENANT)
    assert await stores.paces.all() == {}
    with pytest.raises(StorageError, match="no keyring is open"):
        _ = stores.views
