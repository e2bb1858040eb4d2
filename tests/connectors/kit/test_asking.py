"""Finding accounts at a vendor that can be asked in several ways, each of them proved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.finding.asking import BY_ID, Asking, Hit, Question, Way, keys_for
from connectors.kit.finding.searching import Searching
from connectors.kit.pages import Item
from connectors.kit.rest import RestConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.kit.test_locating import SPEC, SYSTEM

FULL = 4
NAME = Way("name", KeyKind.EMAIL)
"""A read, which shows the account as it is."""
MAIL = Way("mail", KeyKind.EMAIL, "email")
NUMBER = Way("number", KeyKind.EMPLOYEE_NUMBER, "number")
BEGINS = Way("begins", KeyKind.EMAIL, "email", is_prefix=True)


@dataclass
class Town:
    """A vendor of a few people; ``stale`` is what its index believes of them.

    Args:
        people: records by id.
        blind: ways by which nobody is found.
        ignores: ways whose question is not heeded.
        fails: ways that have no answer.
    """

    people: dict[str, dict[str, Any]]
    stale: dict[str, dict[str, Any]] = field(default_factory=dict)
    blind: frozenset[Way] = frozenset()
    ignores: frozenset[Way] = frozenset()
    fails: frozenset[Way] = frozenset()
    hides: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.removeprefix("/people").removeprefix("/")
        self.asked.append(name or "everybody")
        if not name:
            listed = [] if self.hides else list(map(self._record, self.people))
            return httpx.Response(200, json={"people": listed, "total": len(listed)})
        found = name in self.people
        return httpx.Response(200 if found else 404, json=self._record(name) if found else {})

    def _record(self, name: str) -> Item:
        return {"id": name, "active": True, **self.people[name]}

    def first(self, keys: Iterable[Key]) -> Iterator[Question]:
        ways = {KeyKind.ACCOUNT_ID: [BY_ID], KeyKind.EMPLOYEE_NUMBER: [NUMBER]}
        return ((key, way) for key in keys for way in ways.get(key.kind, [MAIL, NAME]))

    def further(self, keys: Iterable[Key]) -> Iterator[Question]:
        return ((key, BEGINS) for key in keys if key.kind is KeyKind.USERNAME)

    def proves(self, record: Item) -> bool:
        return not record.get("odd")

    async def ask(self, key: Key, way: Way, transcript: Transcript) -> Hit:
        wanted = way.wanted(key.value)
        self.asked.append(f"{way.name} {wanted}")
        if way in self.fails:
            raise ConnectorFault(FaultCategory.VENDOR_ERROR, connector="club", operation=way.name)
        if way in self.ignores:
            return Hit(key, way, list(map(self._record, self.people)), Proof.UNPROVED)
        if way == BY_ID:
            return Hit(key, way, [self._record(key.value)] if key.value in self.people else [])
        found = [
            self._record(one) | self.stale.get(one, {})
            for one in self.people
            if way not in self.blind and self._fits(one, way, wanted.lower())
        ]
        return Hit(key, way, found)

    def _fits(self, name: str, way: Way, wanted: str) -> bool:
        person = {**self.people[name], **(self.stale.get(name, {}) if way.attribute else {})}
        if way is NUMBER:
            return bool(person.get("more", {}).get("number") == wanted)
        email = str(person["email"])
        return email.startswith(wanted) if way.is_prefix else email == wanted

    async def locate(self, *keys: Key, not_theirs: tuple[str, ...] = ()) -> Location:
        return await self.asking().locate(
            keys_for(LeaverKeys(keys), SYSTEM), Transcript(), Searching(not_theirs)
        )

    def asking(self) -> Asking:
        given = ConnectorOptions(SYSTEM, {"number_field": "number"}, {"key": "k"})
        connector = RestConnector(SPEC, given, transport=httpx.MockTransport(self))
        parts = connector._parts
        everybody = SPEC.finding.everybody
        return Asking(self, parts.api, parts.records, everybody, full=FULL)


ANA = {"email": "ana@a.example", "more": {"number": "7"}}
BEA = {"email": "bea@a.example"}
MAILED = Key(KeyKind.EMAIL, "ana@a.example")
NUMBERED = Key(KeyKind.EMPLOYEE_NUMBER, "7")
NOBODY = Key(KeyKind.EMAIL, "nobody@a.example")


def ids(found: Location) -> set[str]:
    return {match.account.id for match in found.matches}


def proofs(found: Location) -> list[Proof]:
    return [one.proof for one in found.searches]


async def test_whoever_is_found_costs_no_proof_and_no_list() -> None:
    """Each key is asked for once, and what a search showed is read again by id."""
    town = Town({"p1": ANA, "p2": BEA})
    found = await town.locate(NUMBERED, MAILED)

    assert ids(found) == {"p1"}
    assert found.matches[0].found_by is KeyKind.EMPLOYEE_NUMBER
    assert set(proofs(found)) == {Proof.PROVED}
    assert "everybody" not in town.asked


async def test_an_index_is_not_believed() -> None:
    """An account that it finds by what it holds no more is no match."""
    town = Town({"p1": BEA, "p2": ANA}, stale={"p1": {"email": "old@a.example"}})

    assert ids(await town.locate(Key(KeyKind.EMAIL, "old@a.example"))) == set()


@pytest.mark.parametrize("key", [Key(KeyKind.USERNAME, "ana"), Key(KeyKind.USERNAME, "ANA")])
async def test_a_further_question_finds_what_the_first_did_not(key: Key) -> None:
    """A short name is the beginning of a login: told, for a person to decide."""
    assert ids(await Town({"p1": ANA, "p2": BEA}).locate(key)) == {"p1"}


async def test_a_name_where_an_id_should_be_is_a_name() -> None:
    """HR's id finds an account of another id: it is told as found by a name."""
    town = Town({"p1": ANA})
    other = {"ana@a.example": "p1"}
    ask = town.ask

    async def by_name(key: Key, way: Way, transcript: Transcript) -> Hit:
        real = Key(key.kind, other.get(key.value, key.value))
        return Hit(key, way, (await ask(real, way, transcript)).records)

    town.ask = by_name  # type: ignore[method-assign] # a vendor that reads names as ids
    (match,) = (await town.locate(Key(KeyKind.ACCOUNT_ID, "ana@a.example"))).matches

    assert (match.account.id, match.found_by) == ("p1", KeyKind.USERNAME)


async def test_nobody_is_proved_by_known_accounts_once_a_day() -> None:
    """Each way must find somebody who is there, in another case; and remembers that it did."""
    town = Town({"p1": ANA, "p2": BEA})
    asking = town.asking()
    wanted = keys_for(LeaverKeys((NOBODY, Key(KeyKind.EMPLOYEE_NUMBER, "0"))), SYSTEM)
    found = await asking.locate(wanted, Transcript(), Searching())
    town.asked.clear()
    await asking.locate(wanted, Transcript(), Searching())

    assert (found.matches, set(proofs(found)), found.listed) == ((), {Proof.PROVED}, None)
    assert sorted(town.asked) == ["mail nobody@a.example", "name nobody@a.example", "number 0"]
    asking.forget()
    await asking.locate(wanted, Transcript(), Searching())
    assert "mail ANA@A.EXAMPLE" in town.asked


async def test_the_proof_asks_for_an_account_that_can_be_asked_for() -> None:
    """One that a read cannot name comes last in the sample."""
    town = Town({"p1": {**ANA, "odd": True}, "p2": BEA})
    await town.asking().proof(NAME, Transcript())

    assert "name BEA@A.EXAMPLE" in town.asked


@pytest.mark.parametrize(
    "town",
    [
        Town({"p1": BEA, "p2": ANA}, blind=frozenset({MAIL, NAME, NUMBER})),
        Town({"p1": BEA, "p2": ANA}, blind=frozenset({NAME}), ignores=frozenset({MAIL, NUMBER})),
    ],
    ids=["blind", "ignores the question"],
)
async def test_a_way_that_cannot_find_is_noticed_and_all_are_listed(town: Town) -> None:
    """The list tells whoever holds a key, and nobody else; and says of how many."""
    found = await town.locate(MAILED, NUMBERED)
    nobody = await town.locate(NOBODY)

    assert ids(found) == {"p2"}
    assert (nobody.matches, proofs(nobody), nobody.listed) == ((), [Proof.LISTED], 2)


async def test_a_key_that_nobody_holds_was_not_searched_for() -> None:
    """A list settles what it shows of anybody, and nothing else."""
    found = await Town({"p1": BEA}, blind=frozenset({MAIL})).locate(NOBODY, NUMBERED)

    assert dict(zip((one.kind for one in found.searches), proofs(found), strict=True)) == {
        KeyKind.EMPLOYEE_NUMBER: Proof.NOT_HELD,
        KeyKind.EMAIL: Proof.LISTED,
    }


@pytest.mark.parametrize(
    "town",
    [
        Town({"p1": ANA}, hides=True),
        Town({f"p{n}": BEA for n in range(FULL)}, blind=frozenset({MAIL})),
    ],
    ids=["a list that hides everybody", "a full page that ends the list"],
)
async def test_a_list_that_may_hide_somebody_proves_nothing(town: Town) -> None:
    """Whoever made our credential is an account, and a link to the next page may be lost."""
    found = await town.locate(NOBODY)

    assert (proofs(found), found.listed) == ([Proof.UNPROVED], None)


async def test_a_question_without_an_answer_hides_nobody_and_proves_nothing() -> None:
    """Whoever another question found is told, with the fault; else the fault is the answer."""
    town = Town({"p1": ANA}, fails=frozenset({MAIL}))
    found = await town.locate(MAILED, NUMBERED)

    assert (ids(found), [row.operation for row in found.unread]) == ({"p1"}, ["mail"])
    assert Proof.FAILED in proofs(found)
    with pytest.raises(ConnectorFault):
        await town.locate(NOBODY)


async def test_whoever_is_not_theirs_is_nobody() -> None:
    """Beside an account that a person set aside, an absence needs the same proof."""
    town = Town({"p1": ANA, "p2": BEA})
    found = await town.locate(MAILED, not_theirs=("p1",))

    assert (ids(found), set(proofs(found))) == ({"p1"}, {Proof.PROVED})
    assert "mail ANA@A.EXAMPLE" in town.asked
