"""Finding people at SCIM servers as they are, and proving that nobody is there."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.scim.wire import Query, attribute, queries_for, text
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Location, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Absence, absence
from tests.connectors.scim.odd import (
    HTML,
    Answer,
    OddScim,
    Thing,
    connected,
    error,
    located,
    person,
)
from tests.connectors.scim.script import ENTERPRISE, keys

NOBODY = keys(username="nobody@example.test", email="no.one@example.test")
CROWD = [person(f"u{n}", f"p{n}@example.test") for n in range(230)]
LAST = keys(email="p229@example.test")


def said(location: Location) -> Absence:
    assert location.matches == ()
    return absence(location, accept_single_key=False)


def ids(location: Location) -> list[str]:
    return [match.account.id for match in location.matches]


def upper(thing: Thing) -> Thing:
    return {name.upper(): value for name, value in thing.items()}


@pytest.mark.parametrize(
    "user",
    [
        {"emails": ["ann@example.test"]},
        {"emails": "ann@example.test"},
        {"emails": {"value": "ann@example.test"}},
        {"emails": [{"value": "work@example.test"}, "ann@example.test"]},
        {"emails": [{"type": "work", "display": "Ann@Example.test"}]},
        {"emails": [{"Value": "ann@example.test"}]},
        {"Emails": [{"VALUE": "ann@example.test"}], "emails": None},
        {"email": "ann@example.test", "emails": []},
    ],
    ids=str,
)
async def test_an_address_is_found_however_it_is_written(user: dict[str, object]) -> None:
    """Strings, objects, lists of both, without ``value``, attribute names in any case."""
    server = OddScim([{**person(name="asantos"), **user}, person("u2", "bob")])

    assert ids(await located(server, keys(email="ann@example.test"))) == ["u1"]


@pytest.mark.parametrize(
    "held",
    [
        {ENTERPRISE: {"employeeNumber": "10442"}},
        {ENTERPRISE: {"employeeNumber": 10442}},
        {ENTERPRISE.upper(): {"EMPLOYEENUMBER": "10442"}},
        {f"{ENTERPRISE}:employeeNumber": "10442"},
        {"employeeNumber": "10442"},
        {"externalId": 10442},
        {"EXTERNALID": "10442"},
    ],
    ids=str,
)
async def test_a_number_is_found_however_it_is_held(held: dict[str, object]) -> None:
    """Numbers are text, and the extension may stand under another case or flattened."""
    server = OddScim([person(**held), person("u2", "bob")])

    location = await located(server, keys(employee_number="10442"))

    assert ids(location) == ["u1"]
    assert "10442" in {key.value for key in location.matches[0].account.known_keys}


async def test_attribute_names_are_read_in_any_case() -> None:
    """RFC 7643 section 2.1: that holds for the list, the users in it and their records."""

    class Upper(OddScim):
        def show(self, user: Thing) -> Thing:
            return upper(user)

        def listed(self, things: list[Thing], start: int, count: int) -> Answer:
            status, body = super().listed(things, start, count)
            assert isinstance(body, dict)
            return status, upper(body)

    location = await located(Upper([person(7)]), keys(email="ann@example.test"))

    assert ids(location) == ["7"]
    assert location.matches[0].seen is not None
    assert location.matches[0].seen.signs_in


class Unfiltered(OddScim):
    """No filter; ``total`` is what the server claims, of all and of the page."""

    def total(self, everything: int, page: int) -> object:
        del page
        return everything

    def config(self) -> Answer:
        return 200, {"filter": {"supported": False}}

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        status, body = super().listed(things, start, count)
        assert isinstance(body, dict)
        body["totalResults"] = self.total(len(things), len(body["Resources"]))
        return status, body


class PageTotal(Unfiltered):
    def total(self, everything: int, page: int) -> object:
        return page


class NoTotal(Unfiltered):
    def total(self, everything: int, page: int) -> object:
        return None


class TextTotal(Unfiltered):
    def total(self, everything: int, page: int) -> object:
        return str(everything)


class SmallTotal(Unfiltered):
    def total(self, everything: int, page: int) -> object:
        return 3


class TinyPages(PageTotal):
    page_max = 7


class FromZero(PageTotal):
    """``startIndex`` counts from 0, so that asking from 1 leaves out the first."""

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, start + 1, count)


class PageNumbers(PageTotal):
    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, (start - 1) * 100 + 1, count)


class Overlapping(Unfiltered):
    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, max(1, start - 7), count)


class Clamping(Unfiltered):
    """Beyond the end the last page comes again."""

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, min(start, max(1, len(things) - count + 1)), count)


class AllAtOnce(Unfiltered):
    page_max = 10**6

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, 1, 10**6)


class FirstHidden(Unfiltered):
    """A page of people whom we may not see comes first, and is empty."""

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        if start <= 1 and len(things) > count:
            return 200, {"totalResults": len(things), "Resources": []}
        return super().listed(things, start, count)


class Cursors(Unfiltered):
    """RFC 9865: where the list goes on stands in its answer."""

    def refuses(self, request: httpx.Request) -> Answer | None:
        if request.method != "GET" or request.url.path != "/v2/Users":
            return None
        start = int(request.url.params.get("cursor", "0"))
        everybody = list(self.users.values())
        more = {"nextCursor": str(start + 50)} if start + 50 < len(everybody) else {}
        page = everybody[start : start + 50]
        return 200, {"totalResults": len(everybody), "Resources": page, **more}


WHOLE = [
    *(Unfiltered, PageTotal, NoTotal, TextTotal, SmallTotal, TinyPages, FromZero, PageNumbers),
    *(Overlapping, Clamping, AllAtOnce, Cursors),
]


@pytest.mark.parametrize("kind", [*WHOLE, FirstHidden])
@pytest.mark.parametrize("wanted", ["p229@example.test", "p120@example.test"])
async def test_everybody_is_listed_however_the_server_pages(
    kind: type[OddScim], wanted: str
) -> None:
    """Whoever is on a later page is found: the list goes on until nothing new comes."""
    location = await located(kind(CROWD), keys(email=wanted))

    assert ids(location) == [wanted.replace("p", "u").partition("@")[0]]


@pytest.mark.parametrize("kind", [FromZero, PageTotal])
async def test_the_first_of_the_list_is_seen(kind: type[OddScim]) -> None:
    """A server that counts from 0 does not hide its first user."""
    assert ids(await located(kind(CROWD), keys(email="p0@example.test"))) == ["u0"]


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_whole_list_proves_an_absence(kind: type[OddScim]) -> None:
    """What agrees with its own claim is all there is."""
    location = await located(kind(CROWD), NOBODY)

    assert said(location) is Absence.PROVED
    assert location.listed == len(CROWD)
    assert {search.proof for search in location.searches} == {Proof.LISTED}


class Claiming(Unfiltered):
    def total(self, everything: int, page: int) -> object:
        return everything + 1


class SameAgain(Unfiltered):
    """``startIndex`` is ignored, ``count`` is not."""

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, 1, count)


class SameAgainPageTotal(SameAgain):
    def total(self, everything: int, page: int) -> object:
        return page


@pytest.mark.parametrize("kind", [Claiming, SameAgain, SameAgainPageTotal, FirstHidden])
async def test_a_list_that_hides_somebody_proves_nothing(kind: type[OddScim]) -> None:
    """A claim larger than what was seen, or a page that comes again, leaves it to a person."""
    assert said(await located(kind(CROWD), NOBODY)) is Absence.UNPROVED


class CutForAll(Unfiltered):
    """Only the first hundred are shown, and counted."""

    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things[:100], start, count)


class CutAndDeaf(CutForAll):
    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things, 1, 10**6)


class TwentyAndNoTotal(NoTotal):
    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        return super().listed(things[:20], 1, 10**6)


@pytest.mark.parametrize("kind", [CutForAll, CutAndDeaf, TwentyAndNoTotal])
async def test_a_list_that_ends_where_servers_cut_proves_nothing(kind: type[OddScim]) -> None:
    """What is cut is counted as cut: a list of exactly so many may be the start of a longer one."""
    assert said(await located(kind(CROWD), NOBODY)) is Absence.UNPROVED


class CaseSensitive(OddScim):
    def same(self, attribute: str, held: object, wanted: str) -> bool:
        return str(held) == wanted


class Blind(OddScim):
    def matching(self, things: list[Thing], wanted: str) -> list[Thing]:
        return []


class BlindForEmails(OddScim):
    def matching(self, things: list[Thing], wanted: str) -> list[Thing]:
        return [] if wanted.startswith("emails") else super().matching(things, wanted)


class Ignoring(OddScim):
    def matching(self, things: list[Thing], wanted: str) -> list[Thing]:
        return things


class PrimaryOnly(OddScim):
    def values(self, thing: Thing, attribute: str) -> list[object]:
        return super().values(thing, attribute)[:1]


TWO = [{"value": "first@example.test"}, {"value": "Ann@example.test"}]
PEOPLE = [person(name="asantos", emails=TWO), person("u2", "bob", emails=["bob@example.test"])]


@pytest.mark.parametrize("kind", [CaseSensitive, Blind, BlindForEmails, Ignoring, PrimaryOnly])
async def test_a_filter_that_does_not_find_is_replaced_by_a_list(kind: type[OddScim]) -> None:
    """A search that fails for somebody known is not believed about somebody unknown."""
    server = kind(PEOPLE)

    assert ids(await located(server, keys(email="ann@example.test"))) == ["u1"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 414, 422, 500, 501])
@pytest.mark.parametrize("page", [None, HTML])
async def test_a_refused_filter_is_replaced_by_a_list(status: int, page: str | None) -> None:
    """Whatever a server answers to a filter that it does not know, the list is asked."""

    class Refusing(OddScim):
        def list_users(self, wanted: str | None, start: int, count: int) -> Answer:
            if wanted:
                return (status, page) if page else error(status)
            return super().list_users(wanted, start, count)

    assert ids(await located(Refusing(CROWD), LAST)) == ["u229"]
    assert said(await located(Refusing(CROWD), NOBODY)) is Absence.PROVED


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
async def test_without_a_list_a_proof_is_missing(status: int) -> None:
    """A filter that works finds; that it finds nobody proves nothing where nothing is listed."""

    class Unlisted(OddScim):
        def list_users(self, wanted: str | None, start: int, count: int) -> Answer:
            return super().list_users(wanted, start, count) if wanted else error(status)

    assert ids(await located(Unlisted(CROWD), LAST)) == ["u229"]
    assert said(await located(Unlisted(CROWD), NOBODY)) is Absence.UNPROVED


async def test_an_attribute_that_nobody_holds_was_not_searched() -> None:
    """A worker id is no key where the server holds none for anybody."""
    location = await located(
        OddScim(CROWD), keys(worker_id="w1", username="nobody@example.test", email="x@example.test")
    )

    proofs = {search.kind: search.proof for search in location.searches}
    assert proofs == {
        KeyKind.WORKER_ID: Proof.NOT_HELD,
        KeyKind.USERNAME: Proof.PROVED,
        KeyKind.EMAIL: Proof.PROVED,
    }
    assert location.listed is None, "a proved search needs no list"


async def test_an_address_among_names_that_are_none_was_not_searched() -> None:
    """Where addresses are not shown and user names are no addresses, an address finds nobody."""

    class Hiding(Blind):
        def show(self, user: Thing) -> Thing:
            return {name: value for name, value in user.items() if name != "emails"}

    location = await located(Hiding(PEOPLE), keys(username="no.one", email="ann@example.test"))

    assert said(location) is Absence.TOO_FEW_KEYS


@pytest.mark.parametrize("kind", [OddScim, Blind])
async def test_a_short_name_among_names_that_are_addresses_was_not_searched(
    kind: type[OddScim],
) -> None:
    """Where all user names are addresses a short name finds nobody: one key is left."""
    people = [{**person(f"u{n}", f"p{n}"), "userName": f"p{n}@example.test"} for n in range(3)]
    location = await located(kind(people), keys(username="p1", email="renamed@example.test"))

    assert {one.kind: one.proof for one in location.searches}[KeyKind.USERNAME] is Proof.NOT_HELD
    assert said(location) is Absence.TOO_FEW_KEYS


async def test_a_list_that_shows_less_than_the_record_proves_less() -> None:
    """What the users' own records hold and the list leaves out cannot be compared in it."""

    class Short(Unfiltered):
        def listed(self, things: list[Thing], start: int, count: int) -> Answer:
            short = [{name: one[name] for name in ("id", "userName")} for one in things]
            return super().listed(short, start, count)

    location = await located(Short(PEOPLE), keys(username="no.one", email="ann@example.test"))

    assert said(location) is Absence.UNPROVED


async def test_a_filter_may_find_by_what_its_answer_does_not_show() -> None:
    """The account is told if the server heeds the filter; the law asks a person about it."""

    class Hiding(OddScim):
        def show(self, user: Thing) -> Thing:
            return {name: value for name, value in user.items() if name != "emails"}

    assert ids(await located(Hiding(PEOPLE), keys(email="ann@example.test"))) == ["u1"]


@pytest.mark.parametrize(("held", "sent"), [("W-1", "w-1"), ("w-1", "W-1")])
async def test_numbers_are_searched_in_other_cases(held: str, sent: str) -> None:
    """The externalId heeds case (RFC 7643); HR need not write it as the server does."""
    server = CaseSensitive([person(externalId=held), person("u2", "bob", externalId="W-2")])

    assert ids(await located(server, keys(worker_id=sent))) == ["u1"]


@pytest.mark.parametrize(
    "config", [(500, HTML), (200, HTML), (401, None), (200, [1]), (200, {"filter": "yes"})]
)
async def test_a_broken_configuration_blocks_nothing(config: Answer) -> None:
    """/ServiceProviderConfig is a courtesy, whatever it answers."""

    class Broken(OddScim):
        def config(self) -> Answer:
            return config

    assert ids(await located(Broken(PEOPLE), keys(username="asantos"))) == ["u1"]


async def test_a_slow_configuration_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps its configuration back is asked without it."""
    monkeypatch.setattr("connectors.scim.client._CONFIG_S", 0.01)
    server = OddScim(PEOPLE)

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("ServiceProviderConfig"):
            await asyncio.sleep(5)
        return server.answer(request)

    async with connected(server) as connector:
        connector._client._http._transport = httpx.MockTransport(slow)
        async with asyncio.timeout(2):
            location = await connector.locate(keys(username="asantos"), Transcript())

    assert ids(location) == ["u1"]


@pytest.mark.parametrize("answer", [(404, HTML), error(404), (302, None), (405, None)])
@pytest.mark.parametrize("given", ["u1", None])
async def test_a_wrong_address_is_a_wrong_setting(answer: Answer, given: str | None) -> None:
    """A server that answers 404 to everything knows nobody, and proves nothing."""

    class Elsewhere(OddScim):
        def refuses(self, request: httpx.Request) -> Answer | None:
            return answer

    known = (Key(KeyKind.ACCOUNT_ID, given, "scim-test"),) if given else ()
    sent = LeaverKeys((*known, *NOBODY.keys))
    with pytest.raises(ConnectorFault) as caught:
        await located(Elsewhere(), sent)
    async with connected(Elsewhere()) as connector:
        health = await connector.health(Transcript())

    if not (given and answer[0] in {302, 405}):  # those are no answer about a user
        assert caught.value.category is FaultCategory.MISCONFIGURED
        assert "wrong_address" in caught.value.code
    assert "version segment" in health.problems[0].fix


async def test_an_id_that_is_gone_is_proved_by_a_living_list() -> None:
    """HR's id is unknown, and the endpoint that says so lives."""
    sent = LeaverKeys((Key(KeyKind.ACCOUNT_ID, "u9", "scim-test"), *NOBODY.keys))
    location = await located(OddScim(CROWD), sent)

    assert location.searches[0].proof is Proof.BY_ID


async def test_an_empty_directory_has_nobody() -> None:
    """A list of nobody says so itself; one that claims people and shows none does not."""

    class Claims(OddScim):
        def listed(self, things: list[Thing], start: int, count: int) -> Answer:
            return 200, {"totalResults": 9, "Resources": []}

    empty = await located(OddScim(), NOBODY)

    assert said(empty) is Absence.PROVED
    assert empty.listed == 0
    assert said(await located(Claims(CROWD), NOBODY)) is Absence.UNPROVED


async def test_a_long_directory_is_walked_to_its_end() -> None:
    """No bound of ours ends a list: of 50,000 the last is found."""
    crowd = [person(f"u{n}", f"p{n}@example.test") for n in range(50_000)]

    class Long(Unfiltered):
        def show(self, user: Thing) -> Thing:
            return user

        def list_users(self, wanted: str | None, start: int, count: int) -> Answer:
            page = crowd[start - 1 : start - 1 + count] if start else []
            return 200, {"totalResults": len(crowd), "Resources": page}

    location = await located(Long([crowd[0]]), keys(email="p49999@example.test"))

    assert ids(location) == ["u49999"]
    assert location.listed == 50_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(53, "53"), (53.0, "53"), (" 53 ", "53"), (True, ""), (None, ""), ([], ""), (1.5, "1.5")],
)
def test_ids_are_text_whatever_their_type(value: object, expected: str) -> None:
    """A number and its digits are one id; what can be no id is none."""
    assert text(value) == expected


def test_one_word_is_searched_once_for_each_attribute() -> None:
    """A user name that is the address too is not searched for twice."""
    found = queries_for(keys(username="ann@example.test", email="ann@example.test"))

    assert [(query.kind, query.attribute) for query in found] == [
        (KeyKind.USERNAME, "userName"),
        (KeyKind.EMAIL, "emails.value"),
    ]


def test_only_attributes_that_heed_case_are_spelled_anew() -> None:
    """A filter on a user name must find by itself, whatever the case."""
    number = Query(KeyKind.WORKER_ID, "externalId", "w-1")
    name = Query(KeyKind.USERNAME, "userName", "Ann")

    assert number.spellings == ("w-1", "W-1")
    assert name.spellings == ("Ann",)


@pytest.mark.parametrize(
    ("thing", "expected"), [({"Id": 1}, 1), ({"id": 2, "ID": 1}, 2), ([], None), ("id", None)]
)
def test_an_attribute_is_looked_up_in_any_case(thing: Any, expected: object) -> None:
    """The exact name wins over another case of it."""
    assert attribute(thing, "id") == expected
