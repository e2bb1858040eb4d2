"""The GitLab connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.gitlab.spec import SPEC
from connectors.kit.rest import RestConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.gitlab.harness import SYSTEM, GitlabHarness, harness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Operation, Recorder, undocumented
from tests.support.loopback import loopback

API = "/api/v4"
PAGE = {"per_page": (), "page": ()}
ACTIVE = {"state": ("active",)}
# From https://docs.gitlab.com/api: users, user_moderation, user_tokens, user_keys, members.
TRANSCRIBED = (
    Operation(f"GET {API}/users", {"search": (), **PAGE}),
    Operation(f"GET {API}/users/{{id}}"),
    Operation(f"POST {API}/users/{{id}}/block"),
    Operation(f"GET {API}/personal_access_tokens", {"user_id": (), **ACTIVE, **PAGE}),
    Operation(f"DELETE {API}/personal_access_tokens/{{id}}"),
    Operation(f"GET {API}/users/{{user_id}}/impersonation_tokens", {**ACTIVE, **PAGE}),
    Operation(f"DELETE {API}/users/{{user_id}}/impersonation_tokens/{{id}}"),
    Operation(f"GET {API}/users/{{id}}/keys", PAGE),
    Operation(f"DELETE {API}/users/{{id}}/keys/{{key_id}}"),
    Operation(f"GET {API}/users/{{id}}/memberships", PAGE),
    Operation(f"DELETE {API}/groups/{{id}}/members/{{user_id}}"),
    Operation(f"DELETE {API}/projects/{{id}}/members/{{user_id}}"),
)
ALL = {"tokens": 2, "impersonations": 1, "keys": 2, "groups": 1, "projects": 1}
STANDS = Observation("7", exists=True, standing=(Access(AccessKind.SIGN_IN, "7"),))
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def gitlab() -> AsyncIterator[GitlabHarness]:
    async with harness() as made:
        yield made


def scripted(answering: Answering) -> RestConnector:
    given = {"base_url": "https://git.corp.example.test/api/v4"}
    options = ConnectorOptions(SYSTEM, given, {"token": "glpat-synthetic"})
    return RestConnector(SPEC, options, transport=httpx.MockTransport(answering))


async def look(connector: RestConnector, keys: LeaverKeys) -> tuple[Account, Observation]:
    (match,) = (await connector.locate(keys, Transcript())).matches
    return match.account, await connector.read_back(match.account, Transcript())


async def fault_of(work: Any) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await work
    return caught.value


async def test_every_call_is_one_that_the_vendor_documents(gitlab: GitlabHarness) -> None:
    """Method, path, query and body of every call stand in the reference."""
    keys = await gitlab.hire("documented", **ALL)
    wire = Recorder(loopback())
    connector = gitlab.connect(wire)
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    assert (await connector.read_back(account, Transcript())).is_closed
    await connector.aclose()

    assert undocumented(wire.heard, TRANSCRIBED) == []
    unused = [each.call for each in TRANSCRIBED if not any(map(each.fits, wire.heard))]
    assert unused == []
    assert not await gitlab.still_in(keys)


async def test_a_block_kills_nothing(gitlab: GitlabHarness) -> None:
    """Tokens, keys and memberships stand behind it, and are told until they are taken."""
    keys = await gitlab.hire("blocked", **ALL)
    connector = gitlab.connector()
    account, before = await look(connector, keys)
    await connector.contain(account, before, Transcript())
    left = await connector.read_back(account, Transcript())
    await connector.strip(account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    await connector.aclose()

    assert [way.kind for way in left.standing] == [AccessKind.SECRET] * 5 + [AccessKind.GROUP] * 2
    assert after.is_closed


async def test_memberships_stay_where_the_settings_keep_them(gitlab: GitlabHarness) -> None:
    """Then they are neither asked for nor taken."""
    keys = await gitlab.hire("kept", **ALL)
    connector = gitlab.connect(loopback(), strip_memberships=False)
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    await connector.aclose()

    assert after.is_closed
    assert (await gitlab.state(keys))["standing"]["memberships"] == 2


@pytest.mark.parametrize(
    ("state", "signs_in"),
    [
        ("active", True),
        ("deactivated", True),
        ("blocked_pending_approval", True),
        ("something_new", True),
        ("blocked", False),
        ("ldap_blocked", False),
        ("banned", False),
    ],
)
async def test_only_what_is_known_to_shut_out_is_shut(state: str, *, signs_in: bool) -> None:
    """Whoever is deactivated is let in again by signing in."""
    user = httpx.Response(200, json={"id": 7, "username": "first", "state": state})
    seen = await scripted(lambda _: user).look(Account("7"), Transcript())

    assert seen.signs_in is signs_in


async def test_a_record_without_a_state_says_nothing() -> None:
    """A token without the right sees less of a user."""
    user = httpx.Response(200, json={"id": 7, "username": "first"})
    fault = await fault_of(scripted(lambda _: user).look(Account("7"), Transcript()))

    assert fault.code == "no_record"


async def test_a_block_that_answers_false_was_none() -> None:
    """Under 201, too."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=False)
        return httpx.Response(200, json={"id": 7, "username": "first", "state": "active"})

    fault = await fault_of(scripted(answer).contain(Account("7"), STANDS, Transcript()))
    assert fault.category is FaultCategory.NOT_APPLIED


async def test_a_strangers_token_is_never_revoked() -> None:
    """When the filter is not heeded nothing is taken."""
    changed: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            changed.append(request.url.path)
        if request.url.path.endswith("/users/7"):
            return httpx.Response(200, json={"id": 7, "username": "first", "state": "blocked"})
        tokens = request.url.path.endswith("/personal_access_tokens")
        return httpx.Response(200, json=[{"id": 1, "user_id": 99}] if tokens else [])

    seen = await scripted(answer).read_back(Account("7"), Transcript())

    assert {row.code for row in seen.unread} == {"other_owner"}
    assert changed == []


async def test_people_without_addresses_are_no_administrators_sight() -> None:
    """Then a search by address is blind, and health says so."""
    people = httpx.Response(200, json=[{"id": 7, "username": "first", "state": "active"}])
    nothing = httpx.Response(200, json=[])
    connector = scripted(lambda request: people if request.url.path.endswith("/users") else nothing)
    health = await connector.health(Transcript())

    assert [problem.code for problem in health.problems] == ["not_an_administrator"]
    assert not health.is_ready


async def test_a_name_that_is_merely_like_it_is_another(gitlab: GitlabHarness) -> None:
    """The search finds parts of names: only an equal one is the leaver's."""
    await gitlab.hire("ana-maria")
    connector = gitlab.connector()
    keys = LeaverKeys((Key(KeyKind.USERNAME, "ana-mari"),))
    location = await connector.locate(keys, Transcript())
    await connector.aclose()

    assert location.matches == ()
