"""How the Okta connector finds a leaver, what it tells, and how it proves that nobody is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.base import Transcript
from connectors.okta.connector import OktaConnector
from connectors.okta.spec import LIST_LIMIT
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Proof
from lockstep.domain.systems.finding import Absence, Finding, Reason, Verdict, absence, judge
from tests.connectors.okta.dialogue import (
    ID,
    SEARCH,
    USER,
    Dialogue,
    answer,
    connect,
    error,
    keys,
    user,
)
from tests.connectors.okta.harness import SYSTEM, OktaHarness, harness
from tests.connectors.okta.people import SYSTEM as PEOPLE
from tests.connectors.okta.people import People, leaver
from tests.connectors.okta.people import locate as locate_in


@pytest.fixture
async def okta() -> AsyncIterator[OktaHarness]:
    async with harness() as peer:
        yield peer


async def locate(connector: OktaConnector, keys: LeaverKeys) -> Account:
    found = await connector.locate(keys, Transcript())
    (match,) = found.matches
    return match.account


async def test_every_key_finds_the_account(okta: OktaHarness) -> None:
    """Account id, employee number, login and e-mail each find the same account alone."""
    keys, connector = await okta.hire("found"), okta.connector()
    account = await locate(connector, keys)
    email = keys.emails[0].upper()
    alone = [
        Key(KeyKind.ACCOUNT_ID, account.id, SYSTEM),
        Key(KeyKind.EMPLOYEE_NUMBER, keys.employee_numbers[0]),
        Key(KeyKind.USERNAME, email),
        Key(KeyKind.EMAIL, email),
    ]

    found = [await connector.locate(LeaverKeys((key,)), Transcript()) for key in alone]

    assert [match.account for each in found for match in each.matches] == [account] * 4
    assert all(search.proof is not Proof.UNPROVED for each in found for search in each.searches)
    assert [each.matches[0].found_by for each in found] == [key.kind for key in alone]
    assert [each.keys_tried for each in found] == [(key.kind,) for key in alone]
    assert {key.kind for key in account.known_keys} == {
        KeyKind.EMPLOYEE_NUMBER,
        KeyKind.USERNAME,
        KeyKind.EMAIL,
    }


async def test_unknown_keys_find_nothing(okta: OktaHarness) -> None:
    """A leaver whom Okta does not know is an empty location, and each search is proved to find."""
    await okta.hire("somebody")
    nobody = LeaverKeys(
        (
            Key(KeyKind.ACCOUNT_ID, "00uNOBODY", SYSTEM),
            Key(KeyKind.ACCOUNT_ID, "other", "elsewhere"),
            Key(KeyKind.EMPLOYEE_NUMBER, "0"),
            Key(KeyKind.USERNAME, "nobody"),
            Key(KeyKind.EMAIL, "nobody@corp.example.test"),
        )
    )

    found = await okta.connector().locate(nobody, Transcript())

    assert found.matches == ()
    assert {one.kind: one.proof for one in found.searches} == {
        KeyKind.ACCOUNT_ID: Proof.BY_ID,
        KeyKind.EMPLOYEE_NUMBER: Proof.PROVED,
        KeyKind.USERNAME: Proof.PROVED,
        KeyKind.EMAIL: Proof.PROVED,
    }
    assert found.listed is None


async def test_a_proof_is_made_once_a_day(okta: OktaHarness) -> None:
    """The second leaver whom Okta does not know costs no proof again."""
    await okta.hire("somebody")
    connector, first, second = okta.connector(), Transcript(), Transcript()
    await connector.locate(leaver("a@corp.example.test", number="0"), first)

    await connector.locate(leaver("b@corp.example.test", number="1"), second)

    assert "users.list" in {exchange.operation for exchange in first.exchanges}
    assert [exchange.operation for exchange in second.exchanges] == [
        "users.search",
        "users.search",
        "users.find",
    ]


async def test_everything_that_okta_holds_is_told() -> None:
    """A match carries all keys, name, instants and what stands, for the law and for people."""
    people = People(
        {
            "00u1": {
                "login": "ana@a.example",
                "email": "ana.santos@a.example",
                "secondEmail": "ana@home.example",
                "firstName": "Ana",
                "lastName": "Santos",
                "employeeNumber": 7,
                "created": "2024-01-02T00:00:00.000Z",
                "lastLogin": "2026-10-11T12:13:14.000Z",
            }
        }
    )

    (match,) = (await locate_in(people, leaver("ana.santos@a.example"))).matches

    assert set(match.account.known_keys) == {
        Key(KeyKind.EMPLOYEE_NUMBER, "7"),
        Key(KeyKind.USERNAME, "ana@a.example"),
        Key(KeyKind.EMAIL, "ana.santos@a.example"),
        Key(KeyKind.EMAIL, "ana@home.example"),
    }
    assert match.name == "Ana Santos"
    assert match.created_at == datetime(2024, 1, 2, tzinfo=UTC)
    assert match.last_used_at == datetime(2026, 10, 11, 12, 13, 14, tzinfo=UTC)
    assert match.seen is not None
    assert match.seen.signs_in


async def test_a_found_leaver_costs_no_proof_and_no_list() -> None:
    """Whoever is found by number, login and address is asked for by these and read by id."""
    people = People({"00u1": {**SANTOS, "employeeNumber": "10442"}})

    await locate_in(people, leaver("ana.santos@a.example", number="10442"))

    assert len(people.calls) == 3
    assert people.listings == 0


async def test_a_shared_employee_number_is_told_in_full(okta: OktaHarness) -> None:
    """Two users of one employee number are both told; the pinned one is the leaver's."""
    keys, connector = await okta.hire("shared", ambiguous=True), okta.connector()
    found = await connector.locate(keys, Transcript())
    chosen = (await okta.accounts(keys))[0]["id"]
    pinned = LeaverKeys((*keys.keys, Key(KeyKind.ACCOUNT_ID, chosen, SYSTEM)))

    again = await connector.locate(pinned, Transcript())

    assert {match.found_by for match in found.matches} == {KeyKind.EMPLOYEE_NUMBER}
    assert len(found.matches) == len(again.matches) == 2
    judged = {one.match.account.id: one for one in judge_in(again, pinned, system=SYSTEM).judged}
    assert judged[chosen].verdict is Verdict.LEAVERS


SANTOS = {"login": "ana.santos@a.example", "email": "ana.santos@a.example"}
REYES = {
    "login": "ana@a.example",
    "email": "ana@a.example",
    "employeeNumber": "20777",
    "created": "2026-03-01T00:00:00.000Z",
}
JOHN = {"login": "jsmith@a.example", "email": "john.smith@a.example"}
JANE = {"login": "jane.smith@b.example", "email": "jane.smith@b.example"}


def judge_in(found: Location, keys: LeaverKeys, *, system: str = PEOPLE) -> Finding:
    return judge(found.matches, keys, system=system, cutoff=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("users", "keys", "said"),
    [
        pytest.param(
            {"00u1": SANTOS, "00u2": REYES},
            leaver("ana.santos@a.example", "ana@a.example", pinned="00u1"),
            {"00u1": "leavers.pinned", "00u2": "set_aside.other_account"},
            id="the pinned one, not who has the address now",
        ),
        pytest.param(
            {"00u1": {**SANTOS, "employeeNumber": "10442"}, "00u2": REYES},
            leaver("ana.santos@a.example", "ana@a.example", number="10442"),
            {"00u1": "leavers.number", "00u2": "set_aside.other_number"},
            id="the number's, not who has the address now",
        ),
        pytest.param(
            {"00u1": SANTOS, "00u2": REYES},
            leaver("ana.santos@a.example", "ana@a.example"),
            {"00u1": "in_doubt.several", "00u2": "in_doubt.several"},
            id="old and new address, two accounts",
        ),
        pytest.param(
            {"00u2": {**REYES, "created": "2026-12-01T00:00:00.000Z", "employeeNumber": ""}},
            leaver("ana@a.example"),
            {"00u2": "in_doubt.made_after_cutoff"},
            id="an address given to somebody who came later",
        ),
        pytest.param(
            {"00u2": REYES},
            leaver("ana@a.example", number="10442"),
            {"00u2": "in_doubt.other_number"},
            id="an address of somebody with another number",
        ),
        pytest.param(
            {"00u1": JOHN},
            leaver("jane.smith@b.example", usernames=("jsmith",)),
            {"00u1": "in_doubt.name_in_part"},
            id="a short login of another partner",
        ),
        pytest.param(
            {"00u1": JOHN, "00u2": {**JANE, "login": "jsmith@b.example", "email": "js@b.example"}},
            leaver("jane.smith@b.example", usernames=("jsmith",)),
            {"00u1": "in_doubt.name_in_part", "00u2": "in_doubt.name_in_part"},
            id="a short login that Okta does not read, because two have it",
        ),
        pytest.param(
            {"00u1": JOHN, "00u2": JANE},
            leaver("jane.smith@b.example", usernames=("jsmith",)),
            {"00u1": "in_doubt.name_in_part", "00u2": "in_doubt.several"},
            id="a short login of another partner beside her own address",
        ),
        pytest.param(
            {"00u1": SANTOS},
            leaver(pinned="ana.santos@a.example"),
            {"00u1": "in_doubt.other_account"},
            id="a login where HR should have given an id",
        ),
        pytest.param(
            {"00u1": {**SANTOS, "employeeNumber": 10442}},
            leaver(number="10442"),
            {"00u1": "leavers.number"},
            id="a number that Okta holds as a number",
        ),
    ],
)
async def test_whose_account_it_is(
    users: dict[str, dict[str, object]], keys: LeaverKeys, said: dict[str, str]
) -> None:
    """Every account that Okta finds is told, and the law decides; nothing is dropped or guessed."""
    found = await locate_in(People(users), keys)

    judged = judge_in(found, keys).judged
    assert {one.match.account.id: f"{one.verdict}.{one.reason}" for one in judged} == said


@pytest.mark.parametrize(
    "odd",
    [
        {"minds_case": True},
        {"blind": frozenset({"email", "employeeNumber", "login"}), "minds_case": True},
        {"unknown": frozenset({"email", "employeeNumber", "login"}), "minds_case": True},
        {"ignores_search": True, "minds_case": True},
    ],
    ids=["minds case", "blind", "unknown attribute", "ignores the search"],
)
async def test_a_search_that_cannot_find_is_noticed_and_all_are_listed(odd: Any) -> None:
    """Where a known user is not found by the very same search, the list finds the leaver."""
    others = {f"00u{n}": {**JOHN, "login": f"u{n}@a.example", "email": ""} for n in range(5)}
    people = People({**others, "00uL": {**SANTOS, "employeeNumber": "x-10442"}}, **odd)
    keys = leaver("ANA.SANTOS@A.example", number="X-10442")

    found = await locate_in(people, keys)

    assert [match.account.id for match in found.matches] == ["00uL"]
    assert found.listed == 6
    (judged,) = judge_in(found, keys).judged
    assert (judged.verdict, judged.reason) == (Verdict.LEAVERS, Reason.NUMBER)


async def test_nobody_by_a_blind_search_is_proved_by_listing_all() -> None:
    """The list settles what the index could not: listed so many, and the leaver is not there."""
    people = People({"00u1": SANTOS, "00u2": JOHN, "00u3": JANE}, blind=frozenset({"email"}))

    found = await locate_in(people, leaver("nobody@a.example", usernames=("nobody",)))

    assert (found.matches, found.listed) == ((), 3)
    assert [one.proof for one in found.searches] == [Proof.PROVED, Proof.LISTED]
    assert absence(found, accept_single_key=False) is Absence.PROVED


async def test_a_list_that_hides_everybody_proves_nothing() -> None:
    """Whoever made our token is a user: an empty list is a view of nobody, so a person decides."""
    people = People({"00u1": SANTOS}, hides=True)

    found = await locate_in(people, leaver("nobody@a.example", usernames=("nobody",)))

    assert {one.proof for one in found.searches} == {Proof.UNPROVED}
    assert found.listed is None
    assert absence(found, accept_single_key=False) is Absence.UNPROVED


async def test_a_full_page_that_ends_the_list_proves_nothing() -> None:
    """The link to the next page may be lost on the way: a person decides, and nobody is missed."""
    many = {f"00u{n}": {**JOHN, "login": f"u{n}@a.example"} for n in range(LIST_LIMIT)}
    people = People(many, blind=frozenset({"email"}), page=LIST_LIMIT)

    found = await locate_in(people, leaver("nobody@a.example", usernames=("nobody",)))

    assert absence(found, accept_single_key=False) is Absence.UNPROVED


async def test_a_number_that_okta_holds_for_nobody_is_no_search() -> None:
    """An attribute that is empty for all does not count as searched: one key remains."""
    people = People({"00u1": SANTOS, "00u2": JOHN})

    found = await locate_in(people, leaver("nobody@a.example", number="10442"))

    assert [one.proof for one in found.searches] == [Proof.NOT_HELD, Proof.PROVED]
    assert absence(found, accept_single_key=False) is Absence.TOO_FEW_KEYS


async def test_one_word_as_user_name_and_address_is_one_key() -> None:
    """A login that was renamed is not proved absent by the same word asked for twice."""
    people = People({"00u1": {"login": "ana.reyes@a.example", "email": "ana.reyes@a.example"}})
    keys = leaver("ana@a.example", usernames=("ana@a.example",))

    found = await locate_in(people, keys)

    assert found.matches == ()
    assert absence(found, accept_single_key=False) is Absence.TOO_FEW_KEYS


async def test_search_values_are_quoted() -> None:
    """A quote or backslash in a key cannot change the search expression."""
    dialogue = Dialogue({SEARCH: answer([])})

    await connect(dialogue).locate(
        keys((KeyKind.EMPLOYEE_NUMBER, 'x" or status eq "ACTIVE\\')), Transcript()
    )

    assert dialogue.requests[0].url.params["search"] == (
        'profile.employeeNumber eq "x\\" or status eq \\"ACTIVE\\\\"'
    )


async def test_the_index_is_not_believed() -> None:
    """A user whom the lagging index still finds, but who has another address now, is no match."""
    old, now = user(profile={"email": "old@corp.example.test"}), user()

    def users(request: httpx.Request) -> httpx.Response:
        return answer([old] if "search" in request.url.params else [now])

    gone = error(404, "E0000007")
    dialogue = Dialogue(
        {
            SEARCH: users,
            USER: answer(now),
            "GET /api/v1/users/old@corp.example.test": gone,
            "GET /api/v1/users/LEA@CORP.EXAMPLE.TEST": answer(now),
        }
    )

    found = await connect(dialogue).locate(
        keys((KeyKind.EMAIL, "old@corp.example.test")), Transcript()
    )

    assert found.matches == ()


async def test_a_login_with_a_slash_is_searched_for() -> None:
    """Okta cannot read a login with a slash by path; search is the only way, confirmed by id."""
    odd = user(profile={"login": "corp/lea"})
    dialogue = Dialogue({SEARCH: answer([odd]), USER: answer(odd)})

    found = await connect(dialogue).locate(keys((KeyKind.USERNAME, "corp/lea")), Transcript())

    assert [match.account.id for match in found.matches] == [ID]


async def test_the_owner_of_the_token_is_not_found_by_the_word_me() -> None:
    """A leaver whose user name is "me" must not find the administrator who made our token."""
    people = People({"00u1": SANTOS})

    found = await locate_in(people, leaver(usernames=("me",), pinned="me"))

    assert found.matches == ()
    assert "GET /api/v1/users/me" not in people.calls


async def test_a_worker_id_is_searched_for_where_it_has_an_attribute() -> None:
    """With worker_id_attribute the worker id is a key, and becomes a known key."""
    known = user(profile={"hrId": "W-1"})
    dialogue = Dialogue({SEARCH: answer([known]), USER: answer(known)})

    found = await connect(dialogue, worker_id_attribute="hrId").locate(
        keys((KeyKind.WORKER_ID, "W-1")), Transcript()
    )

    assert found.keys_tried == (KeyKind.WORKER_ID,)
    assert Key(KeyKind.WORKER_ID, "W-1") in found.matches[0].account.known_keys
