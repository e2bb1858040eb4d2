"""How the Okta connector finds a leaver, and how it refuses to guess."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.identity.okta import OktaConnector
from lockstep.domain.access import Account
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.harness_okta import SYSTEM, OktaHarness, harness
from tests.connectors.okta_dialogue import (
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
    assert [each.matches[0].found_by for each in found] == [key.kind for key in alone]
    assert [each.keys_tried for each in found] == [(key.kind,) for key in alone]
    assert {key.kind for key in account.known_keys} == {
        KeyKind.EMPLOYEE_NUMBER,
        KeyKind.USERNAME,
        KeyKind.EMAIL,
    }


async def test_unknown_keys_find_nothing(okta: OktaHarness) -> None:
    """A leaver whom Okta does not know is an empty location with the keys tried, and no fault."""
    nobody = LeaverKeys(
        (
            Key(KeyKind.ACCOUNT_ID, "00uNOBODY", SYSTEM),
            Key(KeyKind.ACCOUNT_ID, "other", "elsewhere"),
            Key(KeyKind.EMPLOYEE_NUMBER, "0"),
            Key(KeyKind.EMAIL, "nobody@corp.example.test"),
        )
    )

    found = await okta.connector().locate(nobody, Transcript())

    assert found.matches == ()
    assert found.keys_tried == (KeyKind.ACCOUNT_ID, KeyKind.EMPLOYEE_NUMBER, KeyKind.EMAIL)


async def test_a_shared_employee_number_is_ambiguous_until_a_person_pins_one(
    okta: OktaHarness,
) -> None:
    """Two users of one employee number are AMBIGUOUS_MATCH; a given account id settles it."""
    keys, connector = await okta.hire("shared", ambiguous=True), okta.connector()
    with pytest.raises(ConnectorFault) as caught:
        await connector.locate(keys, Transcript())
    chosen = (await okta.accounts(keys))[0]["id"]
    pinned = LeaverKeys((*keys.keys, Key(KeyKind.ACCOUNT_ID, chosen, SYSTEM)))

    account = await locate(connector, pinned)

    assert caught.value.category is FaultCategory.AMBIGUOUS_MATCH
    assert account.id == chosen


async def test_a_recycled_address_is_noticed(okta: OktaHarness) -> None:
    """An address whose user has another employee number is AMBIGUOUS_MATCH, never a leaver."""
    theirs = await okta.hire("recycled")
    ours = LeaverKeys((Key(KeyKind.EMPLOYEE_NUMBER, "0815"), Key(KeyKind.EMAIL, theirs.emails[0])))

    with pytest.raises(ConnectorFault) as caught:
        await okta.connector().locate(ours, Transcript())

    assert caught.value.category is FaultCategory.AMBIGUOUS_MATCH


async def test_search_values_are_quoted() -> None:
    """A quote or backslash in a key cannot change the search expression."""
    dialogue = Dialogue({SEARCH: answer([])})

    await connect(dialogue).locate(
        keys((KeyKind.EMPLOYEE_NUMBER, 'x" or status eq "ACTIVE\\')), Transcript()
    )

    (request,) = dialogue.requests
    assert request.url.params["search"] == (
        'profile.employeeNumber eq "x\\" or status eq \\"ACTIVE\\\\"'
    )


async def test_the_index_is_not_believed() -> None:
    """A user whom the lagging index still finds, but who has another address now, is no match."""
    stale = user(profile={"email": "old@corp.example.test"})
    dialogue = Dialogue(
        {
            SEARCH: answer([stale]),
            USER: answer(user()),
            "GET /api/v1/users/old@corp.example.test": error(404, "E0000007"),
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
    owner = user(profile={"login": "admin@corp.example.test"})
    dialogue = Dialogue({"GET /api/v1/users/me": answer(owner)})

    found = await connect(dialogue).locate(
        keys((KeyKind.USERNAME, "me"), (KeyKind.ACCOUNT_ID, "me")), Transcript()
    )

    assert found.matches == ()


async def test_a_worker_id_is_searched_for_where_it_has_an_attribute() -> None:
    """With worker_id_attribute the worker id is a key, and becomes a known key."""
    known = user(profile={"hrId": "W-1"})
    dialogue = Dialogue({SEARCH: answer([known]), USER: answer(known)})

    found = await connect(dialogue, worker_id_attribute="hrId").locate(
        keys((KeyKind.WORKER_ID, "W-1")), Transcript()
    )

    assert found.keys_tried == (KeyKind.WORKER_ID,)
    assert Key(KeyKind.WORKER_ID, "W-1") in found.matches[0].account.known_keys
