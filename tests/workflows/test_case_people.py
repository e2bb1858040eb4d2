"""What a case asks of people, what they may decide, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError

from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory, rule_for
from tests.workflows.conftest import Case, Clinic, plan
from tests.workflows.doubles import Always, Broken, Hang

PERMANENT = [category for category in FaultCategory if not rule_for(category).transient]


async def _asked(case: Case, system: str, *, times: int = 1) -> p.NeedsPersonInput:
    asked = await case.world.until_asked(p.NeedsPersonInput, system, times=times)
    await case.done(p.NeedsPersonInput, times=len(case.world.of(p.NeedsPersonInput)))
    return asked


@pytest.mark.real_server
async def test_every_permanent_fault_asks_a_person_and_a_retry_goes_on(clinic: Clinic) -> None:
    """A permanent fault is never retried by the machine; each retry is a new round."""
    case = await clinic.open(plan("okta"), steps={"okta": list(PERMANENT)})
    for round_, category in enumerate(PERMANENT, start=1):
        asked = await _asked(case, "okta", times=round_)
        assert (asked.category, asked.round, asked.overdue) == (category, round_, False)
        assert await case.status() == CaseStatus.NEEDS_PERSON
        assert (await case.decide("okta", DecisionKind.RETRY)).outcome == ""
    assert await case.result() == CaseStatus.CLOSED
    rounds = [row.round for row in case.world.of(p.RevokeInput)]
    assert rounds == list(range(1, len(PERMANENT) + 2)), "one attempt in each round"


@pytest.mark.real_server
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [(DecisionKind.ATTEST, Outcome.ATTESTED), (DecisionKind.WAIVE, Outcome.WAIVED)],
)
async def test_a_person_settles_a_system_by_word(
    clinic: Clinic, kind: DecisionKind, outcome: Outcome
) -> None:
    """An attestation or a waiver settles the system: no further attempt, no later look."""
    case = await clinic.open(
        plan("okta"), steps={"okta": [FaultCategory.PROTECTED_ACCOUNT]}, watch_s=(clinic.hour,)
    )
    await _asked(case, "okta")
    assert (await case.decide("okta", kind)).outcome == outcome
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 1
    assert not case.world.of(p.WatchInput), "no connector closed it, so none can look"
    assert case.world.of(p.DecisionInput)[0].round == 1


@pytest.mark.real_server
async def test_a_manual_system_waits_for_its_attestation(clinic: Clinic) -> None:
    """No activity runs for a manual system; the case closes when a person attests it."""
    case = await clinic.open(plan("okta"), plan("vpn", manual=True))
    asked = await _asked(case, "vpn")
    assert asked.category == FaultCategory.MANUAL
    await case.world.until_asked(p.RevokeInput, "okta")
    assert not case.world.of(p.CloseInput)
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert not case.world.of(p.RevokeInput, "vpn")


@pytest.mark.real_server
async def test_an_optional_system_does_not_hold_up_closing(clinic: Clinic) -> None:
    """The case closes over an optional system's fault, stays closed, and ends after it."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn", required=False),
        steps={"vpn": [FaultCategory.PERMISSION_MISSING, FaultCategory.MISCONFIGURED]},
    )
    await case.done(p.CloseInput)
    await _asked(case, "vpn")
    await case.decide("vpn", DecisionKind.RETRY)
    await _asked(case, "vpn", times=2)
    assert await case.status() == CaseStatus.CLOSED
    await case.decide("vpn", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    assert await case.status() == CaseStatus.CLOSED, "a late optional system opens nothing again"
    assert len(case.world.of(p.CloseInput)) == 1


@pytest.mark.needs_skipped_time("first attempts have a minute, whatever the warning time")
async def test_a_transient_fault_past_its_warning_time_tells_people_and_goes_on(
    clinic: Clinic,
) -> None:
    """Operations are told once, near the warning time; the machine retries on and settles."""
    case = await clinic.open(plan("okta"), steps={"okta": [Always(FaultCategory.UNREACHABLE)]})
    await case.sleep(minutes=15)
    assert not case.world.of(p.NeedsPersonInput), "half of the time to the warning is left"
    await case.sleep(minutes=17)
    asked = await _asked(case, "okta")
    assert (asked.category, asked.overdue) == (FaultCategory.UNREACHABLE, True)
    await case.sleep(hours=5)
    assert await case.status() == CaseStatus.NEEDS_PERSON
    before = len(case.world.of(p.RevokeInput))
    case.world.steps["okta"].clear()
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == before + 1
    assert len(case.world.of(p.NeedsPersonInput)) == 1
    assert {row.round for row in case.world.of(p.RevokeInput)} == {1, 2}


@pytest.mark.real_server
async def test_a_decision_ends_the_retrying(clinic: Clinic) -> None:
    """While Temporal waits to try again, a person may attest: nothing is tried any more."""
    case = await clinic.open(plan("okta"), steps={"okta": [Always(FaultCategory.VENDOR_ERROR)]})
    await case.backs_off("okta")
    await case.decide("okta", DecisionKind.ATTEST)
    tried = len(case.world.of(p.RevokeInput))
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == tried
    assert not case.world.of(p.NeedsPersonInput)


@pytest.mark.real_server
async def test_a_retry_by_a_person_cuts_the_waiting_short(clinic: Clinic) -> None:
    """A retry while the machine waits to try again starts a round at once."""
    case = await clinic.open(plan("okta"), steps={"okta": [Always(FaultCategory.VENDOR_ERROR)]})
    await case.backs_off("okta")
    case.world.steps["okta"].clear()
    tried = len(case.world.of(p.RevokeInput))
    await case.decide("okta", DecisionKind.RETRY)
    last = await case.world.until_asked(p.RevokeInput, times=tried + 1)
    assert last.round == 2
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_decision_stops_a_call_that_hangs(clinic: Clinic) -> None:
    """The running activity is cancelled, and awaited, before the decision takes effect."""
    case = await clinic.open(plan("okta"), steps={"okta": [Hang()]})
    await case.world.until_asked(p.RevokeInput)
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 1


@pytest.mark.real_server
async def test_a_failure_that_may_not_be_retried_does_not_spin(clinic: Clinic) -> None:
    """An unclassified final failure waits for a person, although `internal` is transient."""
    case = await clinic.open(plan("okta"), steps={"okta": [Broken()]})
    asked = await _asked(case, "okta")
    assert asked.category == FaultCategory.INTERNAL
    await case.sleep(minutes=5)
    assert len(case.world.of(p.RevokeInput)) == 1
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_what_cannot_be_decided_is_refused(clinic: Clinic) -> None:
    """Unknown system, retry of a manual one, waiver after the deadline of its own system."""
    due_s = clinic.hour
    case = await clinic.open(
        plan("badge", manual=True, due_s=due_s), plan("vpn", manual=True, due_s=20 * due_s)
    )
    await case.done(p.NeedsPersonInput, times=2)
    assert "no system" in await case.refusal("nonsense", DecisionKind.RETRY)
    assert "cannot be retried" in await case.refusal("badge", DecisionKind.RETRY)
    await case.sleep(hours=1, seconds=1)
    assert "before the deadline" in await case.refusal("badge", DecisionKind.WAIVE)
    assert (await case.decide("vpn", DecisionKind.WAIVE)).outcome == Outcome.WAIVED
    assert (await case.decide("badge", DecisionKind.ATTEST)).outcome == Outcome.ATTESTED
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.DecisionInput)) == 2, "a refusal leaves no trace"


@pytest.mark.real_server
async def test_a_settled_system_cannot_be_decided(clinic: Clinic) -> None:
    """What a read-back proved is not replaced by a person's word."""
    case = await clinic.open(plan("okta"), watch_s=(clinic.hour,))
    await case.done(p.CloseInput)
    for kind in DecisionKind:
        assert "already settled: revoked" in await case.refusal("okta", kind)
    assert await case.result() == CaseStatus.CLOSED
    assert not case.world.of(p.DecisionInput)


@pytest.mark.real_server
async def test_nothing_can_be_decided_before_the_cutoff(clinic: Clinic) -> None:
    """Nobody can waive or attest a system whose turn has not come."""
    case = await clinic.open(plan("vpn", manual=True), ahead=timedelta(days=1))
    assert "cutoff" in await case.refusal("vpn", DecisionKind.ATTEST)


@pytest.mark.real_server
async def test_a_second_decision_is_refused_while_the_first_is_written(clinic: Clinic) -> None:
    """Two people who click at the same moment decide once."""
    case = await clinic.open(plan("vpn", manual=True))
    await _asked(case, "vpn")
    gate = case.world.gates["record_decision"] = asyncio.Event()
    first = asyncio.create_task(case.decide("vpn", DecisionKind.ATTEST))
    await case.world.until_asked(p.DecisionInput)
    assert "another decision" in await case.refusal("vpn", DecisionKind.WAIVE)
    gate.set()
    assert (await first).outcome == Outcome.ATTESTED
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_a_repeated_click_decides_once(clinic: Clinic) -> None:
    """The decision's id is the update's id: the repetition gets the first answer."""
    case = await clinic.open(plan("okta"), plan("vpn", manual=True), watch_s=(clinic.hour,))
    await _asked(case, "vpn")
    answers = [await case.decide("vpn", DecisionKind.ATTEST, decision_id="d-1") for _ in range(3)]
    assert {answer.outcome for answer in answers} == {Outcome.ATTESTED}
    assert len(case.world.of(p.DecisionInput)) == 1


@pytest.mark.real_server
async def test_a_system_that_settles_while_a_decision_is_written_stays_as_it_settled(
    clinic: Clinic,
) -> None:
    """A proof that comes in meanwhile outranks the word: the system is watched later."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        steps={"okta": [FaultCategory.VENDOR_ERROR]},
        watch_s=(clinic.hour,),
    )
    await case.world.until_asked(p.RevokeInput, "okta")
    gate = case.world.gates["record_decision"] = asyncio.Event()
    decision = asyncio.create_task(case.decide("okta", DecisionKind.ATTEST))
    await case.world.until_asked(p.DecisionInput)
    await case.sleep(seconds=2)
    await case.world.until_asked(p.RevokeInput, "okta", times=2)
    await case.done(p.CloseInput)
    gate.set()
    await decision
    assert await case.result() == CaseStatus.CLOSED
    assert case.world.of(p.WatchInput, "okta")


@pytest.mark.real_server
async def test_a_failed_record_of_a_decision_leaves_the_system_open_to_another(
    clinic: Clinic,
) -> None:
    """When the decision cannot be written the person is told, and may decide again."""
    case = await clinic.open(plan("vpn", manual=True), unwritable={"d-1"})
    await _asked(case, "vpn")
    with pytest.raises(WorkflowUpdateFailedError):
        await case.decide("vpn", DecisionKind.ATTEST, decision_id="d-1")
    assert (await case.decide("vpn", DecisionKind.ATTEST)).outcome == Outcome.ATTESTED
    assert await case.result() == CaseStatus.CLOSED


@pytest.mark.real_server
async def test_what_waited_for_keys_is_tried_again_when_they_come(clinic: Clinic) -> None:
    """Without a decision of anybody; what waits for something else goes on waiting."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        steps={
            "okta": [FaultCategory.UNKNOWN_WORKER],
            "vpn": [FaultCategory.PERMISSION_MISSING],
        },
    )
    await case.done(p.NeedsPersonInput, "", times=2)
    case.world.again = ["okta"]
    await case.change()
    await case.world.until_asked(p.RevokeInput, "okta", times=2)
    assert [row.round for row in case.world.of(p.RevokeInput, "vpn")] == [1]
    await case.decide("vpn", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED
    assert [row.decision.system for row in case.world.of(p.DecisionInput)] == ["vpn"]


@pytest.mark.real_server
async def test_a_waking_ends_a_wait_for_a_person_and_a_long_back_off(clinic: Clinic) -> None:
    """It is told as nobody's decision, and the next round begins at once."""
    case = await clinic.open(
        plan("okta"),
        plan("vpn"),
        steps={
            "okta": [FaultCategory.CREDENTIALS_REJECTED],
            "vpn": [Always(FaultCategory.UNREACHABLE)],
        },
    )
    await _asked(case, "okta")
    await case.backs_off("vpn")
    case.world.steps.pop("vpn")
    for system in ("okta", "vpn"):
        assert (await case.decide(system, DecisionKind.RETRY, recovery="health_good")).outcome == ""
    assert await case.result() == CaseStatus.CLOSED
    told = [row.decision.recovery for row in case.world.of(p.DecisionInput)]
    assert told == ["health_good", "health_good"]
    assert [row.round for row in case.world.of(p.RevokeInput, "okta")] == [1, 2]
