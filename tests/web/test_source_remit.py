"""A source speaks for its own people only: what it says of others is refused, kept and told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from lockstep.control.intake.events import local_body, read_event
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.notices import NoticeKind
from lockstep.storage.outgoing.notices import Notices
from tests.support.casework import TENANT, Casework
from tests.web.conftest import event
from tests.web.senders import LATER, MINE, NOW, THEIRS, House


@pytest.fixture
async def apart(engine, ring) -> AsyncIterator[House]:
    """Three ranges of numbers."""
    work = Casework(engine, ring)
    house = House(work, shared=False)
    await work.adopt()
    yield house
    await house.client.aclose()


@pytest.fixture
async def shared(engine, ring) -> AsyncIterator[House]:
    """One range of numbers for all."""
    work = Casework(engine, ring)
    house = House(work, shared=True)
    await work.adopt(work.policy)
    yield house
    await house.client.aclose()


@pytest.mark.parametrize("action", ["terminated", "amended", "rescinded", "rehired"])
async def test_of_another_partner_nothing_is_taken(apart: House, action: str):
    """Whatever is said, it is refused with 403, opens nothing, is kept, and operations see it."""
    assert await apart.send("hr-a", action=action, **THEIRS) == (403, "foreign")
    assert await apart.cases() == []
    assert await apart.told() == ["foreign"]
    assert await apart.work.inbox.counts() == {"refused": 1}


async def test_operations_are_told_of_what_was_said_of_anothers(apart: House):
    """A notice names the source, its event and why, and nobody whom it is about."""
    assert await apart.send("hr-a", event_id="e-1", **THEIRS) == (403, "foreign")
    facts = await Notices(apart.work.engine).about_cases(datetime.now(UTC))
    [fact] = [one for one in facts if one.kind is NoticeKind.EVENT]
    assert fact.system.startswith("hr-a, e-1: partner: not of this source's")
    assert "1005" not in repr(fact)


async def test_a_refusal_is_the_same_when_it_is_delivered_again(apart: House):
    """And one that is corrected under its id is taken."""
    for _ in range(2):
        assert await apart.send("hr-a", event_id="e", **THEIRS) == (403, "foreign")
    assert await apart.send("hr-a", event_id="e", **MINE) == (202, "accepted")
    assert await apart.cases() == [("Northwind", "scheduled", 1, 0)]


async def test_a_source_of_one_partner_need_not_name_it(apart: House):
    """What goes without saying stands in the case, and can be said again without it."""
    assert await apart.send("hr-a") == (202, "accepted")
    assert await apart.send("hr-a", revision=2, ends=LATER) == (202, "accepted")
    assert await apart.cases() == [("Northwind", "scheduled", 2, 30)]
    assert await apart.send("hr-a", revision=2, ends=LATER) == (202, "accepted")
    assert await apart.told() == []


async def test_a_source_of_several_partners_has_to_say_which(apart: House):
    """Somebody of nobody may be anybody's; of a known leaver it is known."""
    assert await apart.send("hr-b") == (403, "foreign")
    assert await apart.send("hr-b", partner="Contoso") == (403, "foreign")
    assert await apart.send("hr-b", **THEIRS) == (202, "accepted")
    assert await apart.send("hr-b", revision=2, action="rescinded") == (202, "accepted")
    assert await apart.cases() == [("Contoso", "rescinded", 2, 0)]


@pytest.mark.parametrize(
    "moved", [{"partner": "Northwind"}, {"partner": "Contoso", "site": "Davao"}]
)
async def test_nobody_is_moved_out_of_the_scope_of_whoever_says_so(apart: House, moved: dict):
    """To another's partner or site; within one's own, people move."""
    await apart.send("hr-b", **THEIRS)
    assert await apart.send("hr-b", revision=2, **moved) == (403, "foreign")
    assert await apart.cases() == [("Contoso", "scheduled", 1, 0)]
    assert (await apart.send("hr-b", revision=2, partner="Fabrikam"))[0] == 202
    assert await apart.cases() == [("Fabrikam", "scheduled", 2, 0)]


@pytest.mark.parametrize("action", ["amended", "rescinded"])
@pytest.mark.parametrize("named", [{}, MINE])
async def test_another_partners_case_is_not_touched(shared: House, action: str, named: dict):
    """Though policy says that both number the same people; the answer is that of a stranger."""
    await shared.send("hr-b", **THEIRS)
    before, keys = await shared.cases(), await shared.keys()
    again = {"action": action, "ends": LATER, "email": "other@example.com", "revision": 9, **named}

    assert await shared.send("hr-a", event_id="e", **again) == (202, "accepted")
    assert await shared.cases() == before
    assert await shared.keys() == keys
    assert await shared.told() == ["foreign_case"]
    assert await shared.send("hr-a", event_id="e", **again) == (200, "duplicate")
    assert await shared.send("hr-a", worker="77", event_id="f", **again) == (202, "accepted")


async def test_a_rehiring_tells_nothing_of_anothers_case(shared: House):
    """It is answered as of somebody of whom nothing is known, also when it is sent again."""
    await shared.send("hr-b", ends=NOW, **THEIRS)
    async with shared.work.engine.connect() as connection:
        case = await connection.scalar(text("select case_id from cases"))
    await shared.work.close(case)
    for worker in ("1005", "1005", "77"):
        answer = await shared.send(
            "hr-a", worker=worker, event_id=f"e-{worker}", action="rehired", revision=9, **MINE
        )
        assert answer == (409, "nobody")
    async with shared.work.engine.connect() as connection:
        assert await connection.scalar(text("select unwatched_at from cases")) is None


async def test_nobody_squats_on_the_number_of_anothers_leaver(shared: House):
    """Whoever was first with a far date: the other's termination opens a case of its own, told."""
    assert await shared.send("hr-a", ends=LATER, **MINE) == (202, "accepted")
    assert await shared.send("hr-b", **THEIRS) == (202, "accepted")
    assert await shared.cases() == [
        ("Northwind", "scheduled", 1, 30),
        ("Contoso", "scheduled", 1, 0),
    ]
    assert await shared.told() == ["in_part"]

    assert await shared.send("hr-a", revision=2, action="rescinded") == (202, "accepted")
    assert (await shared.send("hr-b", revision=2, partner="Fabrikam"))[0] == 202
    assert await shared.cases() == [
        ("Northwind", "rescinded", 2, 30),
        ("Fabrikam", "scheduled", 2, 0),
    ]


async def test_a_number_of_another_range_is_somebody_else(apart: House):
    """Neither calls off, amends nor takes over what the other has said under it."""
    await apart.send("hr-b", **THEIRS)
    before = await apart.cases()
    for action in ("amended", "rescinded", "terminated"):
        await apart.send("hr-a", action=action, revision=9, ends=LATER, worker="1005")
    assert (await apart.cases())[:1] == before


async def test_a_source_without_bounds_speaks_for_everybody(shared: House):
    """As every source did before."""
    await shared.send("hr-b", **THEIRS)
    assert await shared.send("hr-all", revision=2, action="rescinded") == (202, "accepted")
    assert await shared.cases() == [("Contoso", "rescinded", 2, 0)]
    assert await shared.told() == []


async def test_what_waited_when_a_source_was_bound_is_refused_too(apart: House):
    """The worker's word counts; the event is kept and told."""
    open_to_all = House(apart.work, shared=False, remits={})
    assert await open_to_all.send("hr-a", dispatch=False, **THEIRS) == (202, "accepted")
    while await apart.dispatcher.drain_once():
        pass
    assert await apart.cases() == []
    assert await apart.told() == ["foreign"]
    await open_to_all.client.aclose()


async def test_a_case_of_nobody_under_anothers_number_is_not_ones_own(shared: House):
    """A leaver whose partner nobody named is spoken for by whoever gave the number."""
    await shared.send("hr-all")
    assert await shared.send("hr-a", action="rescinded", revision=9, **MINE) == (202, "accepted")
    assert await shared.cases() == [("", "scheduled", 1, 0)]


async def by_hand(house: House, case_id: str, key: str, **said: object) -> None:
    """Somebody here says something of one case."""
    who = {"id": "1005", "emails": ["a@example.com"]}
    read = read_event(event(worker=who, **said))
    await house.work.inbox.store(
        tenant=TENANT,
        source=LOCAL_SOURCE,
        dedupe_key=key,
        received_at=NOW,
        body=local_body(read, actor="kim", reason="told", numbered_by="hr-b", case_id=case_id),
        priority=4,
        about=("1005", "1"),
    )
    while await house.dispatcher.drain_once():
        pass


async def test_what_people_say_of_one_of_two_cases_is_not_done_to_the_other(shared: House):
    """Whoever decides about a case means that case, though another has its number."""
    await shared.send("hr-b", **THEIRS)
    await shared.send("hr-a", ends=LATER, **MINE)
    async with shared.work.engine.connect() as connection:
        query = text("select case_id from cases order by opened_at")
        theirs, mine = await connection.scalars(query)
    await by_hand(shared, theirs, "cli-1", action="rescinded")
    assert [case[1] for case in await shared.cases()] == ["rescinded", "scheduled"]
    await by_hand(shared, mine, "cli-2", action="rescinded")
    assert [case[1] for case in await shared.cases()] == ["rescinded", "rescinded"]


async def test_two_cases_of_one_number_are_called_off_and_opened_again(shared: House):
    """Neither takes the other's place, whoever comes again."""
    await shared.send("hr-a", **MINE)
    await shared.send("hr-a", revision=2, action="rescinded")
    await shared.send("hr-b", **THEIRS)
    assert await shared.send("hr-a", revision=3, ends=LATER, **MINE) == (202, "accepted")
    assert await shared.send("hr-b", revision=2, action="rescinded") == (202, "accepted")
    assert await shared.send("hr-b", revision=3, **THEIRS) == (202, "accepted")
    live = [case for case in await shared.cases() if case[1] == "scheduled"]
    assert live == [("Northwind", "scheduled", 3, 30), ("Contoso", "scheduled", 3, 0)]
    assert await shared.work.inbox.counts() == {"done": 6}


async def test_a_source_is_told_that_people_moved_its_leaver_away(apart: House):
    """It opened the case: it hears that its word does not count any more, whatever it says."""
    await apart.send("hr-b", **THEIRS)
    async with apart.work.engine.connect() as connection:
        case = await connection.scalar(text("select case_id from cases"))
    await by_hand(apart, case, "cli-1", action="amended", partner="Northwind", site="Davao")
    for action in ("terminated", "amended", "rescinded"):
        assert await apart.send("hr-b", revision=9, action=action, **THEIRS) == (403, "foreign")
    assert [case[0] for case in await apart.cases()] == ["Northwind"]
