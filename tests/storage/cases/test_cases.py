"""Cases: one per spell, moved only while they wait, begun once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.contracts.payloads import BeginState
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import EndDates, TerminationAction, TerminationKind
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.cases.reads import UnknownCaseError, as_known
from lockstep.storage.cases.rows import Opening, new_case_id
from lockstep.storage.engine.database import create_engine
from lockstep.storage.records import CaseRow
from lockstep.storage.systems.revocations import UnknownRevocationError
from tests.support.casework import (
    EMAIL,
    OTHER,
    SYSTEM,
    WORKER,
    Casework,
    leaver_keys,
    revised,
    termination,
)

TOMORROW = timedelta(days=1)


def opening(said, *, due: timedelta = TOMORROW, tombstone: bool = False) -> Opening:
    now = datetime.now(UTC)
    return Opening(said, now, now + due, tombstone)


async def come(work: Casework, case: CaseRow) -> None:
    """The cutoff of a scheduled case has come, and nobody has begun it yet."""
    statement = text("update cases set cutoff_at = now() where case_id = :c")
    async with work.engine.begin() as connection:
        await connection.execute(statement, {"c": case.case_id})


@pytest.fixture
async def second(database, ring):
    """The same repositories in another process."""
    engine = create_engine(database.app_url)
    made = Casework(engine, ring)
    yield made
    await engine.dispose()


async def test_a_batch_opens_each_with_its_systems_and_one_entry(work):
    """Fifty leavers, one transaction, one case each."""
    batch = [opening(termination(f"W-{n}")) for n in range(50)]
    made = await work.cases.open(batch, work.policy)

    assert [case.status for case in made] == ["scheduled"] * 50
    assert await work.count("revocations") == 100
    assert await work.count("ledger_entries") == 51  # and the policy's
    assert await work.kinds(made[7].case_id) == ["case:opened"]


async def test_the_thirtieth_case_opens_like_the_first(work):
    """One connection opens case after case: the driver prepares statements that repeat."""
    made = [await work.open(termination(f"W-{n}")) for n in range(30)]

    assert len({case.case_id for case in made}) == 30


async def test_a_cutoff_that_has_passed_begins_at_once(work):
    """A backdated termination is not scheduled, it is late."""
    case = await work.open(due=-timedelta(hours=2))

    assert (case.status, case.begun_at is not None) == ("revoking", True)


async def test_the_same_spell_twice_in_one_batch_opens_once(work):
    """Two deliveries of one leaver that meet in a batch make one case and one subject."""
    said = termination()
    first, again = await work.cases.open([opening(said), opening(said)], work.policy)

    assert (first is None) != (again is None)
    assert await work.count("cases") == await work.count("subjects") == 1
    assert await work.count("revocations") == 2


async def test_two_dispatchers_that_race_open_each_spell_once(work, second):
    """Whatever order two processes take the same ten spells in, each opens once, nobody fails."""
    said = [termination(f"W-{n}") for n in range(10)]
    for _ in range(5):
        said = [replace(item, spell=item.spell + "x") for item in said]
        mine, theirs = await asyncio.gather(
            work.cases.open([opening(item) for item in said], work.policy),
            second.cases.open([opening(item) for item in reversed(said)], work.policy),
        )
        winners = zip(mine, reversed(theirs), strict=True)
        assert [(a is None) + (b is None) for a, b in winners] == [1] * 10
    assert await work.count("cases") == await work.count("subjects") == 50
    assert await work.count("ledger_entries") == 51


async def test_a_tombstone_remembers_a_rescission_that_came_first(work):
    """It opens no system, and the spell can still be terminated anew afterwards."""
    said = termination()
    [case] = await work.cases.open([opening(said, tombstone=True)], work.policy)
    index = work.cases.spell_index(said)
    known = as_known((await work.cases.of_spells([index]))[index][-1])

    assert (case.status, known.is_rescinded) == ("rescinded", True)
    assert await work.count("revocations") == 0
    assert await work.kinds(case.case_id) == ["case:rescinded"]
    again = await work.open(revised(said, 2), due=TOMORROW)
    known = as_known((await work.cases.of_spells([index]))[index][-1])
    assert (again.status, known.revision) == ("scheduled", 2)


async def test_an_amendment_before_the_cutoff_moves_everything(work):
    """Cutoff, warning and deadline move together; HR's newest keys come before the old ones."""
    case = await work.open(due=TOMORROW)
    before = await work.row(case.case_id)
    cutoff = case.cutoff_at + timedelta(days=2)
    said = revised(termination(), 2, keys=leaver_keys(email="m.new@example.com"))
    amended = await work.cases.amend(case, said, cutoff)
    after = await work.row(case.case_id)

    assert (amended.cutoff_at, amended.revision) == (cutoff, 2)
    assert after.due_at - before.due_at == after.warn_at - before.warn_at == timedelta(days=2)
    loaded = await work.revocations.load(case.case_id, SYSTEM, 1)
    assert loaded.subject.keys.emails == ("m.new@example.com", EMAIL)


async def test_an_amendment_takes_everything_that_hr_says(work):
    """Kind, partner, site, zone, name and time of recording are those of the newest revision."""
    case = await work.open(due=TOMORROW)
    said = revised(
        termination(),
        2,
        kind=TerminationKind.INVOLUNTARY,
        partner="contoso",
        site="davao",
        dates=EndDates(zone="Asia/Tokyo", last_working_day=case.cutoff_at.date()),
        display_name="Maria Corrected",
        recorded_at=datetime.now(UTC) - timedelta(minutes=5),
    )
    after = await work.cases.amend(case, said, case.cutoff_at - timedelta(hours=3))
    entry = (await work.entries(case.case_id))[-1]

    assert (after.kind, after.partner, after.site, after.zone) == (
        *("involuntary", "contoso", "davao", "Asia/Tokyo"),
    )
    assert abs(after.recorded_at - said.recorded_at) < timedelta(milliseconds=1)
    loaded = await work.revocations.load(case.case_id, SYSTEM, 1)
    assert loaded.subject.display_name == "Maria Corrected"
    assert entry["data"]["termination"] == "involuntary"
    assert entry["data"]["before"] == {
        "termination": "voluntary",
        "partner": "northwind",
        "site": "cebu",
        "zone": "Asia/Manila",
        "cutoff_at": instant_text(case.cutoff_at),
    }
    assert "Maria" not in str(entry)


async def test_a_resignation_that_becomes_a_dismissal_has_a_dismissals_time(work):
    """Due and warning times follow the kind: four hours of tier 1 instead of a day."""
    case = await work.open(due=TOMORROW)
    said = revised(termination(), 2, kind=TerminationKind.INVOLUNTARY)
    after = await work.cases.amend(case, said, case.cutoff_at)
    row = await work.row(case.case_id)

    assert row.due_at - after.cutoff_at == timedelta(hours=4)
    assert row.warn_at - after.cutoff_at == timedelta(hours=2)


@pytest.mark.parametrize(("due", "hours"), [(TOMORROW, 24), (-timedelta(hours=1), 4)])
async def test_more_time_is_given_before_the_cutoff_only(work, due, hours):
    """Whoever is late with a dismissal does not get a resignation's time by calling it one."""
    case = await work.open(termination(kind=TerminationKind.INVOLUNTARY), due=due)
    after = await work.cases.amend(case, revised(termination(), 2), case.cutoff_at)

    assert after.kind == "voluntary"
    row = await work.row(case.case_id)
    assert row.due_at - after.cutoff_at == timedelta(hours=hours)


async def test_what_leaves_the_cutoff_leaves_hrs_lag(work):
    """The statement that set the cutoff is the one that HR's lag is measured from."""
    case = await work.open(due=TOMORROW)
    said = revised(termination(), 2, partner="contoso", recorded_at=datetime.now(UTC))
    after = await work.cases.amend(case, said, case.cutoff_at)

    assert (after.partner, after.recorded_at) == ("contoso", case.recorded_at)


async def test_what_a_revision_leaves_out_stays(work):
    """A partner, a site, a name or a key that is not said again is not taken back."""
    case = await work.open(due=TOMORROW)
    said = revised(
        termination(),
        2,
        partner="",
        site="",
        display_name="",
        keys=LeaverKeys((Key(KeyKind.WORKER_ID, WORKER),)),
    )
    after = await work.cases.amend(case, said, case.cutoff_at)
    loaded = await work.revocations.load(case.case_id, SYSTEM, 1)

    assert (after.partner, after.site) == ("northwind", "cebu")
    assert set(loaded.subject.keys.keys) == set(leaver_keys().keys)
    assert loaded.subject.display_name != ""


async def test_an_amendment_after_the_cutoff_moves_nothing_but_is_told(work):
    """The clock that runs cannot be set back; what HR asked for stands in the ledger."""
    case = await work.open()
    asked = case.cutoff_at + TOMORROW
    amended = await work.cases.amend(case, revised(termination(), 2), asked)
    entry = (await work.entries(case.case_id))[-1]

    assert amended.cutoff_at == case.cutoff_at
    assert entry["kind"] == "case:amended"
    assert entry["data"]["asked_cutoff_at"] > entry["data"]["cutoff_at"]


async def test_an_older_amendment_that_lost_the_race_changes_nothing(work):
    """A dispatcher that judged by an outdated row must look again, not overwrite newer dates."""
    case = await work.open(due=TOMORROW)
    newest = case.cutoff_at + timedelta(days=3)
    await work.cases.amend(case, revised(termination(), 3), newest)

    with pytest.raises(RuntimeError):
        await work.cases.amend(case, revised(termination(), 2), case.cutoff_at)
    stored = await work.case(case.case_id)
    assert (stored["revision"], stored["cutoff_at"]) == (3, newest)


async def test_an_amendment_that_lost_against_a_rescission_looks_again(work):
    """A rescinded case is not amended: the later word opens a new one."""
    case = await work.open(due=TOMORROW)
    await work.cases.rescind(case, revised(termination(), 2, action=TerminationAction.RESCINDED))

    with pytest.raises(RuntimeError):
        await work.cases.amend(case, revised(termination(), 3), case.cutoff_at)
    assert (await work.case(case.case_id))["status"] == "rescinded"


async def test_a_rescission_before_the_cutoff_stops_the_case(work):
    """Nothing is revoked, every system is stopped, and the spell may be terminated again."""
    case = await work.open(due=TOMORROW)
    said = revised(termination(), 2, action=TerminationAction.RESCINDED)

    assert await work.cases.rescind(case, said) == CaseStatus.RESCINDED
    assert (await work.row(case.case_id, OTHER)).state == "stopped"
    assert (await work.cases.begin(case.case_id)).state is BeginState.RESCINDED
    assert await work.kinds(case.case_id) == ["case:opened", "case:rescinded"]
    assert (await work.open(revised(termination(), 3), due=TOMORROW)).case_id != case.case_id


async def test_a_rescission_after_the_cutoff_is_recorded_and_changes_nothing(work):
    """Access that we ended is never given back by us."""
    case = await work.open()
    said = revised(termination(), 2, action=TerminationAction.RESCINDED)

    assert await work.cases.rescind(case, said) == CaseStatus.REVOKING
    assert (await work.row(case.case_id)).state == "scheduled"
    assert await work.kinds(case.case_id) == ["case:opened", "case:rescind_refused"]


async def test_a_case_begins_at_its_cutoff_and_once(work):
    """Too early it waits; asked twice it is begun once."""
    early = await work.open(termination("W-1"), due=TOMORROW)
    assert (await work.cases.begin(early.case_id)).state is BeginState.WAIT
    case = await work.open(termination("W-2"), due=TOMORROW)
    await come(work, case)

    assert [(await work.cases.begin(case.case_id)).state for _ in range(2)] == ["begin", "begin"]
    assert await work.kinds(case.case_id) == ["case:opened", "case:begun"]


async def test_begin_and_rescind_at_the_same_moment_agree(work, second):
    """Either the case begins and the rescission is refused, or it never begins. Never both."""
    seen = set()
    for number in range(12):
        said = termination(f"W-{number}")
        case = await work.open(said, due=TOMORROW)
        await come(work, case)
        rescission = revised(said, 2, action=TerminationAction.RESCINDED)
        begun, status = await asyncio.gather(
            work.cases.begin(case.case_id), second.cases.rescind(case, rescission)
        )
        seen.add((begun.state.value, status.value))
        stored = (await work.case(case.case_id))["status"]
        assert stored == status.value
        assert ("case:begun" in await work.kinds(case.case_id)) == (stored == "revoking")
    assert seen <= {("begin", "revoking"), ("rescinded", "rescinded")}


async def test_unknown_cases_and_systems_are_named(work):
    """A wrong id is an error, not an empty answer."""
    with pytest.raises(UnknownCaseError):
        await work.cases.begin("cnone")
    case = await work.open()
    with pytest.raises(UnknownRevocationError):
        await work.revocations.load(case.case_id, "none", 1)


def test_case_ids_can_be_read_out():
    """A letter and twelve characters, and none comes twice."""
    made = {new_case_id() for _ in range(2000)}

    assert len(made) == 2000
    assert all(len(item) == 13 and item.isalnum() and item.islower() for item in made)


async def test_a_spell_is_found_without_storing_it(work):
    """The index differs by tenant, worker and spell, and does not hold them."""
    said = termination()
    index = work.cases.spell_index(said)

    assert WORKER.encode() not in index
    assert index not in {
        work.cases.spell_index(replace(said, spell="2")),
        work.cases.spell_index(replace(said, tenant="other")),
        work.cases.spell_index(replace(said, worker_id="W-1")),
    }
