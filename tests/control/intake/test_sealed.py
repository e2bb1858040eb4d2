"""A coming dismissal is a secret until its cutoff: every place where it could show, tried."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from temporalio.common import Priority

from lockstep.contracts import names
from lockstep.control.intake.brake import Approver
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.notices import NoticeKind
from lockstep.domain.rights import Scope
from lockstep.evidence.verify.report import Verdict
from lockstep.storage.board.live import LedgerTail
from lockstep.storage.cases.rows import Opening
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.score.scores import Scores
from tests.control.intake.test_brake import Hall
from tests.support.casework import Casework, termination
from tests.support.exporting import Reader, verified

DISMISSED = TerminationKind.INVOLUNTARY
SOON = timedelta(days=1)


@pytest.fixture
async def hall(engine, ring) -> Hall:
    work = Casework(engine, ring)
    await work.adopt()
    return Hall(work, BrakeRule(per_hour=3, dismissals_per_hour=2))


async def test_no_log_tells_of_it(hall):
    """Neither its opening nor a repetition; an ordinary coming case is logged."""
    with capture_logs() as logs:
        await hall.send("W-1", kind="involuntary")
        await hall.send("W-2")
        await hall.dispatch()
        await hall.send("W-1", kind="involuntary", revision=2, action="amended")
        await hall.dispatch()
        for number in range(5):
            await hall.send(f"W-more-{number}", kind="involuntary")
        await hall.dispatch()
    [voluntary] = await hall.ask("select case_id from cases where kind = 'voluntary'")

    assert [(row["event"], row.get("case_id")) for row in logs] == [("case_opened", voluntary[0])]


async def test_temporal_cannot_tell_it_from_another(engine, ring, client):
    """No search attribute, one priority for all, and payloads of one length."""
    work = Casework(engine, ring)
    await work.adopt()
    starter = CaseStarter(client, work.cases, at_home=["okta"])
    seen = []
    moment = datetime.now(UTC).replace(microsecond=123_000)  # a whole second has a shorter text
    for kind in TerminationKind:
        said = termination(f"W-{kind.value}", kind=kind)
        [case] = await work.cases.open([Opening(said, moment, moment + SOON)], work.policy)
        await starter.start(case)
        handle = client.get_workflow_handle(case.case_id)
        described = await handle.describe()
        history = await handle.fetch_history()
        begun = history.events[0].workflow_execution_started_event_attributes
        seen.append(
            (
                dict(described.search_attributes),
                described.raw_description.workflow_execution_info.priority.priority_key,
                dict(begun.memo.fields),
                [len(payload.data) for payload in begun.input.payloads],
                begun.task_queue.name,
            )
        )
        await handle.terminate()

    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == {}
    assert seen[0][1] == Priority(priority_key=3).priority_key
    assert seen[0][4] == names.CASE_QUEUE


async def test_the_count_of_coming_cases_leaves_it_out(packing):
    """In the score, its readings, what is pushed, and what Prometheus reads."""
    await packing.opened("W-1", due=SOON)
    await packing.opened("W-2", due=SOON, kind=DISMISSED)
    await packing.seal()
    async with Scores(packing.engine).reading() as reading:
        now = packing.order().start.replace(year=2000)
        assert await reading.scheduled(after=now) == 1


async def test_a_pack_for_others_withholds_what_is_coming(packing):
    """Every coming case, so that nobody can tell of what kind a hidden entry is."""
    done = await packing.revoked("W-1")
    coming = await packing.opened("W-2", due=SOON)
    secret = await packing.opened("W-3", due=SOON, kind=DISMISSED)
    called_off = await packing.opened("W-4", due=SOON, kind=DISMISSED)
    await packing.seal()
    pack = await packing.export(coming=False)
    everything = b"".join(Reader(pack.path).files.values())

    report = verified(pack, packing)
    said = [step for step in report.steps if "entries are withheld" in " ".join(step.details)]
    assert [step.verdict for step in said] == [Verdict.WARN]
    assert done.case_id.encode() in everything
    for case in (coming, secret, called_off):
        assert case.case_id.encode() not in everything
        assert str(case.subject_id).encode() not in everything


async def test_a_pack_for_others_is_the_same_but_for_hashes(packing):
    """With or without dismissals that come, are called off or wait at the brake: every word of it.

    What differs is the tree: how many of its leaves are withheld, and what that leaves open.
    """
    await packing.revoked("W-1")
    await packing.seal()
    without = words_of(await packing.export(coming=False))
    await packing.opened("W-2", due=SOON, kind=DISMISSED, partner="fabrikam")
    hall = Hall(packing.work, BrakeRule(per_hour=3, dismissals_per_hour=2))
    for number in range(5):
        await hall.send(f"W-{number}-x", kind="involuntary")
    await hall.dispatch()
    await packing.seal()
    with_them = words_of(await packing.export(coming=False))

    assert with_them == without


TREE = {"leaves", "entries_disclosed"}


def words_of(pack) -> dict[str, str]:
    """The files that people read, and the statement's counts, without numbers of the tree."""
    reader = Reader(pack.path)
    counts = reader.json("statement.dsse.json")
    body = json.loads(base64.b64decode(counts["payload"]))["predicate"]["counts"]
    told = {name: value for name, value in body.items() if name not in TREE}
    kept = {"population/leavers.csv", "population/systems.csv", "policy.json"}
    files = {name: reader.files[name].decode() for name in reader.names if name in kept}
    masked = {name: re.sub(r"20\d\d-[0-9T:.\-]+Z", "INSTANT", text) for name, text in files.items()}
    return {**masked, "counts": json.dumps(told), "names": json.dumps(sorted(reader.names))}


async def test_the_pack_of_who_may_know_shows_all(packing):
    """And it says nothing of anything withheld."""
    secret = await packing.opened("W-3", due=SOON, kind=DISMISSED)
    await packing.revoked("W-1")
    await packing.seal()
    pack = await packing.export()

    verified(pack, packing)
    assert secret.case_id.encode() in b"".join(Reader(pack.path).files.values())


async def test_a_partners_pack_withholds_it_too(packing):
    """The partner's other cases are shown."""
    done = await packing.revoked("W-1", partner="contoso")
    secret = await packing.opened("W-2", partner="contoso", due=SOON, kind=DISMISSED)
    await packing.seal()
    pack = await packing.export(partner="contoso", coming=False)
    everything = b"".join(Reader(pack.path).files.values())

    verified(pack, packing)
    assert done.case_id.encode() in everything
    assert secret.case_id.encode() not in everything


async def test_an_ordinary_case_that_is_coming_may_be_asked_for(packing):
    """Whoever may see it gets its pack."""
    coming = await packing.opened("W-2", due=SOON)
    await packing.revoked("W-1")
    await packing.seal()
    pack = await packing.export(case_id=coming.case_id, coming=False)

    verified(pack, packing)
    assert coming.case_id.encode() in b"".join(Reader(pack.path).files.values())


async def test_a_brake_of_dismissals_makes_no_notice_and_no_sign(hall):
    """Not to people's mail, not to an open page; once a cutoff has come, it does."""
    tail = LedgerTail(hall.work.engine)
    await tail.look()
    for number in range(5):
        await hall.send(f"W-{number}", kind="involuntary")
    await hall.dispatch()

    assert len(await hall.entries("brake:set")) == 1
    assert not (await tail.look()).systems
    assert await brake_facts(hall) == 0
    async with hall.work.engine.begin() as connection:
        await connection.execute(text("update held_events set cutoff_at = now()"))
    assert await brake_facts(hall) == 1


async def brake_facts(hall: Hall) -> int:
    found = await Notices(hall.work.engine).about_cases(datetime.now(UTC))
    return sum(fact.kind is NoticeKind.BRAKE for fact in found)


async def test_an_ordinary_brake_is_told(hall):
    """The guard above lets what is no secret through."""
    tail = LedgerTail(hall.work.engine)
    await tail.look()
    await hall.mass(5)
    await hall.dispatch()

    assert (await tail.look()).systems
    assert await brake_facts(hall) == 1
    assert len(await hall.desk.standing(Approver("u", "U", Scope(None)))) == 1
