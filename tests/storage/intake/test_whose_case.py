"""Whose case: a worker's number belongs to a source, and a spell may hold several employments."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.cases.terminations import Termination, TerminationAction
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.cases.reads import StaleCaseError
from lockstep.storage.cases.rows import Opening
from lockstep.storage.engine.database import create_engine
from lockstep.storage.engine.migrate import migrate
from tests.support.casework import SYSTEM, Casework, revised, termination

BEFORE = "2026_11_30_amendments"


def opening(said: Termination, **more: object) -> Opening:
    now = datetime.now(UTC)
    return Opening(said, now, now + timedelta(days=1), **more)


async def test_one_number_of_two_sources_opens_two_cases(work):
    """In one batch or one after the other; neither is in the other's way."""
    said = termination()
    theirs = replace(said, source="hr-b", event_id="evt_b")
    first, second = await work.cases.open([opening(said), opening(theirs)], work.policy)
    again = await work.cases.open([opening(said), opening(theirs)], work.policy)

    assert first is not None
    assert second is not None
    assert (first.numbered_by, second.numbered_by) == ("hr", "hr-b")
    assert again == [None, None]
    found = await work.cases.of_spells([work.cases.spell_index(said)])
    assert [row.case_id for row in found.popitem()[1]] == [first.case_id, second.case_id]


async def test_sources_that_share_numbers_open_one_case(database, ring, work):
    """Also where two dispatchers hear them in the same instant, five times over."""
    engine = create_engine(database.app_url)
    second = Casework(engine, ring)
    try:
        for number in range(5):
            said = termination(f"W-{number}")
            theirs = replace(said, source="hr-b", event_id=f"evt_b{number}")
            peers = ("hr", "hr-b")
            both = await asyncio.gather(
                work.cases.open([opening(said, peers=peers)], work.policy),
                second.cases.open([opening(theirs, peers=peers)], work.policy),
            )
            assert [case is None for [case] in both].count(True) == 1
    finally:
        await engine.dispose()
    assert await work.count("cases") == await work.count("subjects") == 5


async def test_a_second_employment_opens_beside_the_first(work):
    """Under one spell, once for each employment."""
    first = await work.open()
    said = revised(termination(), 2)
    second, again = await work.cases.open(
        [opening(said, employment=2), opening(said, employment=2)], work.policy
    )

    assert second is not None
    assert again is None
    assert (first.employment, second.employment) == (1, 2)


async def closed(work: Casework):
    case = await work.open()
    await work.close(case.case_id, 1)
    [rows] = (await work.cases.of_spells([work.cases.spell_index(termination())])).values()
    return rows[-1]


def finding(case, system: str = SYSTEM) -> Entry:
    now = datetime.now(UTC)
    return Entry(
        kind=EntryKind.FINDING_RAISED,
        key=f"{case.case_id}:{system}:look:1",
        tenant=case.tenant,
        occurred_at=now,
        recorded_at=now,
        case_id=case.case_id,
        subject=str(case.subject_id),
        system=system,
        policy=case.policy,
        data={"finding": "access_returned", "look": 1, "standing": []},
    )


async def test_a_rehiring_ends_the_watch_and_is_told(work):
    """In the ledger, once for each statement; nothing is reopened from then on."""
    case = await closed(work)
    said = revised(termination(), 2, action=TerminationAction.REHIRED)
    rehired = await work.cases.rehire(case, said)

    assert rehired.unwatched_at is not None
    assert (rehired.status, rehired.revision) == ("closed", 2)
    assert (await work.kinds(case.case_id))[-1] == "case:rehired"
    assert not await work.cases.is_watched(case.case_id)
    assert not await work.cases.raise_finding(
        case.case_id, SYSTEM, look=1, opening=1, entry=finding(case)
    )
    assert (await work.case(case.case_id))["status"] == "closed"
    assert await work.count("findings") == 0
    with pytest.raises(StaleCaseError):  # judged before it was said
        await work.cases.rehire(case, said)


async def test_only_a_closed_case_hears_of_a_rehiring(work):
    """One that is open goes on as it must."""
    case = await work.open()
    with pytest.raises(StaleCaseError):
        await work.cases.rehire(case, revised(termination(), 2, action=TerminationAction.REHIRED))
    assert await work.cases.is_watched(case.case_id)


async def test_calling_off_too_late_ends_the_watch_too(work):
    """Nothing is given back by us; but who stays must not lose again what people give back."""
    case = await closed(work)
    said = revised(termination(), 2, action=TerminationAction.RESCINDED)
    assert await work.cases.rescind(case, said) == "closed"

    told = (await work.entries(case.case_id))[-1]
    assert (told["kind"], told["data"]) == (
        "case:rescind_refused",
        {"revision": 2, "watch_ends": True},
    )
    assert not await work.cases.is_watched(case.case_id)


async def test_what_stood_when_a_rehiring_was_said_is_a_finding_and_no_more(work):
    """The case stays closed, the finding is settled, and another try tells it once."""
    case = await closed(work)
    await work.cases.rehire(case, revised(termination(), 2, action=TerminationAction.REHIRED))
    entry = finding(case)
    entry = replace(entry, data={**entry.data, "finding": "returned_before_rehire"})
    for _ in range(2):
        await work.cases.note_return(case.case_id, SYSTEM, look=1, entry=entry)

    query = text("select kind, resolved_at is not null from findings")
    async with work.engine.connect() as connection:
        assert [tuple(row) for row in await connection.execute(query)] == [
            ("returned_before_rehire", True)
        ]
    assert (await work.kinds(case.case_id)).count("finding:raised") == 1
    assert (await work.case(case.case_id))["status"] == "closed"


async def test_erasing_one_of_two_people_of_one_number_spares_the_other(work, erasure):
    """A number says who somebody is only together with its source."""
    mine = await closed(work)
    [theirs] = await work.cases.open(
        [opening(replace(termination(), source="hr-b", event_id="evt_b"))], work.policy
    )
    spells = await erasure.spells_of(subject_id=mine.subject_id)
    everybody = await erasure.spells_of(
        worker_index=work.cases.worker_index("acme", termination().worker_id)
    )

    assert [spell.case_id for spell in spells] == [mine.case_id]
    assert {spell.case_id for spell in everybody} == {mine.case_id, theirs.case_id}


_OLD_INSERT = """
    insert into cases (
      case_id, tenant, subject_id, worker_index, spell_index, status, kind, source, partner, site,
      zone, policy, revision, last_event_id, recorded_at, cutoff_at, received_at, opened_at
    )
    select :new, tenant, subject_id, worker_index, {spell}, status, kind, {source}, partner, site,
      zone, policy, revision, last_event_id, recorded_at, cutoff_at, received_at, opened_at
    from cases where case_id = :old
    on conflict (spell_index) where status <> 'rescinded' do nothing
"""
"""As the release before inserts: it knows no new column."""


async def _copied(work: Casework, old: str, new: str, *, spell: str, source: str) -> None:
    statement = text(_OLD_INSERT.format(spell=spell, source=source))
    async with work.engine.begin() as connection:
        await connection.execute(statement, {"old": old, "new": new})


async def test_cases_of_the_release_before_are_of_the_source_that_opened_them(database, work):
    """Those that stood before the migration, and those that it opens while both run."""
    case = await work.open()
    await work.engine.dispose()
    await asyncio.to_thread(migrate, database.owner_url, BEFORE)
    await _copied(work, case.case_id, "cold", spell="sha256('x')", source="'hr-b'")
    await work.engine.dispose()
    await asyncio.to_thread(migrate, database.owner_url)
    await _copied(work, case.case_id, "cnew", spell="sha256('y')", source="'hr-b'")

    query = text(
        "select case_id, numbered_by, employment from cases where identity_index = spell_index"
    )
    async with work.engine.connect() as connection:
        rows = {row.case_id: tuple(row)[1:] for row in await connection.execute(query)}
    assert rows == {case.case_id: ("hr", 1), "cold": ("hr-b", 1), "cnew": ("hr-b", 1)}


async def test_the_release_before_still_finds_that_a_spell_is_taken(work):
    """Its own way of opening each spell once goes on to work, for a source's own cases."""
    case = await work.open()
    await _copied(work, case.case_id, "cagain", spell="spell_index", source="source")

    assert await work.count("cases") == 1
