"""A cause that is gone wakes what waits for it: by itself, one after the other, on record."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from activities.condition import Condition
from connectors.base import ConnectorFault
from lockstep.control.people.one_person import OnePerson
from lockstep.control.people.pairs import Pairs
from lockstep.control.systems.health import HealthWatch
from lockstep.control.systems.pauses import PauseDesk
from lockstep.control.systems.waking import Waker
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Principal
from lockstep.domain.systems.access import Problem
from lockstep.domain.systems.faults import FaultCategory, Recovery
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.systems.health import SystemHealth
from lockstep.storage.systems.outages import Outages
from lockstep.storage.systems.pauses import Pauses
from lockstep.storage.systems.waking import Waking, Wakings, WakingState
from lockstep.worker import running
from tests.support.casework import TENANT
from tests.web.console.ward import DOOR, HOUR, VAULT, Ward, eventually

REJECTED = Problem("token", "The token is not accepted.", "Renew it.")
FAST = 6000


def waker(ward: Ward, *, per_minute: int = FAST) -> Waker:
    """As a worker that has just been started has one."""
    engine = ward.work.engine
    return Waker(ward.client, Wakings(engine), Outages(engine), per_minute={DOOR: per_minute})


async def look(ward: Ward, system: str = DOOR) -> None:
    """A look at a system's health, without waiting until it is due."""
    engine = ward.work.engine
    await ward.sql("update system_health set checked_at = checked_at - interval '1 hour'")
    await HealthWatch(
        {system: ward.connectors[system]},
        {system: Condition()},
        SystemHealth(engine),
        Pauses(engine, ward.work.ring, TENANT),
    ).step()


async def stuck(ward: Ward, worker: str, category: FaultCategory, *, at="locate", **more):
    ward.connectors[DOOR].fail(at, category)
    case = await ward.open(worker, **more)
    await ward.until(case, DOOR, "needs_person")
    await ward.until(case, VAULT, "settled")
    return case


async def limited(ward: Ward, worker: str):
    """A leaver whose next try the vendor has put off for an hour."""
    fault = ConnectorFault(
        FaultCategory.RATE_LIMITED, connector="memory", operation="locate", retry_after=HOUR
    )
    ward.connectors[DOOR].faults["locate"].append(fault)
    case = await ward.open(worker)
    await ward.until(case, DOOR, "retrying")
    await ward.until(case, VAULT, "settled")
    return case


async def bad_then_good(ward: Ward) -> None:
    ward.connectors[DOOR].problems = (REJECTED,)
    await look(ward)
    ward.connectors[DOOR].problems = ()
    await look(ward)


async def woken(ward: Ward, case) -> list[str]:
    """Why a case was woken, each time."""
    entries = await ward.work.entries(case.case_id)
    return [entry["data"]["why"] for entry in entries if entry["kind"] == "revocation:woken"]


async def test_health_that_is_good_again_wakes_whom_the_system_held_up(ward: Ward):
    """Also whom the vendor put off for long; never whoever waits for a decision about a person."""
    rejected = await stuck(ward, "W-1", FaultCategory.CREDENTIALS_REJECTED)
    owner = await stuck(ward, "W-2", FaultCategory.PROTECTED_ACCOUNT)
    late = await limited(ward, "W-3")
    ward.connectors[DOOR].problems = (REJECTED,)
    await look(ward)
    assert await waker(ward).step() == 0, "the trouble is not over"
    ward.connectors[DOOR].problems = ()
    await look(ward)
    assert await waker(ward).step() == 2
    for case in (rejected, late):
        await ward.until(case, DOOR, "revoked")
        assert await woken(ward, case) == ["health_good"]
        assert await ward.decisions(case.case_id) == [], "nobody decided"
    entries = await ward.work.entries(rejected.case_id)
    [said] = [entry for entry in entries if entry["kind"] == "revocation:woken"]
    assert said["actor"] == {"type": "lockstep"}
    assert await woken(ward, owner) == []
    assert (await ward.work.row(owner.case_id, DOOR)).state == "needs_person"
    await look(ward)
    assert await waker(ward).step() == 0, "it was good before"


async def test_in_vain_it_waits_as_before_and_is_woken_once(ward: Ward):
    """For the same person since the same moment, however often somebody looks."""
    case = await stuck(ward, "W-1", FaultCategory.PERMISSION_MISSING, at="contain")
    before = await ward.work.row(case.case_id, DOOR)
    told = {fact.key for fact in await Notices(ward.work.engine).about_cases(datetime.now(UTC))}
    ward.connectors[DOOR].fail("contain", FaultCategory.PERMISSION_MISSING)
    await bad_then_good(ward)
    assert await waker(ward).step() == 1

    async def failed_again() -> bool:
        return (await ward.work.kinds(case.case_id)).count("revocation:needs_person") == 2

    await eventually(failed_again, "it failed again")
    after = await ward.work.row(case.case_id, DOOR)
    assert after.state == "needs_person"
    assert after.needs_person_since == before.needs_person_since
    facts = await Notices(ward.work.engine).about_cases(datetime.now(UTC))
    assert {fact.key for fact in facts} == told, "nobody is told anew"
    assert [await waker(ward).step() for _ in range(3)] == [0, 0, 0]
    await bad_then_good(ward)
    assert await waker(ward).step() == 0, "it rests: the trouble was over a moment ago too"
    await ward.sql("update wakings set not_before = now()")
    assert await waker(ward).step() == 1, "what rested is not forgotten"
    await ward.until(case, DOOR, "revoked")


async def test_a_success_wakes_whoever_failed_before_it(ward: Ward):
    """Where health never showed the trouble; not whoever failed after it."""
    before = await stuck(ward, "W-1", FaultCategory.PERMISSION_MISSING)
    odd = await stuck(ward, "W-2", FaultCategory.UNEXPECTED_ANSWER)
    loop = waker(ward)
    await loop.look()
    assert await loop.step() == 0
    works = await ward.open("W-3")
    await ward.until(works, DOOR, "revoked")
    after = await stuck(ward, "W-4", FaultCategory.PERMISSION_MISSING)
    await loop.look()
    assert await loop.step() == 1
    await ward.until(before, DOOR, "revoked")
    assert await woken(ward, before) == ["revocation_succeeded"]
    assert await woken(ward, after) == await woken(ward, odd) == []


async def test_a_pause_that_is_lifted_wakes_and_one_that_stands_holds_back(site, ward: Ward):
    """Maintenance is over; but a pause does not end the vendor's own waiting time."""
    stores = ward.work.stores
    desk = PauseDesk(
        stores.pauses,
        stores.log,
        [DOOR],
        pairs=Pairs(),
        one_person=OnePerson(stores.identities, stores.users),
    )
    ana = Principal("u-ana", "Ana", partners=None)
    rejected = await stuck(ward, "W-1", FaultCategory.CREDENTIALS_REJECTED)
    late = await limited(ward, "W-2")
    until = datetime.now(UTC) + HOUR
    await desk.pause(DOOR, ana, reason="a new token", until=until)
    await bad_then_good(ward)
    assert await waker(ward).step() == 0
    await desk.resume(DOOR, ana)
    await ward.sql("delete from wakings where case_id = :c", c=late.case_id)
    await desk.pause(DOOR, ana, reason="once more", until=until)
    await desk.resume(DOOR, ana)
    async with running([], waker(ward).run):  # as a worker runs it
        await ward.until(rejected, DOOR, "revoked")
    assert await woken(ward, late) == []


async def test_the_pace_holds_and_a_new_trouble_ends_it(ward: Ward):
    """The dismissed first; whoever was not woken yet waits as before, for the next time."""
    quiet = await stuck(ward, "W-1", FaultCategory.CREDENTIALS_REJECTED)
    dismissed = await stuck(
        ward, "W-2", FaultCategory.CREDENTIALS_REJECTED, kind=TerminationKind.INVOLUNTARY
    )
    await bad_then_good(ward)
    slow = waker(ward, per_minute=1)
    assert [await slow.step() for _ in range(3)] == [1, 0, 0]
    await ward.until(dismissed, DOOR, "revoked")
    ward.connectors[DOOR].problems = (REJECTED,)
    await look(ward)
    assert await waker(ward).step() == 0
    assert await woken(ward, quiet) == []
    ward.connectors[DOOR].problems = ()
    await look(ward)
    await ward.sql("update wakings set taken_at = taken_at - interval '2 minutes'")
    assert await waker(ward, per_minute=1).step() == 1
    await ward.until(quiet, DOOR, "revoked")


async def test_who_dies_amid_it_loses_nobody_and_wakes_nobody_twice(ward: Ward):
    """The case knows the waking by its id: what is sent again counts once."""
    case = await stuck(ward, "W-1", FaultCategory.CREDENTIALS_REJECTED)
    ward.connectors[DOOR].fail("locate", FaultCategory.CREDENTIALS_REJECTED)
    await bad_then_good(ward)
    dies, kept = waker(ward), Wakings(ward.work.engine)

    async def killed(*_: object) -> None:
        raise KilledError

    dies._wakings.done = killed
    with pytest.raises(KilledError):
        await dies.step()
    assert await waker(ward).step() == 0, "it is another's for half a minute"
    [row] = await ward.sql("select * from wakings")
    again = Waking(row.waking_id, row.case_id, row.system, Recovery(row.recovery), row.times)
    assert await waker(ward)._send(again) is WakingState.WOKEN, "the same answer, and no new try"

    async def failed_again() -> bool:
        return (await ward.work.kinds(case.case_id)).count("revocation:needs_person") == 2

    await eventually(failed_again, "it failed again")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await kept.take(DOOR, later, per_minute=FAST, tick=HOUR) == []
    assert await woken(ward, case) == ["health_good"]


class KilledError(Exception):
    """Stands for kill -9."""


async def test_all_are_retried_by_command_and_each_is_told(ward: Ward, site):
    """What was only asked for is not done: who failed again is named, and the exit says it."""
    held = [
        await stuck(ward, f"W-{number}", FaultCategory.CREDENTIALS_REJECTED) for number in range(2)
    ]
    doubt = await stuck(ward, "W-3", FaultCategory.PROTECTED_ACCOUNT)
    ward.connectors[DOOR].fail("locate", FaultCategory.CREDENTIALS_REJECTED)
    file = site.folder / "retry.toml"
    file.write_text(
        (site.folder / "lockstep.toml").read_text()
        + f'\n[database]\nmode = "external"\nurl = "file:db"\n\n[systems.{DOOR}]\n'
        'connector = "instant"\nbase_url = "http://127.0.0.1:9"\ntoken = "file:token"\n'
    )
    (site.folder / "db").write_text(str(site.engine.url.render_as_string(hide_password=False)))
    given = [sys.executable, "-m", "lockstep.cli.main", "system", "retry", DOOR]

    async def told(*more: str) -> tuple[int | None, str]:
        run = await asyncio.create_subprocess_exec(
            *given, *more, "--config", str(file), stdout=-1, stderr=-2
        )
        async with asyncio.timeout(60):
            said, _ = await run.communicate()
        return run.returncode, said.decode()

    code, said = await told("-r", "a new token")
    assert code == 1, said
    assert "1 is settled, 1 failed again and waits for a person." in said
    assert doubt.case_id not in said
    assert all(case.case_id in said for case in held)
    code, said = await told("-r", "once more", "--json")
    assert (code, [row["became"] for row in json.loads(said)["items"]]) == (0, ["done"])
