"""What workers saw of cases that cannot go on, kept for all pages and commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.notices import NoticeKind
from lockstep.domain.rights import Scope
from lockstep.domain.stalled import TaskFault, fault_of
from lockstep.storage.board.live import LedgerTail
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.runtime.stalled import FRESH, StalledCases
from tests.support.casework import Casework, termination

NOW = datetime.now(UTC).replace(microsecond=0)
SECOND = timedelta(seconds=1)


def test_the_kind_is_read_from_what_temporal_tells() -> None:
    """Each of the server's words, and those that a later server may have."""
    told = {
        "cause=WorkflowTaskFailedCauseNonDeterministicError": TaskFault.ORDER,
        "cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure": TaskFault.WORKER,
        "cause=WorkflowTaskFailedCauseBadScheduleActivityAttributes": TaskFault.OTHER,
    }
    for cause, fault in told.items():
        assert fault_of(["category=WorkflowTaskFailed", cause]) is fault
    assert fault_of(["category=WorkflowTaskTimedOut", "x"]) is TaskFault.TIMEOUT
    assert fault_of([]) is TaskFault.OTHER
    assert all(fault.reason and fault.suggestion for fault in TaskFault)


async def test_since_stays_and_what_goes_on_again_is_struck_off(work: Casework) -> None:
    """A case is stalled since it was first seen so, and is no more when a look finds it not."""
    case_id = (await work.open()).case_id
    kept = StalledCases(work.engine)
    for n in range(3):
        await kept.looked({case_id: TaskFault.WORKER}, at=NOW + n * SECOND, total=1)
    [row] = (await kept.read()).cases
    assert (row.case_id, row.since, row.fault) == (case_id, NOW, TaskFault.WORKER)
    await kept.looked({}, at=NOW + 5 * SECOND, total=0)
    assert (await kept.read()).cases == ()


async def test_a_look_that_saw_not_all_strikes_nothing_off(work: Casework) -> None:
    """More than are listed, or a server that cannot say: what stood may still be so."""
    case_id = (await work.open()).case_id
    kept = StalledCases(work.engine)
    await kept.looked({case_id: TaskFault.ORDER}, at=NOW, total=1)
    await kept.looked({"c-other": TaskFault.ORDER}, at=NOW + SECOND, total=5000)
    await kept.looked({}, at=NOW + 2 * SECOND, total=0, problem="too old")
    assert [row.case_id for row in (await kept.read()).cases] == [case_id]
    assert await kept.total() is None


async def test_an_older_look_changes_nothing(work: Casework) -> None:
    """Of two workers the one that looked last is right, whoever writes last."""
    case_id = (await work.open()).case_id
    kept = StalledCases(work.engine)
    await kept.looked({case_id: TaskFault.ORDER}, at=NOW, total=1)
    await kept.looked({}, at=NOW - SECOND, total=0)
    assert len((await kept.read()).cases) == 1


async def test_an_old_look_is_no_knowledge(work: Casework) -> None:
    """Never looked, looked too long ago, or a server that cannot say: not known."""
    kept = StalledCases(work.engine)
    assert not (await kept.read()).is_known
    now, age = await kept.clock()
    assert age is None
    await kept.looked({}, at=now - FRESH - SECOND, total=0)
    assert not (await kept.read()).is_known
    await kept.looked({}, at=now, total=0)
    assert (await kept.read()).is_known
    await kept.looked({}, at=now + SECOND, total=0, problem="too old")
    assert not (await kept.read()).is_known


async def test_only_what_may_be_known_of_is_read(work: Casework) -> None:
    """Another partner's, and a coming dismissal, are absent for whoever may not know of them."""
    said = termination("W-2", partner="contoso", kind=TerminationKind.INVOLUNTARY)
    coming = (await work.open(said, due=timedelta(days=1))).case_id
    plain = (await work.open(termination("W-1"))).case_id
    kept = StalledCases(work.engine)
    found = {coming: TaskFault.WORKER, plain: TaskFault.WORKER, "c-nobodys": TaskFault.WORKER}
    await kept.looked(found, at=NOW, total=3)
    assert {row.case_id for row in (await kept.read()).cases} == {coming, plain}
    assert [row.case_id for row in (await kept.read(Scope(None))).cases] == [plain]
    assert (await kept.read(Scope(frozenset({"fabrikam"})))).cases == ()


async def test_operations_are_told_of_each_and_not_which_is_secret(work: Casework) -> None:
    """One fact per case; of coming dismissals that there are some, so that none fails unseen."""
    said = termination("W-2", kind=TerminationKind.INVOLUNTARY)
    coming = (await work.open(said, due=timedelta(days=1))).case_id
    plain = (await work.open(termination("W-1"))).case_id
    kept = StalledCases(work.engine)
    await kept.looked({coming: TaskFault.WORKER, plain: TaskFault.ORDER}, at=NOW, total=2)
    facts = await Notices(work.engine).about_cases(NOW)
    told = [fact for fact in facts if fact.kind is NoticeKind.STALLED]
    assert {fact.case_id for fact in told} == {plain, ""}
    assert coming not in str(told)
    await kept.looked({}, at=NOW + SECOND, total=0)
    facts = await Notices(work.engine).about_cases(NOW)
    assert not [fact for fact in facts if fact.kind is NoticeKind.STALLED]


async def test_open_pages_learn_of_it(work: Casework) -> None:
    """No entry of the ledger tells that a case cannot go on, or can again; the tail does."""
    case_id = (await work.open()).case_id
    kept = StalledCases(work.engine)
    tail = LedgerTail(work.engine)
    await tail.look()
    await kept.looked({case_id: TaskFault.WORKER}, at=NOW, total=1)
    assert (await tail.look()).case_ids == {case_id}
    assert not await tail.look()
    await kept.looked({}, at=NOW + SECOND, total=0)
    assert (await tail.look()).case_ids == {case_id}
