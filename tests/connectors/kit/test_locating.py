"""Finding accounts by a spec: by a search that is proved, or by a list of everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.auth.ways import bearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.holdings import Close
from connectors.kit.pages import Offset, Shape, Total
from connectors.kit.rest import RestConnector
from connectors.kit.spec import Door, Finding, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Category, Location, Proof
from lockstep.domain.systems.faults import FaultCategory

SYSTEM = "club-test"
KEY = options.secret("key", "a key", required=True)
NUMBER = options.text("number_field", "where the employee number is")
BASE = options.address("base_url", "where", default="https://club.example.test")
EMAIL = ("email",)
CREATED = "2026-03-01T00:00:00+00:00"


def people(**params: str) -> Listed:
    call = Call("GET", "/people", "people.list", "people", params)
    shape = Shape(at=("people",), total=Total(at=("total",)))
    return Listed(call, Offset(size=100), shape)


SPEC = RestSpec(
    kind="club",
    title="Club",
    category=Category.SAAS,
    options=(BASE, KEY, NUMBER),
    base_url=BASE,
    auth=(bearer(KEY),),
    wire=Wire(Dialect("club")),
    record=Record(
        Call("GET", "/people/{id}", "people.get", "people"),
        (KeyAt(KeyKind.EMAIL, EMAIL), KeyAt(KeyKind.EMPLOYEE_NUMBER, ("more", "{number_field}"))),
        name=("name",),
        created=("made",),
    ),
    finding=Finding(
        everybody=people(),
        compared={KeyKind.USERNAME: EMAIL, KeyKind.EMAIL: EMAIL},
        search=people(query="{value}"),
        addresses_only=True,
    ),
    sign_in=SignIn((Door(("active",), shut=False),), Close()),
    permissions=(),
    lacking=("", ""),
    proves="a made-up vendor",
)
BY_SEARCH = SPEC
BY_LIST = replace(SPEC, finding=replace(SPEC.finding, search=None, addresses_only=False))
ways = pytest.mark.parametrize("spec", [BY_SEARCH, BY_LIST], ids=["search", "list"])


class Club:
    """A vendor whose search also looks at notes; ``blind`` makes it find nobody."""

    def __init__(self, *people: dict[str, Any]) -> None:
        self.people = list(people)
        self.blind = False
        self.cut = 100
        self.down: Callable[[httpx.Request], bool] = lambda _: False
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down(request):
            return httpx.Response(503)
        if request.url.path != "/people":
            wanted = request.url.path.rpartition("/")[2]
            found = [one for one in self.people if str(one["id"]) == wanted]
            return httpx.Response(200 if found else 404, json=found[0] if found else {})
        query = request.url.params.get("query")
        self.asked.append(query or "")
        hits = [one for one in self.people if not query or query.lower() in str(one).lower()]
        shown = [] if query and self.blind else hits
        start = int(request.url.params.get("offset", 0))
        page = shown[start : start + self.cut]
        return httpx.Response(200, json={"people": page, "total": len(page)})

    async def find(
        self, spec: RestSpec, *keys: Key, not_theirs: tuple[str, ...] = (), **settings: object
    ) -> Location:
        given = ConnectorOptions(SYSTEM, settings, {"key": "synthetic"})
        connector = RestConnector(spec, given, transport=httpx.MockTransport(self))
        return await connector.locate(LeaverKeys(keys), Transcript(), not_theirs=not_theirs)


def person(number: int, email: str = "first@x.test", **more: Any) -> dict[str, Any]:
    return {"id": number, "email": email, "active": True, **more}


def email(value: str) -> Key:
    return Key(KeyKind.EMAIL, value)


def account(value: str) -> Key:
    return Key(KeyKind.ACCOUNT_ID, value, SYSTEM)


def ids(found: Location) -> list[str]:
    return [match.account.id for match in found.matches]


@ways
async def test_an_unknown_id_falls_back_to_the_address(spec: RestSpec) -> None:
    """An id that is not there is no end: the address is tried, and both kinds are named."""
    found = await Club(person(7)).find(spec, email("first@x.test"), account("9"))

    assert ids(found) == ["7"]
    assert found.keys_tried == (KeyKind.ACCOUNT_ID, KeyKind.EMAIL)


@ways
async def test_everybody_of_an_address_is_told_with_all_that_tells_them_apart(
    spec: RestSpec,
) -> None:
    """Two accounts of one address, in whatever case; nothing is decided here."""
    club = Club(
        person(7, more={"staff": 4712}, name="First"), person(8, "FIRST@X.test", made=CREATED)
    )
    found = await club.find(spec, email("First@x.test"), number_field="staff")

    assert ids(found) == ["7", "8"]
    assert found.matches[0].account.known_keys == (
        email("first@x.test"),
        Key(KeyKind.EMPLOYEE_NUMBER, "4712"),
    )
    assert found.matches[0].name == "First"
    assert found.matches[1].created_at is not None
    assert found.matches[1].created_at.isoformat() == CREATED


@ways
async def test_whoever_is_merely_mentioned_is_not_found(spec: RestSpec) -> None:
    """A search by words also returns those whose notes hold the address."""
    club = Club(person(8, "other@x.test", notes="was first@x.test"), person(7))

    assert ids(await club.find(spec, email("first@x.test"))) == ["7"]


@ways
async def test_a_list_of_nobody_proves_nothing(spec: RestSpec) -> None:
    """Whoever made our credential is there: a list without any hides people."""
    found = await Club().find(spec, email("a@x.test"), email("b@x.test"))

    assert {search.proof for search in found.searches} == {Proof.UNPROVED}


@ways
async def test_whom_hr_named_is_found_while_the_rest_is_down(spec: RestSpec) -> None:
    """The id is read by itself; the other search is one that failed, with its reason."""
    club = Club(person(7))
    club.down = lambda request: request.url.path == "/people"
    found = await club.find(spec, account("7"), email("first@x.test"))

    assert ids(found) == ["7"]
    assert [row.category for row in found.unread] == [FaultCategory.VENDOR_ERROR]
    with pytest.raises(ConnectorFault):
        await club.find(spec, email("first@x.test"))


@ways
async def test_an_answer_without_a_list_is_not_nobody(spec: RestSpec) -> None:
    """It is unexpected, and no absence."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": []})

    given = ConnectorOptions(SYSTEM, {}, {"key": "synthetic"})
    connector = RestConnector(spec, given, transport=httpx.MockTransport(answer))
    with pytest.raises(ConnectorFault) as caught:
        await connector.locate(LeaverKeys((email("a@x.test"),)), Transcript())
    assert caught.value.code == "no_list"


async def test_a_blind_search_is_noticed_and_everybody_listed() -> None:
    """The very same search does not find somebody known: the list tells, page by page."""
    club = Club(*(person(number, f"p{number}@x.test") for number in range(120)))
    club.blind, club.cut = True, 50
    found = await club.find(BY_SEARCH, email("P110@x.test"))

    assert ids(found) == ["110"]
    assert found.listed == 120
    assert {search.proof for search in found.searches} == {Proof.LISTED}


async def test_a_search_that_finds_others_proves_an_absence() -> None:
    """Nobody is listed where the search was proved."""
    found = await Club(person(7)).find(BY_SEARCH, email("nobody@x.test"))

    assert found.matches == ()
    assert [search.proof for search in found.searches] == [Proof.PROVED]
    assert found.listed is None


async def test_an_absence_beside_somebody_elses_account_is_proved_too() -> None:
    """An account that a person set aside is nobody."""
    found = await Club(person(7)).find(
        BY_SEARCH, account("7"), email("b@x.test"), not_theirs=("7",)
    )

    assert {search.proof for search in found.searches} == {Proof.BY_ID, Proof.PROVED}


async def test_one_address_is_asked_for_once() -> None:
    """A user name that is the address is the same search; a short one is none here."""
    club = Club(person(7))
    found = await club.find(
        BY_SEARCH,
        Key(KeyKind.USERNAME, "First@x.test"),
        Key(KeyKind.USERNAME, "first"),
        email("first@x.test"),
    )

    assert len(club.asked) == 1
    assert [search.kind for search in found.searches] == [KeyKind.USERNAME]


async def test_a_short_name_is_compared_with_what_stands_before_the_at() -> None:
    """Compared whole it could find nobody, and would count as a search that did."""
    found = await Club(person(7)).find(BY_LIST, Key(KeyKind.USERNAME, "First"))

    assert ids(found) == ["7"]
    assert [search.proof for search in found.searches] == [Proof.LISTED]


async def test_without_a_usable_key_nothing_is_asked() -> None:
    """A leaver of whom only a number is known costs no list."""
    club = Club(person(7))
    found = await club.find(BY_LIST, Key(KeyKind.WORKER_ID, "w1"))

    assert (found.searches, club.asked) == ((), [])


@pytest.mark.parametrize("kind", sorted(set(KeyKind) - {KeyKind.USERNAME, KeyKind.EMAIL}))
def test_a_row_by_which_nobody_would_be_searched_for_is_refused(kind: KeyKind) -> None:
    """A number in ``compared`` would look like a search, and find nobody without a word."""
    with pytest.raises(ValueError, match=f"nobody is searched for by {kind}"):
        replace(SPEC.finding, compared={KeyKind.EMAIL: ("email",), kind: ("number",)})
