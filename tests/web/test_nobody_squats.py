"""What a person here says of a leaver never bars the HR system whose number it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.intake.events import local_body, read_event
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from tests.support.casework import TENANT, Casework
from tests.web.conftest import event
from tests.web.senders import LATER, SOON, House

MOST = 2**53 - 1
EARLIER = (datetime.now(UTC) - timedelta(days=2)).isoformat()


@pytest.fixture
async def house(engine, ring) -> AsyncIterator[House]:
    work = Casework(engine, ring)
    await work.adopt()
    house = House(work, shared=False, remits={})
    yield house
    await house.client.aclose()


async def by_hand(house: House, *, ends: datetime = LATER, key: str = "cli-1", **said) -> None:
    """Somebody of HR reports the worker under the number of `hr-all`, by form or sheet."""
    dates = {"zone": "Asia/Manila", "access_ends_at": ends.isoformat()}
    who = {"id": "1005", "emails": ["made-up@example.com"]}
    read = read_event(event(worker=who, dates=dates, partner="Northwind", **said))
    await house.work.inbox.store(
        tenant=TENANT,
        source=LOCAL_SOURCE,
        dedupe_key=key,
        received_at=datetime.now(UTC),
        body=local_body(read, actor="kim", reason="told", numbered_by="hr-all"),
        priority=4,
        about=("1005", "1"),
    )
    while await house.dispatcher.drain_once():
        pass


@pytest.mark.parametrize("revision", [1, 7, MOST])
async def test_whoever_was_first_with_a_far_date_gains_nothing(house: House, revision: int):
    """HR's first word is taken whole: partner, dates, and its keys beside those that were given."""
    await by_hand(house, revision=revision)
    assert await house.cases() == [("Northwind", "scheduled", revision, 30)]
    keys = await house.keys()

    assert await house.send("hr-all", partner="Contoso") == (202, "accepted")
    assert await house.cases() == [("Contoso", "scheduled", 1, 0)]
    assert await house.keys() > keys
    assert await house.send("hr-all", partner="Contoso", revision=2, ends=LATER) == (
        202,
        "accepted",
    )
    assert await house.cases() == [("Contoso", "scheduled", 2, 30)]


async def test_hr_recorded_it_before_they_were_first_and_gains_all_the_same(house: House):
    """Its date is sooner: nobody keeps a door open by being quicker than a delivery."""
    await by_hand(house)
    assert await house.send("hr-all", recorded_at=EARLIER) == (202, "accepted")
    assert await house.cases() == [("Northwind", "scheduled", 1, 0)]


async def test_what_hr_recorded_before_gives_no_more_time(house: House):
    """A person has said since that access ends sooner: both are told that they contradict."""
    await by_hand(house, ends=SOON)
    assert await house.send("hr-all", ends=LATER, recorded_at=EARLIER) == (409, "conflict")
    call_off = {"action": "rescinded", "revision": 1, "ends": SOON}
    assert await house.send("hr-all", recorded_at=EARLIER, **call_off) == (409, "conflict")
    assert await house.cases() == [("Northwind", "scheduled", 1, 0)]
    assert await house.send("hr-all", **call_off) == (202, "accepted")
    assert await house.cases() == [("Northwind", "rescinded", 1, 0)]


async def test_a_persons_number_outruns_no_later_word_of_hr(house: House):
    """Who corrects their own report with the highest number there is bars nothing."""
    await by_hand(house)
    await house.send("hr-all", partner="Contoso")
    await by_hand(house, revision=MOST, key="cli-2")
    assert (await house.cases())[0][:3] == ("Northwind", "scheduled", 1)
    await by_hand(house, revision=MOST, key="cli-3")

    assert await house.send("hr-all", partner="Contoso", revision=2) == (202, "accepted")
    assert await house.cases() == [("Contoso", "scheduled", 2, 0)]


async def test_the_same_said_by_both_is_said_once(house: House):
    """HR's first word that says nothing else changes nothing."""
    await house.send("hr-all")
    await by_hand(house, ends=SOON, revision=1)
    assert await house.send("hr-all", event_id="again") == (202, "accepted")
    assert (await house.cases())[0][2] == 1


async def test_another_system_does_not_gain_by_it(house: House):
    """The number is not its own: its word is about somebody else."""
    await by_hand(house)
    await house.send("hr-a", ends=SOON)
    assert [case[3] for case in await house.cases()] == [30, 0]
