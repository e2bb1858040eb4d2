"""A paused system is left alone, visibly, and taken up again within seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from activities.condition import Condition
from activities.home import HomeActivities
from lockstep.contracts.payloads import HomeInput, HomeTry, RehearseInput
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.storage.systems.pauses import NewPause, Pause, Pauses
from tests.activities.conftest import Bench, environment
from tests.support.casework import OTHER, SYSTEM, TENANT


@pytest.fixture
async def pauses(bench: Bench) -> Pauses:
    return Pauses(bench.work.engine, bench.work.ring, TENANT)


async def place(
    pauses: Pauses,
    system: str = SYSTEM,
    *,
    partners: frozenset[str] | None = None,
    spares: frozenset[str] = frozenset(),
) -> Pause:
    until = datetime.now(UTC) + timedelta(hours=1)
    return await pauses.place(
        NewPause(system, until, "u1", "Kim", "vendor upgrade", partners, spares)
    )


async def refusal(bench: Bench, attempt: int = 1, **given) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(attempt, **given)
    return caught.value


async def test_a_paused_system_is_not_touched(bench, pauses):
    """Nothing is asked of the vendor; the failure is transient and comes again within 15 s."""
    await place(pauses)
    error = await refusal(bench)

    assert bench.connector.calls == []
    assert (error.type, error.non_retryable) == ("paused", False)
    assert error.next_retry_delay <= timedelta(seconds=15)
    row = await bench.work.row(bench.case.case_id)
    assert row.state == RevocationState.RETRYING


async def test_waiting_is_on_record_once(bench, pauses):
    """However often the end of the pause is looked for, the ledger does not grow."""
    await place(pauses)
    for attempt in (1, 2, 3):
        await refusal(bench, attempt)
    await refusal(bench, 1, round_=2)

    assert await bench.kinds() == ["revocation:fault"]


async def test_each_pause_is_on_record(bench, pauses):
    """A second pause is another fact."""
    await place(pauses)
    await refusal(bench, 1)
    await pauses.resume(SYSTEM, user_id="u1")
    await place(pauses)
    await refusal(bench, 2)

    assert await bench.kinds() == ["revocation:fault"] * 2


async def test_work_goes_on_after_an_early_end(bench, pauses):
    """A new round does not wait for the end that was planned."""
    await place(pauses)
    await refusal(bench)
    await pauses.resume(SYSTEM, user_id="u1")

    assert await bench.revoke(1, round_=2) == "revoked"


async def test_a_pause_ends_by_itself(bench, pauses):
    """At its end, whether or not anybody has put that on record yet."""
    await place(pauses)
    await refusal(bench)
    async with bench.work.engine.begin() as connection:
        await connection.execute(text("update pauses set until = begins_at"))

    assert await bench.revoke(2) == "revoked"
    [ended] = await pauses.end_expired()
    assert (ended.ended_by, ended.ended_at) == ("", ended.until)
    assert await pauses.end_expired() == []


async def test_other_systems_go_on_and_a_rehearsal_reads(bench, pauses):
    """A pause is of one system, and stops what changes something only."""
    await place(pauses, OTHER)
    assert await bench.revoke() == "revoked"
    await place(pauses)
    given = RehearseInput(bench.case.case_id, SYSTEM)
    assert (await environment().run(bench.activities().rehearse_access, given)).accounts == 1


async def test_at_home_a_pause_is_no_fault_of_the_system(bench, pauses):
    """The first try fails alike, and nothing rests because of it."""
    await place(pauses)
    condition = Condition()
    home = HomeActivities({SYSTEM: bench.activities()}, lambda _: 2, conditions={SYSTEM: condition})
    given = HomeInput(bench.case.case_id, [SYSTEM])

    for _ in range(2):
        found = await environment().run(home.try_at_home, given)
        assert found.tries == [HomeTry(SYSTEM, category="paused")]
    assert condition.rests_until is None


async def test_a_pause_of_a_partner_holds_that_partners_leavers(bench, pauses):
    """Whoever is bound to other partners pauses nothing for this one; their own they do."""
    partner = bench.case.partner
    await place(pauses, partners=frozenset({"elsewhere", "southgate"}))
    assert await bench.revoke() == "revoked"
    assert partner not in {"elsewhere", "southgate"}


async def test_a_pause_of_ones_own_partner_holds(bench, pauses):
    """Alone, or beside one of others."""
    await place(pauses, partners=frozenset({"elsewhere"}))
    await place(pauses, partners=frozenset({bench.case.partner}))
    assert (await refusal(bench)).type == "paused"


async def test_a_spared_kind_waits_when_a_second_person_has_agreed(bench, pauses):
    """Until then it is revoked as if nothing were paused; that it waits is a fact of its own."""
    pause = await place(pauses, spares=frozenset({bench.case.kind}))
    other = await place(pauses, OTHER, spares=frozenset({bench.case.kind}))
    assert await pauses.agree(pause, user_id="u2", name="Ann")
    assert not await pauses.agree(pause, user_id="u3", name="Bob")
    assert (await refusal(bench)).type == "paused"
    assert await bench.kinds() == ["revocation:fault"]
    await pauses.resume(SYSTEM, user_id="u1")
    assert not await pauses.agree(pause, user_id="u3", name="Bob")
    assert await bench.revoke(2) == "revoked"
    assert other.spares
