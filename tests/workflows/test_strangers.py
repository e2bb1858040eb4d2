"""Somebody who reaches Temporal's port without our keyring: what they write is never believed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError

from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.control.runtime.payloads import ENCODING
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.conftest import Case, Clinic, plan
from tests.workflows.doubles import Always, Hang, Silent

pytestmark = pytest.mark.real_server(alone=True)
LIE = p.Decision("lie", DecisionKind.ATTEST, "vpn", "a stranger", "believe me")


@pytest.fixture
async def stranger(clinic: Clinic) -> Client:
    """A client of the same server without a codec."""
    client = clinic.server.client
    return await Client.connect(client.service_client.config.target_host, lazy=False)


def _of(stranger: Client, case: Case) -> WorkflowHandle[Any, Any]:
    return stranger.get_workflow_handle(case.handle.id)


async def _attempts(handle: WorkflowHandle[Any, Any]) -> int:
    """How often the workflow task that is under way was tried."""
    return int((await handle.describe()).raw_description.pending_workflow_task.attempt)


async def _fails(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow task has failed twice: what was written is refused, not believed."""
    async with asyncio.timeout(30):
        while await _attempts(handle) < 2:  # noqa: ASYNC110 - a remote poll
            await asyncio.sleep(0.05)


async def test_a_plain_signal_is_dropped(clinic: Clinic, stranger: Client) -> None:
    """One argument, several, none: no signal wakes the case, and it goes on."""
    case = await clinic.open(plan("vpn", manual=True))
    await case.done(p.NeedsPersonInput)
    handle = _of(stranger, case)
    for signal in (names.TERMINATION_CHANGED, names.REHIRED, "nonsense"):
        await handle.signal(signal, {"event_id": "e9"})
    await case.decide("vpn", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


async def test_a_plain_decision_is_refused(clinic: Clinic, stranger: Client) -> None:
    """An update whose argument is not ours decides nothing, whatever its form."""
    case = await clinic.open(plan("vpn", manual=True))
    await case.done(p.NeedsPersonInput)
    handle = _of(stranger, case)
    for arguments in ([LIE], [LIE, LIE], []):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(names.DECIDE, args=arguments)
    assert not case.world.of(p.DecisionInput)
    assert (await case.decide("vpn", DecisionKind.ATTEST)).outcome == Outcome.ATTESTED
    assert await case.result() == CaseStatus.CLOSED


async def test_a_plain_result_is_not_an_outcome(clinic: Clinic, stranger: Client) -> None:
    """An outcome, said by whoever completes our activity without our keyring, settles nothing."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput)
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id="okta.1"
    )
    await activity.complete(p.RevokeResult(Outcome.REVOKED.value))
    await _fails(case.handle)
    assert not case.world.of(p.CloseInput)


async def _result_of(stranger: Client, case: Case, activity_type: str) -> RawValue:
    """What an activity of the case answered, as it stands in Temporal's history: encrypted."""
    scheduled = -1
    async for event in _of(stranger, case).fetch_history_events():
        asked = event.activity_task_scheduled_event_attributes
        if asked.activity_type.name == activity_type:
            scheduled = event.event_id
        done = event.activity_task_completed_event_attributes
        if done.result.payloads and done.scheduled_event_id == scheduled:
            return RawValue(done.result.payloads[0])
    raise AssertionError(f"no {activity_type} was answered")


@pytest.mark.parametrize("is_same_case", [True, False], ids=["same-case", "other-case"])
async def test_an_outcome_of_elsewhere_is_not_believed(
    clinic: Clinic, stranger: Client, *, is_same_case: bool
) -> None:
    """Our own "revoked", of another leaver's case or of another system, settles nothing here."""
    case = await clinic.open(plan("okta"), plan("vpn"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput, "okta")
    await case.done(p.RevokeInput, "vpn")
    told = case
    if not is_same_case:
        told = await clinic.open(plan("okta"))
        await told.result()
    taken = await _result_of(stranger, told, "revoke_access")
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id="okta.1"
    )
    await activity.complete(taken)
    await _fails(case.handle)
    assert not case.world.of(p.CloseInput)


async def test_no_result_is_no_outcome(clinic: Clinic, stranger: Client) -> None:
    """Completed without a word: a person is asked, and their retry goes on."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput)
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id="okta.1"
    )
    await activity.complete()
    asked = await case.done(p.NeedsPersonInput)
    assert asked.category == FaultCategory.INTERNAL
    await case.decide("okta", DecisionKind.RETRY)
    assert await case.result() == CaseStatus.CLOSED


async def test_a_plain_failure_is_a_fault_and_its_text_is_not_read(
    clinic: Clinic, stranger: Client
) -> None:
    """Somebody can make an attempt fail; it is tried again, with nothing of theirs taken over."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput)
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id="okta.1"
    )
    await activity.heartbeat({"outcome": "revoked"})
    await activity.fail(ApplicationError("all is well", {"outcome": "revoked"}))
    assert await case.result() == CaseStatus.CLOSED
    assert len(case.world.of(p.RevokeInput)) == 2


async def test_plain_details_of_a_cancellation_say_nothing(
    clinic: Clinic, stranger: Client
) -> None:
    """What the server writes there a stranger can write too; the decision is carried out."""
    case = await clinic.open(plan("okta"), steps={"okta": [Silent()]})
    await case.world.until_asked(p.RevokeInput)
    await case.decide("okta", DecisionKind.ATTEST)
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id="okta.1"
    )
    with contextlib.suppress(RPCError):  # it has ended meanwhile
        await activity.report_cancellation({"outcome": "revoked"})
    assert await case.result() == CaseStatus.CLOSED


async def test_a_plain_record_of_a_decision_is_not_recorded(
    clinic: Clinic, stranger: Client
) -> None:
    """Whoever answers for our database without a word of ours lets nobody read "recorded"."""
    case = await clinic.open(plan("vpn", manual=True))
    await case.done(p.NeedsPersonInput)
    case.world.gates["record_decision"] = asyncio.Event()
    decision = asyncio.create_task(case.decide("vpn", DecisionKind.ATTEST))
    await case.world.until_asked(p.DecisionInput)
    activities = (await case.handle.describe()).raw_description.pending_activities
    activity = stranger.get_async_activity_handle(
        workflow_id=case.handle.id, run_id=None, activity_id=activities[0].activity_id
    )
    await activity.complete()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await decision
    assert "no answer of ours" in str(refused.value.cause)
    case.world.gates.pop("record_decision").set()
    assert (await case.decide("vpn", DecisionKind.ATTEST)).outcome == Outcome.ATTESTED


async def test_a_case_that_a_stranger_starts_does_nothing(clinic: Clinic, stranger: Client) -> None:
    """A workflow with a plain input asks no activity, and its task fails for all to see."""
    given = p.CaseInput("c-lie", await clinic.now(), True, [plan("okta")])
    handle = await stranger.start_workflow(
        names.CASE_WORKFLOW, given, id="c-lie", task_queue=clinic.queue, memo={"note": "plain"}
    )
    await _fails(handle)
    assert (await handle.describe()).raw_description.pending_activities == []
    await handle.terminate("enough", {"detail": "plain"})


async def test_a_query_from_temporals_own_page_is_answered(
    clinic: Clinic, stranger: Client
) -> None:
    """Its stack trace is asked for with a plain payload, and comes encrypted."""
    case = await clinic.open(plan("okta"), steps={"okta": [Hang()]})
    await case.world.until_asked(p.RevokeInput)
    answer = await _of(stranger, case).query("__stack_trace", "plain", result_type=RawValue)
    assert answer.payload.metadata["encoding"] == ENCODING
    assert b"case.py" not in answer.payload.data
    await case.decide("okta", DecisionKind.ATTEST)
    assert await case.result() == CaseStatus.CLOSED


async def test_a_stranger_who_asks_for_the_end_is_told_nothing(
    clinic: Clinic, stranger: Client
) -> None:
    """Cancelling is in a stranger's power, as terminating is: the case ends, never as closed."""
    case = await clinic.open(plan("okta"), steps={"okta": [Always(FaultCategory.UNREACHABLE)]})
    await case.backs_off("okta")
    await _of(stranger, case).cancel()
    with pytest.raises(WorkflowFailureError) as ended:
        await case.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert not case.world.of(p.CloseInput)
