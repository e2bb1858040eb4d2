"""Nobody fills another's brake, lets their own flood go, or refuses a dismissal alone."""

from __future__ import annotations

import pytest

from lockstep.control.intake.brake import Approver
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.brakes import BrakeRule, BrakeState
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import CLI_USER, EVERYTHING, Permission, Role, Scope
from tests.control.intake.test_brake import APPROVER, Hall
from tests.support.casework import Casework
from tests.web.console.conftest import Browser, Site, text_of

RULE = BrakeRule(per_hour=4, dismissals_per_hour=2)
PAGE = "/console/brake"
ANN, BEN = "uaaaaaaaaaaaa", "ubbbbbbbbbbbb"
EVERY = {"reason": "looked at it", "which": "all", "up_to": "999999"}


@pytest.fixture
async def hall(site: Site) -> Hall:
    work = Casework(site.engine, site.ring)
    await work.adopt()
    return Hall(work, RULE)


async def local(hall: Hall, reporter: str, number: int, **said: object) -> list[str]:
    """Reports of one of our own people."""
    keys = [
        await hall.send(
            f"{reporter}-{i}-{said.get('partner', '')}",
            source=LOCAL_SOURCE,
            actor=f"Somebody ({reporter})",
            reporter=reporter,
            **said,
        )
        for i in range(number)
    ]
    await hall.dispatch()
    return keys


async def held(hall: Hall, keys: list[str]) -> int:
    return [await hall.state(key) for key in keys].count("held")


@pytest.mark.parametrize("kind", ["voluntary", "involuntary"])
async def test_one_persons_flood_holds_nobody_elses_reports(hall, kind):
    """Theirs wait; what a colleague, or the command line, reports goes on."""
    flood = await local(hall, ANN, 9, kind=kind)
    assert await held(hall, flood) > 0
    for other in (BEN, CLI_USER, "tccccccccccccc"):
        assert await held(hall, await local(hall, other, 2, kind=kind)) == 0
    assert await held(hall, await local(hall, ANN, 1, kind=kind, partner="southgate")) == 1
    view = await hall.the_brake()
    assert (view.source, view.channel.reporter) == (LOCAL_SOURCE, ANN)
    [entry] = await hall.entries("brake:set")
    assert (entry["data"]["source"], entry["data"]["reporter"]) == (LOCAL_SOURCE, ANN)


async def test_corrections_of_our_people_fill_no_brake_of_a_source(hall):
    """Whoever makes dismissals of a source's resignations is counted, and the source is not."""
    workers = ["W-1", "W-2"]
    for worker in workers:
        await hall.send(worker)
    await hall.dispatch()
    for worker in workers:
        async with hall.work.engine.begin() as connection:
            await connection.exec_driver_sql(
                "insert into inbox (tenant, source, dedupe_key, received_at, priority, body, state,"
                " case_id, verdict, reporter) select tenant, 'cli', %s, now(), 0, '', 'done',"
                " case_id, 'amend', %s from inbox where dedupe_key = %s",
                (f"c-{worker}", ANN, f"{worker}-1-terminated"),
            )
            await connection.exec_driver_sql(
                "update cases set kind = 'involuntary', dismissed_at = now()"
            )
    fresh = [await hall.send(f"W-9{i}", kind="involuntary") for i in range(2)]
    await hall.dispatch()
    assert await held(hall, fresh) == 0
    keys = await local(hall, ANN, 1, kind="involuntary")
    assert await held(hall, keys) == 1


async def test_whoever_is_bound_starts_no_count_anew(hall):
    """What they let go opens; the next of the source waits as before."""
    await hall.mass(6)
    await hall.dispatch()
    view = await hall.the_brake()
    south = Approver("u1", "S", Scope(frozenset({"southgate"}), sealed=True))
    with pytest.raises(RefusedError):
        await hall.desk.decide(view.brake_id, BrakeState.RELEASED, south, reason="not mine")
    bound = Approver("u1", "N", Scope(frozenset({"northwind"}), sealed=True))
    done = await hall.desk.decide(view.brake_id, BrakeState.RELEASED, bound, reason="mine")
    await hall.dispatch()
    assert (done.events, await hall.states()) == (2, {"done": 6})
    assert await held(hall, [await hall.send("W-more", partner="southgate")]) == 0  # not yet seen
    await hall.dispatch()
    again = await hall.the_brake()
    assert again.count == 1
    await hall.desk.decide(again.brake_id, BrakeState.RELEASED, APPROVER, reason="all true")
    await hall.dispatch()
    await hall.send("W-last")
    await hall.dispatch()
    assert await hall.states() == {"done": 8}


async def signed(site: Site, key: str, *roles: Role) -> Browser:
    keys = (Key(KeyKind.EMAIL, key),)
    return await site.sign_in(*roles, more=[Permission.SEALED], keys=keys, name="Some Body")


async def decide(who: Browser, brake_id: str, decision: str) -> int:
    return (await who.post(f"{PAGE}/{brake_id}/{decision}", EVERY)).status_code


async def test_whoever_reported_a_file_does_not_release_it(site, hall):
    """Nor as another user with the same address; they may take it back, and others release it."""
    hr = await signed(site, "hana@example.com", Role.HR, Role.APPROVER)
    await local(hall, hr.principal.user_id, 9)
    view = await hall.the_brake()
    again = await signed(site, "Hana@Example.com", Role.APPROVER)
    assert again.principal.user_id != hr.principal.user_id
    for same in (hr, again):
        answer = await same.post(f"{PAGE}/{view.brake_id}/release", EVERY)
        assert (answer.status_code, "somebody else must release" in answer.text) == (409, True)
    assert (await hall.the_brake()).count == view.count
    other = await signed(site, "else@example.com", Role.APPROVER)
    assert await decide(other, view.brake_id, "release") == 303


async def test_the_command_line_does_not_release_what_it_reported(site, hall):
    """Whatever names are typed: nobody has proved them."""
    await local(hall, CLI_USER, 9)
    view = await hall.the_brake()
    for name in ("cli", "somebody else"):
        who = Approver(CLI_USER, name, EVERYTHING, typed=(name, "os:ana"))
        with pytest.raises(RefusedError, match="somebody else must release"):
            await hall.desk.decide(view.brake_id, BrakeState.RELEASED, who, reason="mine")


async def test_nobody_refuses_a_dismissal_alone(site, hall):
    """It waits on until somebody else refuses it too."""
    await hall.mass(5, kind="involuntary")
    await hall.dispatch()
    view = await hall.the_brake()
    friend = await signed(site, "friend@example.com", Role.APPROVER)
    assert await decide(friend, view.brake_id, "refuse") == 303
    assert (await hall.the_brake()).count == view.count
    alias = await signed(site, "friend@example.com", Role.APPROVER)
    for same in (friend, alias):
        assert await decide(same, view.brake_id, "refuse") == 303
    cli = Approver(CLI_USER, "ana", EVERYTHING, typed=("ana",))
    done = await hall.desk.decide(view.brake_id, BrakeState.REFUSED, cli, reason="no")
    assert (done.events, done.asked) == (0, view.count)
    page = text_of(await friend.get(PAGE))
    assert "Some Body asks; somebody else has to agree" in page

    other = await signed(site, "other@example.com", Role.APPROVER)
    assert await decide(other, view.brake_id, "refuse") == 303
    assert await hall.states() == {"done": 2, "refused": view.count}
    [entry] = await hall.entries("brake:decided")
    data = entry["data"]
    assert (data["in_pairs"], data["asked_by"]) == (view.count, [friend.principal.user_id])
    assert entry["actor"]["ref"] == other.principal.user_id
