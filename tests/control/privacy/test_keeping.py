"""What whoever answers for personal data can do, and what the clock does for them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from lockstep.control.cases.desk import Desk, Person
from lockstep.control.privacy import keeping as module
from lockstep.control.privacy.keeping import Privacy, Retention, Whom, delete_packs
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.spells import Obstacle
from lockstep.storage.privacy.holds import Holds
from tests.support.casework import EMAIL, NAME, WORKER, termination
from tests.support.endings import (
    ACTOR,
    ASKED,
    KEEP,
    LONG_DUE,
    REASON,
    closed,
    ended,
    exported,
    is_erased,
    receive,
    spells,
)

PERSON = Person(ACTOR, REASON)


@pytest.fixture
def packs(tmp_path) -> Path:
    folder = tmp_path / "packs"
    folder.mkdir()
    return folder


@pytest.fixture
def privacy(work, ring, packs) -> Privacy:
    desk = Desk(
        tenant="acme", views=CaseViews(work.engine, ring), inbox=work.inbox, rule=CutoffRule()
    )
    return Privacy(work.stores, desk=desk, packs=packs)


@pytest.fixture
def retention(work, ring, packs) -> Retention:
    return Retention(work.stores.erasure, keep=KEEP, packs=packs)


async def erase(privacy: Privacy, whom: Whom):
    return await privacy.erase(whom, reference="DSR-7", actor=ACTOR)


# --- erasing on request --------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["case", "beginning", "subject", "worker"])
async def test_a_person_is_found_by_what_the_asker_has(work, privacy, by):
    """A case, the beginning of its id, the subject's id, or HR's id."""
    case = await ended(work)
    whom = {
        "case": Whom(case.case_id),
        "beginning": Whom(case.case_id[:6]),
        "subject": Whom(str(case.subject_id)),
        "worker": Whom(worker_id=WORKER),
    }[by]
    done, _ = await erase(privacy, whom)

    assert [spell.case_id for spell in done.spells] == [case.case_id]
    again, _ = await erase(privacy, whom)
    assert [spell.case_id for spell in again.already] == [case.case_id]


@pytest.mark.parametrize(
    "whom",
    [
        Whom(),
        Whom("cnothing"),
        Whom("00000000-0000-4000-8000-000000000000"),
        Whom(worker_id="W-nobody"),
        Whom("c", WORKER),
    ],
)
async def test_nobody_is_erased_by_mistake(work, privacy, whom):
    """Nothing given, too much given, or nobody of that name."""
    case = await ended(work)
    with pytest.raises(RefusedError) as refused:
        await erase(privacy, whom)

    assert "W-nobody" not in str(refused.value)
    assert not await is_erased(work, case)


@pytest.mark.parametrize(
    "reference", ["", "Maria asked for it", "x" * 41, "DSR 7", "DSR-7\n", "dsr/7", "ü"]
)
async def test_the_reference_is_a_number_and_no_sentence(work, privacy, reference):
    """It stands in the ledger for ever: no free text can get there."""
    case = await ended(work)
    with pytest.raises(RefusedError):
        await privacy.erase(Whom(case.case_id), reference=reference, actor=ACTOR)

    assert not await is_erased(work, case)


async def test_what_keeps_a_person_is_told_with_what_to_do(work, privacy):
    """Hold, open, watched: each refusal names the case and the way out."""
    held, watched = await ended(work, "W-held"), await closed(work, "W-watched")
    await privacy.hold(held.case_id, PERSON)
    running = await work.open(termination("W-open"))
    for case, words in (
        (held, "lockstep subject release"),
        (watched, "is watched until 20"),
        (running, "is revoking"),
    ):
        with pytest.raises(RefusedError, match=words) as refused:
            await erase(privacy, Whom(case.case_id))
        assert case.case_id in str(refused.value)
        assert not await is_erased(work, case)


async def test_a_case_means_one_spell_and_a_worker_means_all(work, privacy):
    """Two spells, two subjects: by case one of them goes, by worker both."""
    first, second = [
        await ended(work, spell=spell, event_id=f"evt_{spell}") for spell in ("1", "2")
    ]
    stored = await privacy.show(Whom(first.case_id))
    await erase(privacy, Whom(first.case_id))

    assert (stored.others, await is_erased(work, second)) == (1, False)
    await erase(privacy, Whom(worker_id=WORKER))
    assert await is_erased(work, second)


async def test_identified_packs_are_deleted_and_handed_out_ones_named(work, privacy, packs):
    """Ours are files we can delete; one that was written elsewhere is for people to destroy."""
    case = await ended(work)
    await exported(work, packs, "ours")
    await exported(work, packs, "elsewhere", file_name=None)
    done, files = await erase(privacy, Whom(case.case_id))

    assert (files, list(packs.iterdir())) == (["ours.zip"], [])
    assert {pack.export_id for pack in done.packs} == {"ours", "elsewhere"}


async def test_a_pack_on_another_machine_waits_for_that_machine(work, retention, packs, tmp_path):
    """The command line may run elsewhere: the worker that has the file deletes it."""
    case = await ended(work)
    await exported(work, packs, "p1")
    erasure = work.stores.erasure
    await erasure.erase(await spells(work, case), ASKED)

    assert await delete_packs(erasure, tmp_path / "nowhere") == []
    assert (await retention.once()).packs == 1
    assert list(packs.iterdir()) == []
    assert await erasure.condemned() == []


async def test_no_file_outside_the_folder_is_deleted(work, packs, tmp_path):
    """A file name that leads elsewhere is left alone."""
    case = await ended(work)
    outside = tmp_path / "keyring.json"
    outside.write_text("precious")
    await exported(work, packs, "p1", file_name="../keyring.json")
    erasure = work.stores.erasure
    await erasure.erase(await spells(work, case), ASKED)

    assert await delete_packs(erasure, packs) == []
    assert outside.read_text() == "precious"


# --- showing and holding -------------------------------------------------------------------------


async def test_everything_that_is_stored_is_shown(work, privacy):
    """The answer to a person who asks: keys, holds, counts, and what keeps it."""
    case = await ended(work)
    hold_id = await privacy.hold(case.case_id, PERSON)
    stored = await privacy.show(Whom(worker_id=WORKER))
    subject = stored.subjects[case.subject_id]

    assert (subject.display_name, subject.keys.emails) == (NAME, (EMAIL,))
    assert [(hold.hold_id, hold.reason) for hold in stored.holds] == [(hold_id, REASON)]
    assert (stored.inventory.events, stored.inventory.decisions) == (1, 2)
    assert stored.kept.obstacle is Obstacle.HELD
    assert NAME not in repr(stored)


async def test_an_erased_person_is_shown_as_erased(work, privacy):
    """The case is there, the person is not."""
    case = await ended(work)
    await erase(privacy, Whom(case.case_id))
    stored = await privacy.show(Whom(case.case_id))

    assert (stored.subjects, stored.kept, stored.inventory.events) == ({}, None, 0)
    assert stored.spells[0].erased_at is not None


async def test_a_hold_is_released_by_name_where_several_stand(work, privacy):
    """One is meant by itself; of two, one must be named."""
    case = await ended(work)
    first, second = [await privacy.hold(case.case_id, PERSON) for _ in range(2)]
    with pytest.raises(RefusedError, match="name one"):
        await privacy.release(case.case_id, PERSON)

    assert await privacy.release(case.case_id, PERSON, hold_id=first) == first
    assert await privacy.release(case.case_id, PERSON) == second
    with pytest.raises(RefusedError, match="no such legal hold"):
        await privacy.release(case.case_id, PERSON)


async def test_a_hold_needs_a_reason_a_case_and_somebody_to_keep(work, privacy):
    """Each of them is refused in words."""
    case = await ended(work)
    with pytest.raises(RefusedError, match="reason"):
        await privacy.hold(case.case_id, Person(ACTOR, " "))
    with pytest.raises(RefusedError, match="no case"):
        await privacy.hold("cnothing", PERSON)
    await erase(privacy, Whom(case.case_id))
    with pytest.raises(RefusedError, match="erased before"):
        await privacy.hold(case.case_id, PERSON)
    assert await work.count("holds") == 0


# --- retention -----------------------------------------------------------------------------------


async def test_retention_erases_who_is_due_and_nobody_else(work, retention, monkeypatch):
    """Over several pages; who is held or young stays, and each is erased in the ledger once."""
    monkeypatch.setattr(module, "PAGE", 2)
    due = [await ended(work, f"W-{n}", ago=LONG_DUE) for n in range(5)]
    young = await ended(work, "W-young", ago=LONG_DUE - timedelta(days=2))
    held = await ended(work, "W-held", ago=LONG_DUE)
    await Holds(work.engine, work.ring).place(held.case_id, actor=ACTOR, reason=REASON)
    tally = await retention.once()

    assert [await is_erased(work, case) for case in (*due, young, held)] == [True] * 5 + [False] * 2
    assert (tally.erased, tally.kept) == (5, {Obstacle.HELD: 1})
    assert await work.count("ledger_entries where kind = 'subject:erased'") == 5
    assert (await retention.once()).erased == 0


async def test_a_dry_run_says_what_would_be_and_changes_nothing(work, retention):
    """The same people, and the same ones kept, as the run itself."""
    due = await ended(work, ago=LONG_DUE)
    again = await ended(work, "W-back", ago=LONG_DUE, spell="1")
    await work.open(termination("W-back", spell="2", event_id="evt_2"))
    pages = [page async for page in retention.due()]
    free = [spell.case_id for page, _ in pages for spell in page]
    kept = [row.obstacle for _, held in pages for row in held]

    assert (free, kept) == ([due.case_id], [Obstacle.OPEN])
    assert [await is_erased(work, case) for case in (due, again)] == [False, False]
    tally = await retention.once()
    assert (tally.erased, tally.kept) == (1, {Obstacle.OPEN: 1})


async def test_two_workers_may_run_at_once(work, retention):
    """Each person is erased once, whoever comes first; neither run fails."""
    for number in range(6):
        await ended(work, f"W-{number}", ago=LONG_DUE)
    tallies = await asyncio.gather(retention.once(), retention.once())

    assert sum(tally.erased for tally in tallies) == 6
    assert await work.count("ledger_entries where kind = 'subject:erased'") == 6


async def test_a_run_sweeps_what_came_late(work, retention):
    """Events that HR sent again after the erasure go with the next run."""
    case = await ended(work, ago=LONG_DUE)
    await retention.once()
    await receive(work, "late", case_id=case.case_id)

    assert (await retention.once()).events == 1


async def test_retention_logs_counts_only(work, retention, capsys):
    """No id of a person, no name, no number of a case."""
    case = await ended(work, ago=LONG_DUE)
    await retention.once()
    logged = "".join(capsys.readouterr())

    assert "retention_done" in logged
    for secret in (str(case.subject_id), case.case_id, NAME, WORKER):
        assert secret not in logged


async def test_the_daily_loop_outlives_a_database_that_is_away(retention, monkeypatch):
    """A failed run is tried again within the hour, a good one after a day."""
    pauses: list[float] = []
    failures = [OperationalError("select", {}, Exception("gone")), RuntimeError("odd")]

    async def once() -> None:
        if failures:
            raise failures.pop(0)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(retention, "once", once)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))  # others sleep on
    with pytest.raises(asyncio.CancelledError):
        await retention.run()

    assert pauses == [3600, 86400, 86400]
