"""A pause holds up one's own partners only, and the dismissed only when two people say so."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Role
from lockstep.storage.cases.rows import pin
from tests.support.casework import SYSTEM, Casework, termination
from tests.web.console.conftest import SETTINGS, Browser, Site, text_of

PAGE = f"/console/systems/{SYSTEM}"
FORM = {"reason": "upgrade of Southgate's directory", "hours": "2"}


@pytest.fixture
def site_settings() -> str:
    """One system has a connector, the other is worked by hand."""
    first = '[systems.memory-1]\nconnector = "instant"\nbase_url = "http://127.0.0.1:9"\n'
    return SETTINGS.replace(
        '[systems.memory-1]\nconnector = "manual"\n', first + 'token = "file:token"\n'
    )


@pytest.fixture
async def work(site: Site) -> Casework:
    made = Casework(site.engine, site.ring)
    await made.adopt(pin(site.settings.to_policy()))
    return made


async def held(work: Casework, **said: object) -> bool:
    """Whether a worker would leave a new leaver's access alone in the system."""
    case = await work.open(termination(f"W-{await work.count('cases')}", **said))
    return (await work.revocations.load(case.case_id, SYSTEM, 1)).paused is not None


async def pause_ids(site: Site) -> list[str]:
    async with site.engine.connect() as connection:
        query = text("select pause_id from pauses order by begins_at")
        return list((await connection.scalars(query)).all())


async def entries(site: Site) -> list[dict[str, object]]:
    query = text("select body from ledger_entries where kind like 'system:%' order by id")
    async with site.engine.connect() as connection:
        return [json.loads(body)["data"] for body in (await connection.scalars(query)).all()]


async def agree(who: Browser, pause_id: str) -> int:
    return (await who.post(f"{PAGE}/pauses/{pause_id}/agree")).status_code


async def test_whoever_is_bound_pauses_for_their_partners_only(site, work):
    """Another partner's leavers are revoked as ever, and read neither who, why, nor for whom."""
    south = await site.sign_in(Role.OPERATOR, partners=["southgate"], name="Sue South")
    assert (await south.post(PAGE + "/pause", FORM)).status_code == 303
    assert await held(work, partner="southgate")
    assert not await held(work, partner="northwind")
    north = await site.sign_in(Role.OPERATOR, partners=["northwind"])
    for path in ("/console/systems", PAGE):
        page = text_of(await north.get(path))
        for said in ("Sue South", "upgrade of", "southgate", "paused until"):
            assert said not in page, (path, said)
    assert (await north.post(PAGE + "/resume")).status_code == 422
    assert await held(work, partner="southgate")
    everybody = text_of(await (await site.sign_in(Role.OPERATOR)).get(PAGE))
    assert "Paused for southgate until" in everybody
    assert (await entries(site))[0]["partners"] == ["southgate"]
    nobody = await site.sign_in(Role.OPERATOR, partners=[])
    assert "there is nothing to pause for you" in text_of(await nobody.post(PAGE + "/pause", FORM))


async def test_whoever_is_bound_ends_no_pause_of_everybody(site, work):
    """Nor of two partners of which one is theirs; and pauses beside it for their own."""
    boss = await site.sign_in(Role.OPERATOR, name="Boss Of All")
    assert (await boss.post(PAGE + "/pause", FORM)).status_code == 303
    north = await site.sign_in(Role.OPERATOR, partners=["northwind"])
    page = text_of(await north.get(PAGE))
    assert "Paused until" in page
    assert "Boss Of All" not in page
    assert "upgrade of" not in page
    assert (await north.post(PAGE + "/resume")).status_code == 422
    assert await held(work, partner="northwind")
    assert (await north.post(PAGE + "/pause", FORM)).status_code == 303
    assert (await boss.post(PAGE + "/resume")).status_code == 303
    assert not await held(work, partner="northwind")

    both = await site.sign_in(Role.OPERATOR, partners=["northwind", "southgate"])
    assert (await both.post(PAGE + "/pause", FORM)).status_code == 303
    assert (await north.post(PAGE + "/resume")).status_code == 422
    assert (await both.post(PAGE + "/resume")).status_code == 303


async def test_one_person_holds_up_no_dismissal_by_a_pause(site, work):
    """Whether it is under way or comes later: only when somebody else agrees do they wait."""
    fired = {"kind": TerminationKind.INVOLUNTARY}
    keys = (Key(KeyKind.EMAIL, "olly@example.com"),)
    me = await site.sign_in(Role.OPERATOR, Role.APPROVER, name="Olly", keys=keys)
    assert (await me.post(PAGE + "/pause", FORM)).status_code == 303
    [pause_id] = await pause_ids(site)
    assert (await held(work), await held(work, **fired)) == (True, False)

    other_me = await site.sign_in(Role.APPROVER, name="O. Operator", keys=keys)
    for same in (me, other_me):
        assert await agree(same, pause_id) == 422
    bound = await site.sign_in(Role.APPROVER, partners=["acme"])
    operator = await site.sign_in(Role.OPERATOR)
    assert (await agree(bound, pause_id), await agree(operator, pause_id)) == (422, 403)
    assert not await held(work, **fired)

    ann = await site.sign_in(Role.APPROVER, name="Ann Approver")
    assert await agree(ann, pause_id) == 303
    assert await held(work, **fired)
    page = text_of(await ann.get(PAGE))
    assert "Two people: Ann Approver agreed that dismissals wait too." in page
    assert await agree(ann, pause_id) == 422
    said = await entries(site)
    assert [(one.get("spares"), one.get("agreed")) for one in said] == [
        (["involuntary"], None),
        (None, True),
    ]


async def test_the_case_says_that_two_people_hold_it_up(site, work):
    """On its page, as long as the pause stands."""
    me = await site.sign_in(Role.OPERATOR)
    assert (await me.post(PAGE + "/pause", FORM)).status_code == 303
    case = await work.open(termination("W-1", kind=TerminationKind.INVOLUNTARY))
    page = f"/console/cases/{case.case_id}"
    assert "paused this system" not in text_of(await me.get(page))
    [pause_id] = await pause_ids(site)
    assert await agree(await site.sign_in(Role.APPROVER), pause_id) == 303
    said = text_of(await me.get(page))
    assert "Operations have paused this system until" in said
    assert "Two people agreed that dismissals wait too." in said
