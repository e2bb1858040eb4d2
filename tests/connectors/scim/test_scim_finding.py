"""Finding people at SCIM servers as they are, and proving that nobody is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
    Base,
    OddScim,
    Thing,
    connected,
    error,
    located,
    odd,
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


def given(user_id: str) -> LeaverKeys:
    return LeaverKeys((Key(KeyKind.ACCOUNT_ID, user_id, "scim-test"), *NOBODY.keys))


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


def paged(
    *,
    total: Callable[[int, int], object] = lambda everything, _: everything,
    at: Callable[[int, int, int], int] = lambda start, _count, _size: start,
    count: int | None = None,
    cut: int | None = None,
    page_max: int = 100,
) -> Base:
    """A server that filters nothing, and pages in its own way.

    Args:
        total: what it claims, of all and of the page.
        at: where a page begins, by what was asked for, the page's size and that of the list.
        count: shows so many, whatever was asked for.
        cut: so many are all there are, for us.
        page_max: shows no more.
    """

    def listed(self: OddScim, things: list[Thing], start: int, asked: int) -> Answer:
        shown = things[:cut]
        first = at(start, asked, len(shown))
        status, body = OddScim.listed(self, shown, first, count or asked)
        assert isinstance(body, dict)
        return status, {**body, "totalResults": total(len(shown), len(body["Resources"]))}

    config = 200, {"filter": {"supported": False}}
    return odd(config=lambda _: config, listed=listed, page_max=page_max)


def of_page(_: int, page: int) -> int:
    return page


def first_hidden(self: OddScim, things: list[Thing], start: int, count: int) -> Answer:
    """A page of people whom we may not see comes first, and is empty."""
    if start <= 1 and len(things) > count:
        return 200, {"totalResults": len(things), "Resources": []}
    return OddScim.listed(self, things, start, count)


def cursors(self: OddScim, request: httpx.Request) -> Answer | None:
    """RFC 9865: where the list goes on stands in its answer."""
    if request.method != "GET" or request.url.path != "/v2/Users":
        return None
    start = int(request.url.params.get("cursor", "0"))
    everybody = list(self.users.values())
    more = {"nextCursor": str(start + 50)} if start + 50 < len(everybody) else {}
    page = everybody[start : start + 50]
    return 200, {"totalResults": len(everybody), "Resources": page, **more}


WHOLE = {
    "as the RFC has it": paged(),
    "counts the page": paged(total=of_page),
    "counts nothing": paged(total=lambda *_: None),
    "counts in text": paged(total=lambda everything, _: str(everything)),
    "counts too few": paged(total=lambda *_: 3),
    "tiny pages": paged(total=of_page, page_max=7),
    "begins at 0": paged(total=of_page, at=lambda start, *_: start + 1),
    "startIndex is a page's number": paged(
        total=of_page, at=lambda start, *_: (start - 1) * 100 + 1
    ),
    "pages overlap": paged(at=lambda start, *_: max(1, start - 7)),
    "the last page comes again": paged(
        at=lambda start, count, size: min(start, max(1, size - count + 1))
    ),
    "all at once": paged(at=lambda *_: 1, count=10**6, page_max=10**6),
    "cursors": odd(paged(), refuses=cursors),
}
HIDES_FIRST = odd(paged(), listed=first_hidden)


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_list_is_whole_however_the_server_pages(kind: str) -> None:
    """First, middle and last are found, and what agrees with its own claim proves an absence."""
    server = WHOLE[kind](CROWD)
    for number in (0, 120, 229):
        found = await located(server, keys(email=f"p{number}@example.test"))
        assert ids(found) == [f"u{number}"]
    location = await located(server, NOBODY)

    assert said(location) is Absence.PROVED
    assert location.listed == len(CROWD)
    assert {search.proof for search in location.searches} == {Proof.LISTED}


PARTS = {
    "claims more than it shows": paged(total=lambda everything, _: everything + 1),
    "the first page comes again": paged(at=lambda *_: 1),
    "the first page, counted as all": paged(at=lambda *_: 1, total=of_page),
    "hides its first page": HIDES_FIRST,
    # What is cut is counted as cut: a list of exactly so many may be the start of a longer one.
    "cut at a hundred": paged(cut=100),
    "cut at a hundred, deaf to paging": paged(cut=100, at=lambda *_: 1, count=10**6),
    "cut at twenty, counting nothing": paged(
        cut=20, at=lambda *_: 1, count=10**6, total=lambda *_: None
    ),
}


@pytest.mark.parametrize("kind", PARTS)
async def test_a_list_that_hides_somebody_proves_nothing(kind: str) -> None:
    """A claim larger than what was seen, a page that comes again, a usual cut: for a person."""
    assert said(await located(PARTS[kind](CROWD), NOBODY)) is Absence.UNPROVED


async def test_an_empty_page_does_not_end_a_list() -> None:
    """Whoever stands behind a page that we may not see is found."""
    assert ids(await located(HIDES_FIRST(CROWD), LAST)) == ["u229"]


BLIND = odd(matching=lambda *_: [])
NOT_FINDING = {
    "heeds case": odd(same=lambda _, _attribute, held, wanted: str(held) == wanted),
    "blind": BLIND,
    "blind for addresses": odd(
        matching=lambda self, things, wanted: (
            [] if wanted.startswith("emails") else OddScim.matching(self, things, wanted)
        )
    ),
    "ignores filters": odd(matching=lambda _, things, _wanted: things),
    "primary address only": odd(
        values=lambda self, thing, name: OddScim.values(self, thing, name)[:1]
    ),
}
HIDING = odd(show=lambda _, user: {name: user[name] for name in user if name != "emails"})
TWO = [{"value": "first@example.test"}, {"value": "Ann@example.test"}]
PEOPLE = [person(name="asantos", emails=TWO), person("u2", "bob", emails=["bob@example.test"])]


@pytest.mark.parametrize("kind", NOT_FINDING)
async def test_a_filter_that_does_not_find_is_replaced_by_a_list(kind: str) -> None:
    """A search that fails for somebody known is not believed about somebody unknown."""
    server = NOT_FINDING[kind](PEOPLE)

    assert ids(await located(server, keys(email="ann@example.test"))) == ["u1"]


async def test_a_filter_that_is_ignored_by_now_is_not_believed() -> None:
    """That it was proved before does not count: everybody is listed and compared."""
    server = OddScim(CROWD)
    async with connected(server) as connector:
        before = await connector.locate(NOBODY, Transcript())
        server.matching = lambda things, _wanted: things  # type: ignore[method-assign] - odd by now
        after = await connector.locate(NOBODY, Transcript())

    assert (before.listed, after.listed) == (None, len(CROWD))


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

    assert {search.kind: search.proof for search in location.searches} == {
        KeyKind.WORKER_ID: Proof.NOT_HELD,
        KeyKind.USERNAME: Proof.PROVED,
        KeyKind.EMAIL: Proof.PROVED,
    }
    assert location.listed is None, "a proved search needs no list"


async def test_an_address_among_names_that_are_none_was_not_searched() -> None:
    """Where addresses are not shown and user names are no addresses, an address finds nobody."""
    blind = odd(HIDING, matching=lambda *_: [])
    location = await located(blind(PEOPLE), keys(username="no.one", email="ann@example.test"))

    assert said(location) is Absence.TOO_FEW_KEYS


@pytest.mark.parametrize("kind", [OddScim, BLIND])
async def test_a_short_name_among_names_that_are_addresses_was_not_searched(kind: Base) -> None:
    """Where all user names are addresses a short name finds nobody: one key is left."""
    people = [{**person(f"u{n}", f"p{n}"), "userName": f"p{n}@example.test"} for n in range(3)]
    location = await located(kind(people), keys(username="p1", email="renamed@example.test"))

    assert {one.kind: one.proof for one in location.searches}[KeyKind.USERNAME] is Proof.NOT_HELD
    assert said(location) is Absence.TOO_FEW_KEYS


async def test_a_list_that_shows_less_than_the_record_proves_less() -> None:
    """What the users' own records hold and the list leaves out cannot be compared in it."""
    kind = paged()

    class Short(kind):  # type: ignore[misc,valid-type] - made by a function
        def listed(self, things: list[Thing], start: int, count: int) -> Answer:
            short = [{name: one[name] for name in ("id", "userName")} for one in things]
            answer: Answer = super().listed(short, start, count)
            return answer

    location = await located(Short(PEOPLE), keys(username="no.one", email="ann@example.test"))

    assert said(location) is Absence.UNPROVED


async def test_a_filter_may_find_by_what_its_answer_does_not_show() -> None:
    """The account is told if the server heeds the filter; the law asks a person about it."""
    assert ids(await located(HIDING(PEOPLE), keys(email="ann@example.test"))) == ["u1"]


@pytest.mark.parametrize(("held", "sent"), [("W-1", "w-1"), ("w-1", "W-1")])
async def test_numbers_are_searched_in_other_cases(held: str, sent: str) -> None:
    """The externalId heeds case (RFC 7643); HR need not write it as the server does."""
    people = [person(externalId=held), person("u2", "bob", externalId="W-2")]

    assert ids(await located(NOT_FINDING["heeds case"](people), keys(worker_id=sent))) == ["u1"]


@pytest.mark.parametrize(
    "config", [(500, HTML), (200, HTML), (401, None), (200, [1]), (200, {"filter": "yes"})]
)
async def test_a_broken_configuration_blocks_nothing(config: Answer) -> None:
    """/ServiceProviderConfig is a courtesy, whatever it answers."""
    broken = odd(config=lambda _: config)

    assert ids(await located(broken(PEOPLE), keys(username="asantos"))) == ["u1"]


async def test_a_slow_configuration_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps its configuration back is asked without it."""
    monkeypatch.setattr("connectors.scim.client._CONFIG_S", 0.01)
    server = OddScim(PEOPLE)

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("ServiceProviderConfig"):
            await asyncio.sleep(5)
        return server.answer(request)

    async with connected(server, through=slow) as connector, asyncio.timeout(2):
        location = await connector.locate(keys(username="asantos"), Transcript())

    assert ids(location) == ["u1"]


@pytest.mark.parametrize("answer", [(404, HTML), error(404), (302, None), (405, None)])
@pytest.mark.parametrize("named", ["u1", None])
async def test_a_wrong_address_is_a_wrong_setting(answer: Answer, named: str | None) -> None:
    """A server that answers 404 to everything knows nobody, and proves nothing."""
    elsewhere = odd(refuses=lambda *_: answer)
    with pytest.raises(ConnectorFault) as caught:
        await located(elsewhere(), given(named) if named else NOBODY)
    async with connected(elsewhere()) as connector:
        health = await connector.health(Transcript())

    if not (named and answer[0] in {302, 405}):  # those are no answer about a user
        assert caught.value.category is FaultCategory.MISCONFIGURED
        assert "wrong_address" in caught.value.code
    assert "version segment" in health.problems[0].fix


async def test_an_id_that_is_gone_is_proved_by_a_living_list() -> None:
    """HR's id is unknown, and the endpoint that says so lives."""
    location = await located(OddScim(CROWD), given("u9"))

    assert location.searches[0].proof is Proof.BY_ID


async def test_an_empty_directory_has_nobody() -> None:
    """A list of nobody says so itself; one that claims people and shows none does not."""
    claims = odd(listed=lambda *_: (200, {"totalResults": 9, "Resources": []}))
    empty = await located(OddScim(), NOBODY)

    assert said(empty) is Absence.PROVED
    assert empty.listed == 0
    assert said(await located(claims(CROWD), NOBODY)) is Absence.UNPROVED


async def test_a_long_directory_is_walked_to_its_end() -> None:
    """No bound of ours ends a list: of 20,000 the last is found."""
    crowd = [person(f"u{n}", f"p{n}@example.test") for n in range(20_000)]

    def list_users(_: OddScim, _wanted: str | None, start: int, count: int) -> Answer:
        page = crowd[start - 1 : start - 1 + count] if start else []
        return 200, {"totalResults": len(crowd), "Resources": page}

    server = odd(paged(), list_users=list_users)([crowd[0]])
    location = await located(server, keys(email="p19999@example.test"))

    assert ids(location) == ["u19999"]
    assert location.listed == 20_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(53, "53"), (53.0, "53"), (" 53 ", "53"), (True, ""), (None, ""), ([], ""), (1.5, "1.5")],
)
def test_ids_are_text_whatever_their_type(value: object, expected: str) -> None:
    """A number and its digits are one id; what can be no id is none."""
    assert text(value) == expected


def test_each_word_is_searched_once_in_its_spellings() -> None:
    """A name that is the address too is searched once; only what heeds case is spelled anew."""
    found = queries_for(keys(username="ann@example.test", email="ann@example.test"))

    assert [(query.kind, query.attribute) for query in found] == [
        (KeyKind.USERNAME, "userName"),
        (KeyKind.EMAIL, "emails.value"),
    ]
    assert Query(KeyKind.WORKER_ID, "externalId", "w-1").spellings == ("w-1", "W-1")
    assert Query(KeyKind.USERNAME, "userName", "Ann").spellings == ("Ann",)


@pytest.mark.parametrize(
    ("thing", "expected"), [({"Id": 1}, 1), ({"id": 2, "ID": 1}, 2), ([], None), ("id", None)]
)
def test_an_attribute_is_looked_up_in_any_case(thing: Any, expected: object) -> None:
    """The exact name wins over another case of it."""
    assert attribute(thing, "id") == expected
