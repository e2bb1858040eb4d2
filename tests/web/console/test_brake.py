"""The page `Brake`: what waits, who sees it, and who decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import BrakeCause, Channel
from lockstep.domain.rights import Permission, Role
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.intake.brake_rows import Held
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.tables.intake import inbox
from tests.control.intake.test_brake import event_of
from tests.support.casework import TENANT
from tests.web.console.conftest import Browser, Site, text_of

PAGE = "/console/brake"
HOSTILE = "<script>alert(1)</script> مرحبا " + "Verylongname " * 11
INVOLUNTARY = TerminationKind.INVOLUNTARY
VOLUNTARY = TerminationKind.VOLUNTARY


async def hold(
    site: Site,
    number: int = 1,
    *,
    partner: str = "northwind",
    kind: TerminationKind = VOLUNTARY,
    name: str = "",
    due: timedelta = timedelta(hours=5),
    start: int = 0,
) -> str:
    """Let a brake of ``hr`` hold some events; return its id."""
    brakes = Brakes(site.engine, site.ring, TENANT)
    brake_id = await brakes.put_on(
        Channel("hr"), BrakeCause.TERMINATIONS, observed=101, allowed=100
    )
    workers = [f"W-{partner}-{kind.value}-{start + i}" for i in range(number)]
    rows = [
        {
            "tenant": TENANT,
            "source": "hr",
            "dedupe_key": worker,
            "received_at": datetime.now(UTC),
            "priority": kind.priority,
            "body": site.ring.encrypt(
                event_of(worker, worker={"id": worker, "name": name or f"Name of {worker}"})
                .model_dump_json()
                .encode(),
                context=f"inbox\x00hr\x00{worker}".encode(),
            ),
        }
        for worker in workers
    ]
    async with site.engine.begin() as connection:
        ids = list(await connection.scalars(insert(inbox).returning(inbox.c.id), rows))
    events = [
        Held(
            inbox_id=event,
            partner=partner,
            kind=kind,
            cutoff_at=datetime.now(UTC) + due,
            key_indexes=key_indexes(site.ring, TENANT, [Key(KeyKind.WORKER_ID, worker)]),
        )
        for event, worker in zip(ids, workers, strict=True)
    ]
    assert await brakes.hold(brake_id, events)
    return brake_id


async def states(site: Site) -> dict[str, int]:
    query = text("select state, count(*) from inbox group by 1")
    async with site.engine.connect() as connection:
        return dict((await connection.execute(query)).all())


async def ids(site: Site) -> list[int]:
    async with site.engine.connect() as connection:
        return list(await connection.scalars(text("select inbox_id from held_events order by 1")))


async def decide(me: Browser, brake_id: str, decision: str = "release", **form: object):
    wanted = {"reason": "checked with HR", "which": "all", "up_to": "999999", **form}
    return await me.post(f"{PAGE}/{brake_id}/{decision}", wanted)


async def test_nothing_is_held(site):
    """The page says what it is there for."""
    me = await site.sign_in(Role.OPERATOR)
    page = await me.get(PAGE)

    assert page.status_code == 200
    assert "Nothing is held that is yours to see." in page.text


async def test_what_waits_is_shown_with_its_clock(site):
    """Partner, kind, count and the earliest cutoff; a name is text whatever it holds."""
    await hold(site, 2)
    await hold(site, partner="southgate", name=HOSTILE, due=timedelta(minutes=-5))
    me = await site.sign_in(Role.APPROVER)
    page = await me.get(PAGE)
    words = text_of(page)

    assert "3 events wait from hr" in words
    assert "101 within an hour; 100 pass." in words
    assert "First cutoff at risk:" in words
    assert "passed 5 min" in words
    assert "<script>alert" not in page.text
    assert "Verylongname" in page.text
    assert "style=" not in page.text


async def test_who_may_not_see_names_sees_none(site):
    """An administrator sees events by their number."""
    await hold(site)
    admin = await site.sign_in(Role.ADMIN)
    page = await admin.get(PAGE)

    assert "Name of" not in page.text
    assert "event 1" in text_of(page)
    assert "An approver releases or refuses them." in page.text


@pytest.mark.parametrize("role", [Role.HR, Role.AUDITOR, Role.VIEWER])
async def test_other_roles_have_no_such_page(site, role):
    """Whoever may not see systems may not see brakes."""
    me = await site.sign_in(role)
    assert (await me.get(PAGE)).status_code == 403


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN, Role.AUDITOR])
async def test_only_an_approver_decides(site, role):
    """Nobody else, and it is on record that they tried."""
    brake_id = await hold(site)
    me = await site.sign_in(role)

    assert (await decide(me, brake_id)).status_code == 403
    assert (await decide(me, brake_id, "refuse")).status_code == 403
    assert await states(site) == {"held": 1}


async def test_all_are_released(site):
    """The events are pending again, and the page says so."""
    brake_id = await hold(site, 3)
    me = await site.sign_in(Role.APPROVER)
    answer = await decide(me, brake_id)

    assert answer.status_code == 303
    assert await states(site) == {"pending": 3}
    page = await me.get(answer.headers["location"])
    assert "The cases open now." in page.text
    assert "checked with HR" in page.text


async def test_ticked_ones_are_refused(site):
    """The others wait on."""
    brake_id = await hold(site, 3)
    first, *_ = await ids(site)
    me = await site.sign_in(Role.APPROVER)
    answer = await decide(me, brake_id, "refuse", which="chosen", pick=[str(first)])

    assert answer.status_code == 303
    assert await states(site) == {"refused": 1, "held": 2}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"reason": "  "}, "give a reason"),
        ({"reason": "x" * 501}, "too long"),
        ({"which": "chosen"}, "choose at least one"),
        ({"which": "chosen", "pick": ["all"]}, "choose among"),
        ({"which": "chosen", "pick": ["-1"]}, "choose among"),
        ({"which": "chosen", "pick": ["99999999"]}, "does not wait at brake"),
        ({"which": "chosen", "pick": ["9" * 18]}, "does not wait at brake"),
        ({"up_to": "0"}, "somebody else was faster"),
    ],
)
async def test_what_cannot_be_decided_is_said_in_words(site, form, says):
    """Nothing changes, and the page is there again."""
    brake_id = await hold(site)
    me = await site.sign_in(Role.APPROVER)
    answer = await decide(me, brake_id, **form)

    assert answer.status_code == 409
    assert says in answer.text
    assert await states(site) == {"held": 1}


async def test_the_second_of_two_is_told(site):
    """Who comes later sees that somebody has decided."""
    brake_id = await hold(site)
    first = await site.sign_in(Role.APPROVER)
    second = await site.sign_in(Role.APPROVER)
    assert (await decide(first, brake_id)).status_code == 303
    answer = await decide(second, brake_id, "refuse")

    assert answer.status_code == 409
    assert "somebody else was faster" in answer.text
    assert await states(site) == {"pending": 1}
    assert (await decide(second, "b../../x")).status_code in {404, 405}
    assert (await decide(second, "bnothing-such")).status_code == 404


async def test_partners_do_not_see_each_other(site):
    """Another partner's events are not listed, counted, or decided about."""
    await hold(site, 2, partner="northwind")
    brake_id = await hold(site, 3, partner="southgate")
    me = await site.sign_in(Role.APPROVER, partners=["northwind"])
    page = await me.get(PAGE)
    theirs = (await ids(site))[-1]

    assert "2 events wait" in text_of(page)
    assert "southgate" not in page.text
    assert "within an hour; " not in page.text
    answer = await decide(me, brake_id, which="chosen", pick=[str(theirs)])
    assert answer.status_code == 409
    assert (await decide(me, brake_id)).status_code == 303
    assert await states(site) == {"pending": 2, "held": 3}
    assert "Nothing is held that is yours to see." in (await me.get(PAGE)).text


async def test_a_coming_dismissal_is_not_there(site):
    """Without the right it is neither listed nor counted; with it, it is."""
    await hold(site, 1)
    await hold(site, 2, kind=INVOLUNTARY)
    plain = await site.sign_in(Role.APPROVER)
    page = await plain.get(PAGE)
    assert "1 event waits" in text_of(page)
    assert "involuntary" not in page.text
    trusted = await site.sign_in(Role.APPROVER, more=[Permission.SEALED])
    assert "3 events wait" in text_of(await trusted.get(PAGE))


async def test_nobody_sees_their_own_event(site):
    """Whatever their role."""
    await hold(site)
    me = await site.sign_in(
        Role.APPROVER,
        more=[Permission.SEALED],
        keys=[Key(KeyKind.WORKER_ID, "W-northwind-voluntary-0")],
    )
    assert "Nothing is held that is yours to see." in (await me.get(PAGE)).text


async def test_a_thousand_are_paged(site):
    """Fifty at a time, and what was ticked is of this page."""
    brake_id = await hold(site, 1000)
    me = await site.sign_in(Role.APPROVER)
    first = await me.get(PAGE)
    second = await me.get(f"{PAGE}?brake={brake_id}&page=2")

    assert first.text.count('name="pick"') == second.text.count('name="pick"') == 50
    assert "Page 2 of 20" in second.text
    for odd in ("0", "-1", "x", "9" * 30, "99999"):
        assert (await me.get(f"{PAGE}?brake={brake_id}&page={odd}")).status_code == 200
    assert "<html" not in (await me.part(PAGE)).text
