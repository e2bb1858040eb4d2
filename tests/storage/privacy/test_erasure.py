"""Erasing a person: nothing stored names them any more, and the ledger stands as it stood."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.cases.terminations import TerminationAction
from lockstep.evidence.ledger.history import History, facts_document
from lockstep.storage.board.views import CaseViews
from lockstep.storage.intake.refused_events import AT_THE_BRAKE
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.keys.subjects import SubjectErasedError
from lockstep.storage.privacy.erasure import Erasure
from lockstep.storage.systems.revocations import UnknownRevocationError
from tests.storage.cases.test_endings import finding
from tests.support.casework import (
    EMAIL,
    NAME,
    SYSTEM,
    WORKER,
    revised,
    termination,
)
from tests.support.endings import (
    ACTOR,
    ASKED,
    LONG_AGO,
    REASON,
    bodies,
    body_of,
    ended,
    erase,
    person_of,
    receive,
    settle,
    spells,
)


async def folded(work) -> History:
    """The history that the whole ledger tells."""
    history = History()
    async with work.engine.connect() as connection:
        bodies = await connection.scalars(text("select body from ledger_entries order by id"))
        for leaf, body in enumerate(bodies):
            history.add(leaf, json.loads(body))
    return history


async def test_the_key_is_gone_and_with_it_everything_it_kept(work):
    """Key and ciphertexts are null; what cannot be overwritten has lost the key that opens it."""
    case = await ended(work)
    done = await erase(work, case)
    wrapped, private, erased_at = await person_of(work, case)

    assert [spell.case_id for spell in done.spells] == [case.case_id]
    assert (wrapped, private) == (None, None)
    assert datetime.now(UTC) - erased_at < timedelta(minutes=1)
    assert await work.count("revocations where private is not null") == 0
    assert await work.count("decisions") == 2


async def test_the_body_that_hr_sent_is_gone(work):
    """The inbox is under the keyring's key, not the person's: its bodies are overwritten."""
    case = await ended(work)
    other = await ended(work, "W-2")
    done = await erase(work, case)

    assert done.events == 1
    left = await bodies(work)
    assert left.pop(f"evt-{case.case_id}") == 0
    assert left[f"evt-{other.case_id}"] > 0


async def test_the_ledger_stands_and_says_so(work):
    """No earlier entry changes by a byte; one is added, with a number and without a name."""
    case = await ended(work)
    before = await work.ledger.entries(case.case_id)
    await erase(work, case)
    after = await work.ledger.entries(case.case_id)
    told = json.loads(after[-1])

    assert after[:-1] == before
    assert (told["kind"], told["subject"]) == ("subject:erased", str(case.subject_id))
    assert told["data"] == {"ground": "request", "reference": "DSR-7"}
    for secret in (NAME, EMAIL, WORKER, ACTOR, REASON):
        assert secret.encode() not in after[-1]


async def test_every_fact_and_so_the_score_stays_as_it_was(work):
    """What is folded from the ledger differs in one thing: who was erased."""
    case = await ended(work)
    before = await folded(work)
    await erase(work, case)
    after = await folded(work)

    assert (before.erased, after.erased) == (set(), {str(case.subject_id)})
    facts = [facts_document(history.cases[case.case_id]) for history in (before, after)]
    assert facts[0] == facts[1]
    assert after.unknown == 0


async def test_who_erased_can_be_checked_by_whoever_has_the_keyring(work):
    """The leaver's salt is gone, so the actor's commitment hangs on the index key and the entry."""
    first, second = await ended(work), await ended(work, "W-2")
    await erase(work, first, second)
    refs = [(await work.entries(case.case_id))[-1]["actor"]["ref"] for case in (first, second)]
    key = f"{first.case_id}:subject:erased"

    assert refs[0] == work.ring.blind_index("person", key, ACTOR).hex()[:32]
    assert refs[0] != refs[1]


async def test_erasing_twice_is_one_erasure(work):
    """The second time says "before", writes no entry and moves no date."""
    case = await ended(work)
    await erase(work, case)
    once = (await person_of(work, case), await work.kinds(case.case_id))
    done = await erase(work, case)

    assert (done.spells, [spell.case_id for spell in done.already]) == ((), [case.case_id])
    assert (await person_of(work, case), await work.kinds(case.case_id)) == once


async def test_a_person_is_erased_without_the_key_that_would_show_them(work):
    """A keyring that lost a key cannot read the person, and must not keep them either."""
    case = await ended(work)
    await receive(work, "refused-1", refused="body: not ours")
    stranger = Keyring("k2", {"k2": b"2" * 32}, work.ring.index)
    done = await Erasure(work.engine, stranger, work.inbox).erase(await spells(work, case), ASKED)

    assert len(done.spells) == 1
    assert (await person_of(work, case))[0] is None


async def test_lists_and_searches_show_erased_and_go_on(work, ring):
    """The case is found by id, by list and by worker id; where a name stood stands "(erased)"."""
    case, other = await ended(work), await ended(work, "W-2")
    await erase(work, case)
    views = CaseViews(work.engine, ring)
    shown = await views.show(case.case_id)
    listed = {view.case.case_id: view.leaver for view in await views.list_cases()}
    [found] = await views.list_cases(worker=("acme", WORKER))

    assert (shown.leaver, shown.worker_id) == ("(erased)", "")
    assert listed == {case.case_id: "(erased)", other.case_id: NAME}
    assert found.case.case_id == case.case_id
    assert await views.subject(shown.case) is None
    assert await views.stuck() == []


async def test_a_second_delivery_of_hrs_event_still_opens_nothing(work):
    """The keyed digests stay: an event that comes again meets its case."""
    case = await ended(work)
    await erase(work, case)
    said = termination()
    index = work.cases.spell_index(said)
    known = await work.cases.of_spells([index])

    assert [row.case_id for row in known[index]] == [case.case_id]
    assert (
        await work.inbox.store(
            tenant="acme",
            source="hr",
            dedupe_key=f"evt-{case.case_id}",
            received_at=datetime.now(UTC),
            body=body_of(),
            priority=4,
        )
        is False
    )


# --- what comes after ----------------------------------------------------------------------------


async def test_a_later_word_of_hr_brings_nothing_personal_back(work):
    """An amendment of an erased person's case is told in the ledger, without name and keys."""
    case = await ended(work)
    await erase(work, case)
    stored = (await work.cases.of_spells([work.cases.spell_index(termination())])).popitem()[1][0]
    amended = await work.cases.amend(stored, revised(termination(), 2), stored.cutoff_at)
    told = (await work.entries(case.case_id))[-1]

    assert (amended.revision, told["kind"]) == (2, "case:amended")
    assert "identity" not in told["data"]
    assert (await person_of(work, case))[:2] == (None, None)


async def test_a_later_rescission_is_recorded(work):
    """It is refused like any that comes after the cutoff."""
    case = await ended(work)
    await erase(work, case)
    stored = (await work.cases.of_spells([work.cases.spell_index(termination())])).popitem()[1][0]
    said = revised(termination(), 2, action=TerminationAction.RESCINDED)

    assert await work.cases.rescind(stored, said) == "closed"
    assert (await work.kinds(case.case_id))[-1] == "case:rescind_refused"


async def test_an_event_that_comes_late_is_swept(work, erasure):
    """HR says it again after the erasure: the body goes with the next run of retention."""
    case = await ended(work)
    await erase(work, case)
    await receive(work, "late", case_id=case.case_id)
    other = await ended(work, "W-2")
    await receive(work, "waiting")

    assert await erasure.sweep(datetime.now(UTC) - LONG_AGO) == 1
    left = await bodies(work)
    assert left["late"] == 0
    assert min(left["waiting"], left[f"evt-{other.case_id}"]) > 0


async def test_looks_and_decisions_about_an_erased_person_end(work):
    """No finding reopens the case, no decision is written, no revocation is loaded."""
    case = await ended(work)
    await erase(work, case)

    with pytest.raises(SubjectErasedError):
        await work.cases.raise_finding(
            case.case_id, SYSTEM, look=1, opening=1, entry=finding(case.case_id)
        )
    with pytest.raises(SubjectErasedError):
        await settle(work, case.case_id, SYSTEM)
    with pytest.raises((UnknownRevocationError, SubjectErasedError)):
        await work.revocations.load(case.case_id, SYSTEM, 1)
    assert (await work.case(case.case_id))["status"] == "closed"
    assert await work.count("findings") == 0


# --- events that became no case ------------------------------------------------------------------


async def test_a_refused_event_about_the_person_goes_too(work):
    """It belongs to no case: it is found by worker id or e-mail, however it was written."""
    case = await ended(work)
    wrapped = json.dumps({"event": json.loads(body_of(email="x@example.com")), "actor": "o"})
    for key, body in {
        "by-id": body_of(email="other@example.com"),
        "by-mail": body_of("W-other", f" {EMAIL.upper()}"),
        "by-hand": wrapped.encode(),
        "by-form": body_of("W-other", f"Maria <mailto:{EMAIL.upper()}>"),
        "by-unseen": body_of("\u200b" + WORKER, "other@example.com"),
        "stranger": body_of("W-2", "other@example.com"),
        "nonsense": b"[" * 50_000,
        "no-worker": json.dumps({"spell": WORKER, "worker": [WORKER]}).encode(),
        "odd-worker": json.dumps({"worker": {"id": 7, "emails": {"a": EMAIL}}}).encode(),
    }.items():
        await receive(work, key, body=body, refused="revision: missing")
    done = await erase(work, case)
    left = await bodies(work)

    assert done.events == 6
    assert {key for key, size in left.items() if size == 0} == {
        *("by-id", "by-mail", "by-hand", "by-form", "by-unseen", f"evt-{case.case_id}")
    }


async def test_why_an_event_was_refused_goes_with_the_person(work, erasure):
    """An approver may have named them; that it was refused at the brake stays known."""
    case = await ended(work)
    at_brake = f"{AT_THE_BRAKE}{NAME} called me"
    await receive(work, "brake", body=body_of(), refused=at_brake)
    await receive(work, "plain", body=body_of(), refused=f"{NAME} is nobody")
    await receive(work, "in-part", case_id=case.case_id)
    await receive(work, "old", body=b"[", refused=f"{NAME}: not JSON")
    async with work.engine.begin() as connection:
        for change in (
            f"error = '{NAME}: accounts of unknown systems' where dedupe_key = 'in-part'",
            "received_at = now() - interval '800 d' where dedupe_key = 'old'",
        ):
            await connection.execute(text(f"update inbox set {change}"))
    await erase(work, case)
    await erasure.sweep(datetime.now(UTC) - timedelta(days=730))
    async with work.engine.connect() as connection:
        rows = await connection.execute(text("select dedupe_key, error from inbox"))
        found = {key: error for key, error in rows if not key.startswith("evt-")}

    assert found == {
        "brake": f"{AT_THE_BRAKE}erased",
        "plain": "erased",
        "in-part": None,
        "old": "erased",
    }


async def test_refused_events_are_swept_when_they_are_old(work, erasure):
    """What nobody could read as an event is kept no longer than a name."""
    await receive(work, "old", body=b"[", refused="body: not JSON")
    await receive(work, "young", body=b"[", refused="body: not JSON")
    async with work.engine.begin() as connection:
        await connection.execute(
            text("update inbox set received_at = now() - interval '800 d' where dedupe_key = 'old'")
        )

    assert await erasure.sweep(datetime.now(UTC) - timedelta(days=730)) == 1
    left = await bodies(work)
    assert (left["old"], left["young"] > 0) == (0, True)


async def test_many_leftovers_are_swept_in_batches(work, erasure, monkeypatch):
    """A run ends when nothing is left, whatever the batch."""
    monkeypatch.setattr("lockstep.storage.privacy.erasure._SWEEP", 2)
    for number in range(5):
        await receive(work, f"r{number}", body=b"[", refused="body: not JSON")

    assert await erasure.sweep(datetime.now(UTC) + timedelta(days=1)) == 5
    assert await erasure.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
