"""Faults: the category decides on retry, the text is safe to store, the ledger keeps them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy.engine import make_url
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from activities.faults import next_try
from activities.record import RecordActivities
from connectors.base import ConnectorFault
from lockstep.contracts.payloads import BeginInput, Decision, DecisionInput, RevokeInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.systems.access import AccessKind, Unread
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.storage.engine.database import create_engine
from tests.activities.conftest import Bench, environment
from tests.support.casework import EMAIL, NAME, SYSTEM, WORKER, Casework


def as_stored(error: BaseException) -> str:
    """What Temporal keeps of a failure."""
    failure = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), failure)
    return str(failure)


@pytest.mark.parametrize("operation", ["locate", "look", "contain", "read_back", "strip"])
@pytest.mark.parametrize("category", list(FaultCategory))
async def test_the_category_alone_decides_on_retry(bench: Bench, category, operation):
    """Each category, at each call, arrives as its own type and is written down once."""
    bench.connector.fail(operation, category)
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke()
    transient = rule_for(category).transient
    row = await bench.work.row(bench.case.case_id)

    assert caught.value.type == category.value
    assert caught.value.non_retryable is not transient
    assert (row.state, row.fault) == ("retrying", category.value)
    assert (row.retry_at is not None) is transient
    assert (await bench.kinds()).count("revocation:fault") == 1
    assert await bench.outcomes() == []


async def limited(bench: Bench) -> ApplicationError:
    """Let the vendor refuse one attempt until a reset time."""
    bench.connector.faults["contain"] = [
        ConnectorFault(
            FaultCategory.RATE_LIMITED,
            connector="memory",
            operation="contain",
            code="429",
            retry_after=timedelta(seconds=777),
            request_id="req-9",
        )
    ]
    with pytest.raises(ApplicationError, match="req-9") as caught:
        await bench.revoke()
    return caught.value


async def test_the_vendors_reset_time_wins(bench: Bench):
    """A rate limit's own reset time is Temporal's next try, and is shown to people."""
    failure = await limited(bench)
    shown = (await bench.work.row(bench.case.case_id)).retry_at - datetime.now(UTC)

    assert failure.next_retry_delay == timedelta(seconds=777)
    assert timedelta(seconds=700) < shown <= timedelta(seconds=777)


async def test_a_new_round_keeps_the_vendors_waiting_time(bench: Bench):
    """A round that begins because a person was told does not call before the reset time."""
    await limited(bench)
    bench.connector.calls.clear()
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(1, round_=2)

    assert caught.value.type == "rate_limited"
    assert timedelta(seconds=700) < caught.value.next_retry_delay <= timedelta(seconds=777)
    assert bench.connector.calls == []


async def test_a_persons_retry_calls_at_once(bench: Bench):
    """Somebody who decides to retry does not wait for the vendor's reset time."""
    await limited(bench)
    retry = Decision("d1", DecisionKind.RETRY, SYSTEM, "ops", "the limit was raised")
    await bench.work.cases.decide(DecisionInput(bench.case.case_id, 1, retry))

    assert await bench.revoke(1, round_=2) == "revoked"


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10_000, 300)]
)
def test_the_next_try_that_people_see_is_temporals(attempt, seconds):
    """Without a reset time it doubles from a second to five minutes."""
    fault = ConnectorFault(FaultCategory.TIMEOUT, connector="memory", operation="x")

    assert next_try(fault, attempt) == timedelta(seconds=seconds)


async def test_after_transient_faults_the_work_is_finished(bench: Bench):
    """A fault at each step, an entry for each, then one outcome with everything in it."""
    steps = ("locate", "look", "contain", "read_back", "strip")
    for operation in steps:
        bench.connector.fail(operation, FaultCategory.UNREACHABLE)
    for attempt, _ in enumerate(steps, start=1):
        with pytest.raises(ApplicationError):
            await bench.revoke(attempt)

    assert await bench.revoke(6) == "revoked"
    assert (await bench.kinds()).count("revocation:fault") == len(steps)
    [outcome] = await bench.outcomes()
    assert len(outcome["removed"]) == 3


async def test_a_reply_lost_after_the_change_is_counted_once(bench: Bench):
    """The vendor applied the change, we never heard: the next look proves it."""
    bench.connector.losing = 1
    with pytest.raises(ApplicationError):
        await bench.revoke(1)

    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    assert len(outcome["removed"]) == 3
    assert outcome["accepted"] == [] or "sign_in" not in {
        row["kind"] for row in outcome["accepted"]
    }


async def test_what_was_done_before_a_fault_stays_done(bench: Bench):
    """The sign-in was shut, then a list failed: it stays shut at that instant, and is said so."""
    bench.connector.fail("strip", FaultCategory.PERMISSION_MISSING)
    with pytest.raises(ApplicationError):
        await bench.revoke(1)
    row = await bench.work.row(bench.case.case_id)
    shut_at = row.contained_at
    [fault] = await bench.datas("revocation:fault")

    assert shut_at is not None
    assert [done["kind"] for done in fault["accepted"]] == ["sign_in"]
    assert fault["contained_at"] == fault["accepted"][0]["at"]
    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    assert (outcome["contained_at"], outcome["accepted_at"]) == (fault["contained_at"],) * 2
    row = await bench.work.row(bench.case.case_id)
    assert (row.contained_at, row.accepted_at) == (shut_at, shut_at)
    assert row.revoked_at > shut_at


async def test_what_was_shut_before_a_list_hung_keeps_its_instant(bench: Bench):
    """The attempt is given up while a list hangs: the next one does not date the sign-in anew."""

    async def hang() -> None:
        raise asyncio.CancelledError

    bench.connector.hooks["read_back"] = hang
    with pytest.raises(asyncio.CancelledError):
        await bench.revoke(1)
    ended = datetime.now(UTC)
    bench.connector.hooks.clear()

    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    [shut] = [row for row in outcome["accepted"] if row["kind"] == "sign_in"]
    assert datetime.fromisoformat(shut["at"]) <= ended


async def test_an_account_that_the_search_knew_as_shut_is_contained_all_the_same(bench: Bench):
    """The search's index lagged: the full look finds the sign-in open, and it is shut."""
    bench.connector.stale = 1

    assert await bench.revoke() == "revoked"
    assert bench.connector.standing[WORKER] == set()


@pytest.mark.parametrize("category", [FaultCategory.PERMISSION_MISSING, FaultCategory.VENDOR_ERROR])
async def test_a_list_that_cannot_be_read_keeps_the_case_open_only(bench: Bench, category):
    """Sign-in is shut whatever else fails; the list keeps the system open with its own fault."""
    bench.connector.unreadable = category
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(1)
    row = await bench.work.row(bench.case.case_id)

    assert caught.value.type == category
    assert bench.connector.effects[0] == f"{WORKER}:sign_in"
    assert row.contained_at is not None
    assert row.outcome is None
    bench.connector.unreadable = None
    assert await bench.revoke(2) == "revoked"


SEARCH_DOWN = Unread(AccessKind.SIGN_IN, FaultCategory.VENDOR_ERROR, "memory.find", "503")


async def test_a_search_that_fails_keeps_no_known_account_open(bench: Bench):
    """The leaver's number found it: the sign-in is shut, and the search is tried until it tells."""
    bench.connector.unsearched = (SEARCH_DOWN,)
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(1)
    row = await bench.work.row(bench.case.case_id)
    [fault] = await bench.datas("revocation:fault")

    assert (caught.value.type, caught.value.non_retryable) == ("vendor_error", False)
    assert bench.connector.standing[WORKER] == set()
    assert (row.outcome, row.contained_at is not None) == (None, True)
    assert fault["unread"] == [{"kind": "search", "category": "vendor_error"}]
    bench.connector.unsearched = ()
    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    assert outcome["contained_at"] == fault["contained_at"]


async def test_an_address_waits_for_a_search_that_failed(bench: Bench):
    """Nobody is touched, no person is asked yet, and who was found can be picked meanwhile."""
    bench.connector.standing = {"acc-1": bench.connector.standing.pop(WORKER)}
    bench.connector.knows(EMAIL, "acc-1")
    bench.connector.unsearched = (SEARCH_DOWN,)
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(1)
    item = await bench.work.revocations.load(bench.case.case_id, SYSTEM, 1)

    assert (caught.value.type, caught.value.non_retryable) == ("vendor_error", False)
    assert bench.connector.effects == []
    assert [(one.account_id, one.why) for one in item.candidates] == [("acc-1", "not_all_searched")]
    bench.connector.unsearched = ()
    assert await bench.revoke(2) == "revoked"


async def test_what_the_case_knows_is_closed_while_nothing_can_be_searched(bench: Bench):
    """An earlier attempt has found the account; now every search fails, and it is open again."""
    bench.connector.fail("strip", FaultCategory.VENDOR_ERROR)
    with pytest.raises(ApplicationError):
        await bench.revoke(1)
    bench.connector.hire(WORKER)
    bench.connector.fail("locate", FaultCategory.VENDOR_ERROR)
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(2)

    assert caught.value.type == "vendor_error"
    assert bench.connector.standing[WORKER] == set()
    assert await bench.revoke(3) == "revoked"


async def nothing_to_hear(_: str) -> tuple[int, ...]:
    return ()


async def test_a_database_that_is_away_is_tried_again_and_says_nothing(bench: Bench, ring):
    """Temporal retries, and its history holds no SQL, no parameter and no address."""
    engine = create_engine("postgresql://lockstep_app:hunter2@127.0.0.1:1/nowhere")
    away = Casework(engine, ring)
    acts = AccessActivities(SYSTEM, bench.connector, away.revocations, away.cases)
    record = RecordActivities(away.cases, away.revocations, nothing_to_hear)
    runs = [
        (acts.revoke_access, RevokeInput(bench.case.case_id, SYSTEM, 1)),
        (record.begin_revoking, BeginInput(bench.case.case_id)),
    ]
    for run, given in runs:
        with pytest.raises(ApplicationError) as caught:
            await environment().run(run, given)
        stored = as_stored(caught.value)

        assert (caught.value.type, caught.value.non_retryable) == ("internal", False)
        for secret in ("hunter2", "SELECT", "127.0.0.1", "psycopg.errors", bench.case.case_id):
            assert secret not in stored
    assert bench.connector.calls == []
    await engine.dispose()


async def test_a_database_lost_midway_repeats_and_settles(bench: Bench, database):
    """The sessions end between the effect and OUTCOME: the next attempt settles it once."""

    def cut() -> None:
        url = make_url(database.superuser_url).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string()) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

    bench.connector.hooks["stripped"] = cut
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(1)
    del bench.connector.hooks["stripped"]

    assert caught.value.type == "internal"
    assert await bench.revoke(2) == "revoked"
    [outcome] = await bench.outcomes()
    assert len(outcome["removed"]) == 3


async def test_an_unexpected_error_is_named_by_type_only(bench: Bench):
    """A bug of ours may quote a row; its text does not reach Temporal."""

    def stumble() -> None:
        raise ValueError(f"cannot read {NAME} <{EMAIL}>")

    bench.connector.hooks["locate"] = stumble
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke()
    stored = as_stored(caught.value)

    assert (caught.value.type, caught.value.non_retryable) == ("internal", False)
    assert "ValueError" in stored
    for secret in (NAME, EMAIL, WORKER):
        assert secret not in stored


async def test_an_unknown_case_fails_as_ours(bench: Bench):
    """A case that is not in the database is a fault of ours, never a settled system."""
    acts = bench.activities()
    with pytest.raises(ApplicationError) as caught:
        await environment().run(acts.revoke_access, RevokeInput("cnone", SYSTEM, 1))

    assert caught.value.type == "internal"
