"""The Kisi connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kisi.spec import MANIFEST, SPEC
from connectors.kit.rest import RestConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.kisi.harness import SYSTEM, KisiHarness, harness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Operation, Recorder, judge, undocumented
from tests.support.loopback import loopback

PAGE = {"limit": (), "offset": ()}
ASSIGNEE = frozenset({"assignee_type", "assignee_id"})
MEMBER = frozenset({"member_type", "member_id"})
ASSIGNED = {"assignee_type": ("User",), "assignee_id": (), **PAGE}
FLAGS = {"access_enabled": False, "password_flow_enabled": False}

# From https://api.kisi.io/docs, by the vendor's operation names.
TRANSCRIBED = (
    Operation("GET /users", {"query": (), **PAGE}),  # fetchUsers
    Operation("GET /users/{id}"),  # fetchUser
    Operation("PATCH /users/{id}", body={"user": FLAGS}),  # updateUser
    Operation("GET /logins", {"user_id": (), **PAGE}, required=frozenset({"user_id"})),
    Operation("DELETE /logins/{id}"),  # deleteLogin
    Operation(
        "GET /card_assignments",
        {**ASSIGNED, "status": ("activated",)},
        together=ASSIGNEE,
    ),
    Operation("POST /card_assignments/{id}/deactivate"),  # deactivateCardAssignment
    Operation("GET /role_assignments", ASSIGNED, together=ASSIGNEE),
    Operation("DELETE /role_assignments/{id}"),  # deleteRoleAssignment
    Operation(
        "GET /team_memberships",
        {"member_type": ("User",), "member_id": (), **PAGE},
        together=MEMBER,
    ),
    Operation("DELETE /team_memberships/{id}"),  # deleteTeamMembership
)
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def kisi() -> AsyncIterator[KisiHarness]:
    async with harness() as made:
        yield made


def scripted(answering: Answering, **settings: object) -> RestConnector:
    options = ConnectorOptions(SYSTEM, settings, {"api_key": "synthetic-key"})
    return RestConnector(SPEC, options, transport=httpx.MockTransport(answering))


def user(number: int, email: str, **more: object) -> dict[str, Any]:
    return {"id": number, "email": email, "name": "Test Person", **FLAGS, **more}


def ranged(items: list[dict[str, Any]], total: int | None = None) -> httpx.Response:
    shown = len(items) if total is None else total
    headers = {"X-Collection-Range": f"0-{len(items)}/{shown}"}
    return httpx.Response(200, json=items, headers=headers)


def keys_of(*emails: str, account_id: str = "", number: str = "") -> LeaverKeys:
    keys = [Key(KeyKind.EMAIL, email) for email in emails]
    if account_id:
        keys.append(Key(KeyKind.ACCOUNT_ID, account_id, SYSTEM))
    if number:
        keys.append(Key(KeyKind.EMPLOYEE_NUMBER, number))
    return LeaverKeys(tuple(keys))


async def look(connector: RestConnector, keys: LeaverKeys) -> tuple[Account, Observation]:
    (match,) = (await connector.locate(keys, Transcript())).matches
    return match.account, await connector.read_back(match.account, Transcript())


async def test_every_call_is_one_that_the_vendor_documents(kisi: KisiHarness) -> None:
    """Method, path, query and body of every call stand in the vendor's reference."""
    wire = Recorder(loopback())
    await whole_revocation(kisi, wire)

    assert undocumented(wire.heard, TRANSCRIBED) == []
    unused = [each.call for each in TRANSCRIBED if not any(map(each.fits, wire.heard))]
    assert unused == []
    if spec := os.environ.get("LOCKSTEP_KISI_SPEC"):
        verdict = judge(wire.heard, Path(spec), host="https://api.kisi.io")
        assert verdict.errors == []
        assert verdict.checked


async def whole_revocation(kisi: KisiHarness, wire: httpx.AsyncBaseTransport) -> None:
    """Everything the connector can do, once."""
    keys = await kisi.hire("documented")
    connector = kisi.connect(wire)
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    await connector.read_back(account, Transcript())
    await connector.health(Transcript())
    await connector.aclose()


async def test_closes_in_order_and_says_since_when(kisi: KisiHarness) -> None:
    """Doors first, then logins, cards, roles and teams; the vendor's own time is reported."""
    keys = await kisi.hire("ordered")
    wire = Recorder(loopback())
    connector = kisi.connect(wire)
    account, before = await look(connector, keys)
    wire.heard.clear()
    actions = await revoke(connector, account, before, Transcript())
    effects = [each.call.split("/")[1] for each in wire.heard if each.method != "GET"]
    after = await connector.read_back(account, Transcript())
    state = await kisi.state(keys)
    await connector.aclose()

    order = ["users", "logins", "card_assignments", "role_assignments", "team_memberships"]
    assert list(dict.fromkeys(effects)) == order
    assert {action.access for action in actions} == set(before.standing)
    assert after.is_closed
    assert after.off_since is not None
    assert after.off_since.isoformat(timespec="milliseconds").startswith(
        state["doc"]["updated_at"].removesuffix("Z")
    )
    assert [residual.what for residual in after.residuals] == ["offline_reader_cache"]


async def test_a_door_that_the_directory_shut_is_shut_by_us_too(kisi: KisiHarness) -> None:
    """While SCIM alone holds the door shut it still counts as standing, and we shut it."""
    keys = await kisi.hire("synced", scim_access_enabled=False)
    connector = kisi.connector()
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    doc = (await kisi.state(keys))["doc"]
    await connector.aclose()

    assert Access(AccessKind.SIGN_IN, "access_enabled") in before.standing
    assert doc["access_enabled"] is False


async def test_a_repetition_after_a_crash_acts_on_the_rest_only(kisi: KisiHarness) -> None:
    """With the same snapshot again there is no second PATCH and no second deactivation."""
    keys = await kisi.hire("crashed")
    wire = Recorder(loopback())
    connector = kisi.connect(wire)
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    wire.heard.clear()
    again = await revoke(connector, account, before, Transcript())
    calls = [each.method for each in wire.heard if each.status != 404]
    await connector.aclose()

    assert again == ()
    assert set(calls) == {"GET"}


async def test_only_an_equal_address_matches() -> None:
    """Kisi searches names and notes too: whoever is merely mentioned there is not the leaver."""
    other = user(8, "second.person@corp.example.test", notes="was first@corp.example.test")
    connector = scripted(lambda _: ranged([other, user(7, "First@Corp.example.test")]))
    found = await connector.locate(keys_of("first@corp.example.test"), Transcript())

    assert [match.account.id for match in found.matches] == ["7"]
    assert found.matches[0].account.known_keys == (Key(KeyKind.EMAIL, "First@Corp.example.test"),)


async def test_every_user_of_an_address_is_told_with_its_number() -> None:
    """Two users with one address are both told, the number in the metadata with them."""
    both = [
        user(7, "first@corp.example.test", metadata={"staff": 4712}),
        user(8, "FIRST@corp.example.test"),
    ]
    connector = scripted(lambda _: ranged(both), employee_number_key="staff")
    found = await connector.locate(keys_of("first@corp.example.test"), Transcript())

    assert [match.account.id for match in found.matches] == ["7", "8"]
    assert Key(KeyKind.EMPLOYEE_NUMBER, "4712") in found.matches[0].account.known_keys


async def test_follows_every_page_to_the_end() -> None:
    """Short pages are no end while the total says more."""
    pages = [[user(1, "a@corp.example.test")], [user(2, "b@corp.example.test")]]
    offsets: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        offsets.append(request.url.params["offset"])
        return ranged(pages[len(offsets) - 1], total=2)

    found = await scripted(answer).locate(keys_of("b@corp.example.test"), Transcript())

    assert offsets == ["0", "1"]
    assert [match.account.id for match in found.matches] == ["2"]


async def test_a_strangers_login_is_never_touched() -> None:
    """When the vendor does not heed the filter nothing is deleted."""
    changed: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            changed.append(request.url.path)
        if request.url.path == "/users/7":
            return httpx.Response(200, json=user(7, "first@corp.example.test"))
        return ranged([{"id": 1, "type": "api", "user_id": 99}])

    seen = await scripted(answer).read_back(Account("7"), Transcript())

    assert {row.code for row in seen.unread} == {"other_owner"}
    assert not seen.is_closed
    assert changed == []


async def test_200_for_a_change_is_not_success() -> None:
    """Kisi answers a change with 204: anything else is not taken for done."""

    def answer(request: httpx.Request) -> httpx.Response:
        on = {**user(7, "first@corp.example.test"), "access_enabled": True}
        return httpx.Response(200, json=on if request.method == "GET" else {})

    before = Observation("7", exists=True, standing=(Access(AccessKind.SIGN_IN, "access_enabled"),))
    with pytest.raises(ConnectorFault) as caught:
        await revoke(scripted(answer), Account("7"), before, Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_an_id_that_is_no_number_is_never_called_gone() -> None:
    """A pinned id that Kisi cannot have issued is an error, not an absent account."""
    connector = scripted(lambda _: pytest.fail("called"))

    with pytest.raises(ConnectorFault) as caught:
        await connector.read_back(Account("../logins"), Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_429_hands_on_the_vendors_time() -> None:
    """The vendor's waiting time reaches the caller; nothing waits here."""
    body = {"error": "Too many requests for someone@corp.example.test", "code": "a1b2c3"}
    refused = httpx.Response(429, headers={"Retry-After": "3"}, json=body)

    with pytest.raises(ConnectorFault) as caught:
        await scripted(lambda _: refused).read_back(Account("7"), Transcript())
    assert caught.value.category is FaultCategory.RATE_LIMITED
    assert caught.value.retry_after == timedelta(seconds=3)
    assert str(caught.value) == "kisi users.get: rate_limited (429.a1b2c3)"


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {}, "api_key"),
        ({"base_url": "http://api.kisi.io"}, {"api_key": "k"}, "base_url"),
        ({"offline_cache_bound_s": "a day"}, {"api_key": "k"}, "offline_cache_bound_s"),
        ({"requests_per_second": "-1"}, {"api_key": "k"}, "requests_per_second"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """An option that cannot work is refused by its name."""
    with pytest.raises(ValueError, match=f"^{named}:"):
        MANIFEST.build(ConnectorOptions(SYSTEM, settings, secrets))


async def test_defaults_fill_what_the_manifest_says() -> None:
    """The residual's bound is the manifest's default unless an option says otherwise."""
    gone = httpx.Response(404, content=json.dumps({"error": "Not found", "code": "x"}))
    observed = await scripted(lambda _: gone).read_back(Account("7"), Transcript())

    assert not observed.exists
    assert {each.what: each.bound_s for each in observed.residuals} == dict(MANIFEST.residual_s)
