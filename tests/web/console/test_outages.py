"""A fault of a system that holds up more than ten is one alarm, of what may be known only."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.board.bulk import MOST
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.notices import NoticeKind, Route
from lockstep.domain.rights import EVERYTHING, Role
from lockstep.storage.cases.rows import pin
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.systems.outages import Outage, Outages
from tests.control.notices.test_telling import notifier
from tests.support.board import HOUR, many, shape, stuck
from tests.support.casework import SYSTEM, Casework, termination
from tests.web.console.conftest import SETTINGS, Site, text_of

PAGE = f"/console/systems/{SYSTEM}"
ALL = f"/console/bulk?action=retry&system={SYSTEM}"


@pytest.fixture
def site_settings() -> str:
    """The first system has a connector."""
    first = '[systems.memory-1]\nconnector = "instant"\nbase_url = "http://127.0.0.1:9"\n'
    return SETTINGS.replace(
        '[systems.memory-1]\nconnector = "manual"\n', first + 'token = "file:token"\n'
    )


@pytest.fixture
async def work(site: Site) -> Casework:
    made = Casework(site.engine, site.ring)
    await made.adopt(pin(site.settings.to_policy()))
    return made


async def hold_up(work: Casework, count: int, fault: str = "credentials_rejected") -> None:
    """So many wait for the first system; and one more for a decision about their account."""
    first = await stuck(work, "W-1", due=HOUR, fault="ambiguous_match")
    await many(work, count)
    async with work.engine.begin() as connection:
        await connection.execute(
            text(
                "update revocations set fault = :fault, fault_at = now(),"
                " needs_person_since = now() - interval '1 hour', state = case"
                " when system = :system then 'needs_person' else 'settled' end"
                " where case_id <> :first"
            ),
            {"fault": fault, "system": SYSTEM, "first": first.case_id},
        )


async def noted(site: Site) -> list[Outage]:
    """What stands once a worker has looked, which it does every five seconds."""
    await Outages(site.engine).keep()
    return await Outages(site.engine).standing(EVERYTHING)


async def test_more_than_ten_are_a_banner_at_once(site, work):
    """With how many, since when, what is wrong and what to do; ten are none."""
    await hold_up(work, 10)
    olivia = await site.sign_in(Role.OPERATOR)
    assert await noted(site) == []
    assert "data-outage" not in (await olivia.get("/console/")).text
    await shape(work, await work.open(termination("W-2")), state="needs_person",
                fault="permission_missing", needs_person_since=datetime.now(UTC))  # fmt: skip
    assert len(await noted(site)) == 1
    page = await olivia.get("/console/")
    told = text_of(page)
    assert f"11 leavers wait for {SYSTEM} because of a fault of the system, since" in told
    assert "10: The system rejects our own credential." in told
    assert "1: Our credential lacks a permission." in told
    assert "(1 h 0 min ago)" in told
    assert "all of them are tried again by themselves" in told
    assert f'href="{PAGE}#waiting-title"' in page.text


async def test_what_is_about_each_leaver_is_no_fault_of_the_system(site, work):
    """However many wait; what is of the system is."""
    await hold_up(work, 20)
    assert [one.leavers for one in await noted(site)] == [20]
    for fault in ("ambiguous_match", "unknown_worker", "protected_account", "manual", "internal"):
        async with site.engine.begin() as connection:
            await connection.execute(text("update revocations set fault = :f"), {"f": fault})
        assert await noted(site) == []
    assert "data-held-up" not in (await (await site.sign_in(Role.OPERATOR)).get(PAGE)).text


async def test_a_rate_limit_is_an_alarm_once_people_are_asked(site, work):
    """It ends by itself."""
    await hold_up(work, 20, "rate_limited")
    [found] = await noted(site)
    assert found.leavers == 20
    async with site.engine.begin() as connection:
        await connection.execute(text("update revocations set state = 'retrying'"))
    assert await noted(site) == []
    async with site.engine.begin() as connection:
        await connection.execute(text("update revocations set fault = 'unreachable'"))
    assert (await noted(site))[0].leavers == 21
    async with site.engine.begin() as connection:
        await connection.execute(
            text("update revocations set due_at = now() + interval '9 h', warn_at = due_at")
        )
    told = text_of(await (await site.sign_in(Role.OPERATOR)).get("/console/"))
    assert "No case needs you by itself." in told, told


async def test_counts_are_of_what_may_be_known(site, work):
    """Nobody learns of another partner's leavers, and nobody of a coming dismissal."""
    await hold_up(work, 12)
    await noted(site)
    coming = await work.open(termination("W-9", kind=TerminationKind.INVOLUNTARY), due=HOUR)
    await shape(work, coming, state="needs_person", fault="credentials_rejected")
    for partners, banner, held_up in ((["northwind"], True, 12), (["other"], False, 0)):
        olivia = await site.sign_in(Role.OPERATOR, partners=partners)
        assert ("12 leavers wait" in text_of(await olivia.get("/console/"))) is banner
        assert (f"{held_up} wait because of" in text_of(await olivia.get(PAGE))) is banner
        assert (await olivia.get(ALL)).status_code == (200 if banner else 422)
    viewer = await site.sign_in(Role.APPROVER)
    assert (await viewer.get(ALL)).status_code == 403
    assert "Retry all of them" not in (await viewer.get(PAGE)).text


async def test_all_of_them_are_picked_for_a_retry(site, work):
    """The first due first, so many as can be done together; the rest is counted, a reason asked."""
    await hold_up(work, MOST + 7)
    olivia = await site.sign_in(Role.OPERATOR)
    page = await olivia.get(PAGE)
    assert f'href="{ALL.replace("&", "&amp;")}"' in page.text
    preview = await olivia.get(ALL)
    told = text_of(preview)
    assert f"Retry {MOST} systems" in told
    assert "7 more wait" in told
    assert preview.text.index("c0000001") < preview.text.index("c0000002")
    left = re.search(r'name="left" value="([^"]*)"', preview.text)[1].replace("&#34;", '"')
    form = {"action": "retry", "left": left, "total": "500"}
    assert (await olivia.post("/console/bulk", {**form, "reason": " "})).status_code == 422
    assert (await olivia.client.post("/console/bulk", data=form)).status_code == 403
    assert (await olivia.get("/console/bulk?action=retry&system=none")).status_code == 422


async def test_an_outage_is_told_once_and_each_of_its_leavers_is_not(site, work):
    """By a route that takes it; another one tells each. A second outage is told anew."""
    await hold_up(work, 12)
    outages, notices = Outages(site.engine), Notices(site.engine)
    assert (await outages.keep(), await outages.keep()) == ([SYSTEM], [])
    facts = await notices.about_cases(datetime.now(UTC))
    routes = [
        (Route("all", frozenset(NoticeKind) - {NoticeKind.BREACHED}), None),
        (Route("old", frozenset({NoticeKind.STUCK})), None),
        (Route("one-partner", frozenset(NoticeKind), partners=frozenset({"northwind"})), None),
    ]
    await notifier(notices, *routes).look(datetime.now(UTC))
    rows = [(row["route"], row["kind"]) for row in await notices.latest()]
    assert rows.count(("all", "system_outage")) == 1
    assert rows.count(("all", "stuck")) == 1, "the account in doubt"
    assert rows.count(("old", "stuck")) == 13
    assert rows.count(("one-partner", "stuck")) == 13
    async with site.engine.begin() as connection:
        await connection.execute(
            text("update revocations set state = 'settled' where fault <> 'ambiguous_match'")
        )
    assert await outages.keep() == []
    async with site.engine.begin() as connection:
        await connection.execute(
            text(
                "update revocations set state = 'needs_person', needs_person_since = now()"
                f" where fault <> 'ambiguous_match' and system = '{SYSTEM}'"
            )
        )
    assert await outages.keep() == [SYSTEM]
    [first] = [fact.key for fact in facts if fact.kind is NoticeKind.OUTAGE]
    later = await notices.about_cases(datetime.now(UTC) + timedelta(seconds=1))
    [second] = [fact.key for fact in later if fact.kind is NoticeKind.OUTAGE]
    assert first != second
