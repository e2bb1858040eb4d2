"""How the Okta connector finds a leaver: what it asks, what it tells, and what Okta cannot say.

That an absence is proved, and all are listed where it is not, is the kit's (`test_asking`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.base import Transcript
from connectors.okta.spec import LIST_LIMIT
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.finding import judge
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
from tests.connectors.okta.people import SYSTEM, People, leaver, locate

SANTOS = {"login": "ana.santos@a.example", "email": "ana.santos@a.example"}
JOHN = {"login": "jsmith@a.example", "email": "john.smith@a.example"}
JANE = {"login": "jane.smith@b.example", "email": "jane.smith@b.example"}
FULL = {
    "login": "ana@a.example",
    "email": "ana.santos@a.example",
    "secondEmail": "ana@home.example",
    "firstName": "Ana",
    "lastName": "Santos",
    "employeeNumber": 7,
    "created": "2024-01-02T00:00:00.000Z",
    "lastLogin": "2026-10-11T12:13:14.000Z",
}


async def test_everything_that_okta_holds_is_told_at_the_least_cost() -> None:
    """A match carries all keys, name, instants and what stands; one call for each key."""
    people = People({"00u1": FULL})
    (match,) = (await locate(people, leaver("ana.santos@a.example", number="7"))).matches

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
    assert people.calls == [
        'GET /api/v1/users profile.employeeNumber eq "7"',
        'GET /api/v1/users profile.email eq "ana.santos@a.example"',
        "GET /api/v1/users/ana.santos@a.example",
        "GET /api/v1/users/00u1",
    ]


@pytest.mark.parametrize(
    ("users", "keys", "said"),
    [
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
        pytest.param(
            {"00u1": {"login": "ana.reyes@a.example", "email": "ana.reyes@a.example"}},
            leaver("ana@a.example", usernames=("ana@a.example",)),
            {},
            id="nobody",
        ),
    ],
)
async def test_whose_account_it_is(
    users: dict[str, dict[str, object]], keys: LeaverKeys, said: dict[str, str]
) -> None:
    """Every account that Okta finds is told, and the law decides; nothing is dropped or guessed."""
    found = await locate(People(users), keys)
    cutoff = datetime(2026, 11, 1, tzinfo=UTC)

    judged = judge(found.matches, keys, system=SYSTEM, cutoff=cutoff).judged
    assert {one.match.account.id: f"{one.verdict}.{one.reason}" for one in judged} == said
    assert found.listed is None  # the questions found them, and not a list of everybody


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"unknown": frozenset({"email", "employeeNumber", "login"})},
        {"ignores_search": True},
    ],
    ids=["minds case", "unknown attribute", "ignores the search"],
)
async def test_a_search_that_cannot_find_is_noticed_and_all_are_listed(odd: Any) -> None:
    """Where a known user is not found by the very same search, the list finds the leaver."""
    others = {f"00u{n}": {**JOHN, "login": f"u{n}@a.example", "email": ""} for n in range(5)}
    people = People(
        {**others, "00uL": {**SANTOS, "employeeNumber": "x-10442"}}, minds_case=True, **odd
    )
    found = await locate(people, leaver("ANA.SANTOS@A.example", number="X-10442"))

    assert [match.account.id for match in found.matches] == ["00uL"]
    assert found.listed == 6


async def test_a_full_page_that_ends_the_list_proves_nothing() -> None:
    """The link to the next page may be lost on the way: a person decides, and nobody is missed."""
    many = {f"00u{n}": {**JOHN, "login": f"u{n}@a.example"} for n in range(LIST_LIMIT)}
    people = People(many, unknown=frozenset({"email"}), page=LIST_LIMIT)
    found = await locate(people, leaver("nobody@a.example"))

    assert ([one.proof for one in found.searches], found.listed) == ([Proof.UNPROVED], None)


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

    found = await locate(people, leaver(usernames=("me",), pinned="me"))

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
