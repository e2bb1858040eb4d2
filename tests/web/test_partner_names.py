"""A partner that is none, or only looks like one, never becomes one: by any way in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lockstep.domain.intake.place_names import PlaceList
from tests.support.casework import Casework
from tests.web.senders import House

NORTH = {"partner": "Northwind BPO", "site": "Cebu"}


@pytest.fixture
async def house(engine, ring) -> AsyncIterator[House]:
    """Nothing is listed; somebody of Northwind has left."""
    work = Casework(engine, ring)
    await work.adopt()
    house = House(work, shared=False, remits={})
    assert await house.send("hr-all", **NORTH) == (202, "accepted")
    yield house
    await house.client.aclose()


@pytest.fixture
async def listing(engine, ring) -> AsyncIterator[House]:
    """Two partners and two sites are listed."""
    work = Casework(engine, ring)
    await work.adopt()
    listed = PlaceList(("Northwind BPO", "Contoso"), ("Cebu", "Manila"))
    house = House(work, shared=False, remits={}, listed=listed)
    yield house
    await house.client.aclose()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"partner": "northwind bpo"}, "looks like 'Northwind BPO'"),
        ({"partner": "N\u043erthwind BPO"}, "look alike"),
        ({"partner": "North\u200bwind BPO"}, "U+200B"),
        ({"partner": "\u202eOPB dniwhtroN"}, "U+202E"),
        ({"partner": "Northwind BPO", "site": "cebu"}, "looks like 'Cebu'"),
    ],
)
@pytest.mark.parametrize("action", ["terminated", "amended", "rescinded"])
async def test_what_looks_like_a_known_name_is_refused(house: House, said, why, action):
    """With the name that it looks like; it opens nothing, moves nobody, and operations see it."""
    before = await house.cases()
    again = {"revision": 2, "action": action, **said}
    for worker in ("1005", "77"):
        answer = await house.send("hr-all", worker=worker, email="b@example.com", **again)
        assert answer == (422, "not_a_termination_event")
        assert why in " ".join(house.problems)
    assert await house.cases() == before
    assert len(await house.told()) == 2


async def test_a_new_name_is_taken_where_none_is_listed(house: House):
    """As in the first hour; from then on it is known, and a site is known within its partner."""
    assert await house.send("hr-all", worker="2", partner="Contoso", site="cebu") == (
        202,
        "accepted",
    )
    assert (await house.send("hr-all", worker="3", partner="C\u00f3ntoso"))[0] == 422


async def test_of_two_new_names_that_cross_one_is_kept_for_people(house: House):
    """The hook had seen neither when it answered; the worker takes the first."""
    other = House(house.work, shared=False, remits={})  # another process
    for each, worker, name in ((house, "2", "Contoso"), (other, "3", "CONTOSO")):
        sent = await each.send(
            "hr-all", worker=worker, partner=name, dispatch=False, event_id=worker
        )
        assert sent == (202, "accepted")
    assert (await house.send("hr-all", worker="4", partner="CONTOSO", dispatch=False))[0] == 422
    while await house.dispatcher.drain_once():
        pass
    await other.client.aclose()
    assert [case[0] for case in await house.cases()] == ["Northwind BPO", "Contoso"]
    assert await house.told() == ["", "unknown_place"]


async def test_where_they_are_listed_others_are_refused(listing: House):
    """With the likely one; what is listed is taken, and none where none is given."""
    assert (await listing.send("hr-all", partner="Nortwind BPO"))[0] == 422
    assert "is 'Northwind BPO' meant?" in listing.problems[0]
    assert (await listing.send("hr-all", partner="Contoso", site="Davao"))[0] == 422
    assert await listing.cases() == []
    assert (await listing.send("hr-all", partner="Contoso", site="Manila"))[0] == 202
    assert (await listing.send("hr-all", worker="2"))[0] == 202
    assert [case[0] for case in await listing.cases()] == ["Contoso", ""]


async def test_what_hr_says_of_a_known_leaver_is_heard_whatever_is_listed_since(
    house: House, listing: House
):
    """Whoever stays is not kept out by a name: the list is asked for what opens or moves."""
    assert await house.send("hr-all", revision=2, action="rescinded", dispatch=False, **NORTH) == (
        202,
        "accepted",
    )
    while await listing.dispatcher.drain_once():
        pass
    assert [case[1] for case in await house.cases()] == ["rescinded"]
