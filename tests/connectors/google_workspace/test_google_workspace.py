"""The Google connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.google_workspace.connector import MANIFEST, GoogleConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Location
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.google_workspace.harness import SYSTEM, GoogleHarness, harness, private_key
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Operation, Recorder, judge, undocumented
from tests.support.loopback import loopback

V1 = "/admin/directory/v1"
USER = f"{V1}/users/{{id}}"
PAGE = {"pageToken": (), "maxResults": ()}
FULL = {"projection": ("full",)}
BLOCK = {"suspended": True, "recoveryEmail": "", "recoveryPhone": ""}
MINE = frozenset({"customer"})
BY_USER = frozenset({"userKey"})
ROLES = f"{V1}/customer/my_customer/roleassignments"

# From https://developers.google.com/workspace/admin, by the vendor's operation names.
TRANSCRIBED = (
    Operation(  # directory.users.list
        f"GET {V1}/users",
        {"customer": ("my_customer",), "query": (), **FULL, **PAGE},
        required=MINE,
    ),
    Operation(f"GET {USER}", FULL),  # directory.users.get
    Operation(f"PATCH {USER}", body=BLOCK),  # directory.users.patch
    Operation(f"POST {USER}/signOut"),  # directory.users.signOut
    Operation(f"GET {USER}/tokens"),  # directory.tokens.list
    Operation(f"DELETE {USER}/tokens/{{client}}"),  # directory.tokens.delete
    Operation(f"GET {USER}/asps"),  # directory.asps.list
    Operation(f"DELETE {USER}/asps/{{code}}"),  # directory.asps.delete
    Operation(f"GET {ROLES}", {"userKey": (), **PAGE}, required=BY_USER),  # roleAssignments.list
    Operation(f"DELETE {ROLES}/{{role}}"),  # directory.roleAssignments.delete
    Operation(f"GET {V1}/groups", {"userKey": (), **PAGE}, required=BY_USER),  # groups.list
    Operation(f"DELETE {V1}/groups/{{group}}/members/{{id}}"),  # directory.members.delete
    Operation(  # reports.activities.list
        "GET /admin/reports/v1/activity/users/{id}/applications/login",
        {"startTime": (), "endTime": (), **PAGE},
    ),
)
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def google() -> AsyncIterator[GoogleHarness]:
    async with harness() as made:
        yield made


def scripted(answering: Answering, **settings: object) -> GoogleConnector:
    """A connector whose token is given, and whose calls are answered by the test."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "oauth2.googleapis.com":
            return httpx.Response(200, json={"access_token": "synthetic", "expires_in": 3599})
        return answering(request)

    given = {"service_account": "s@p.example", "admin": "a@corp.example.test", **settings}
    options = ConnectorOptions(SYSTEM, given, {"private_key": private_key()})
    return GoogleConnector(options, transport=httpx.MockTransport(answer))


def user(**more: object) -> dict[str, Any]:
    return {"id": "7", "primaryEmail": "ana@corp.example.test", "suspended": True, **more}


def refused(status: int, reason: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": status, "errors": [{"reason": reason}]}})


async def locate(connector: GoogleConnector, *keys: tuple[KeyKind, str]) -> Location:
    return await connector.locate(LeaverKeys(tuple(Key(*key) for key in keys)), Transcript())


async def test_every_call_is_one_that_the_vendor_documents(google: GoogleHarness) -> None:
    """Method, path, query and body of every call stand in the vendor's reference."""
    wire = Recorder(loopback())
    keys = await google.hire("documented")
    connector = google.connect(wire)
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await revoke(connector, match.account, before, Transcript())
    after = await connector.read_back(match.account, Transcript())
    since = datetime.now(UTC) - timedelta(hours=1)
    await connector.activity_since(match.account, since, Transcript())
    await connector.health(Transcript())
    await connector.aclose()
    heard = [each for each in wire.heard if each.path != "/token"]

    assert after.is_closed
    assert undocumented(heard, TRANSCRIBED) == []
    assert [op.call for op in TRANSCRIBED if not any(map(op.fits, heard))] == []
    if spec := os.environ.get("LOCKSTEP_GOOGLE_SPEC"):
        # A discovery document knows no statuses: those without a body are 204 on the wire.
        host = "https://admin.googleapis.com"
        verdict = judge(heard, Path(spec), host=host, answers=("GET", "PATCH"))
        assert verdict.errors == []
        assert verdict.checked
        assert len(verdict.beside) < len(verdict.checked)


async def test_recovery_data_goes_with_the_block(google: GoogleHarness) -> None:
    """One write suspends and empties the data by which a suspended account asks its way back."""
    keys = await google.hire("recovers")
    wire = Recorder(loopback())
    connector = google.connect(wire)
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await connector.contain(match.account, before, Transcript())
    state = await google.state(keys)
    await connector.aclose()

    assert [each.method for each in wire.heard if each.method == "PATCH"] == ["PATCH"]
    assert (state["standing"]["sign_in"], state["standing"]["recovery"]) == (False, False)


@pytest.mark.parametrize(
    ("left", "shut"),
    [
        ({"suspended": False, "archived": True}, True),
        ({"suspended": False, "archived": False}, False),
        ({"suspended": "true"}, False),
        ({"suspended": None}, False),
    ],
)
async def test_only_what_is_said_to_be_shut_is(left: dict[str, object], shut: bool) -> None:  # noqa: FBT001 - a row of the table
    """Archived is shut as well; an odd or missing word is open."""
    seen = await scripted(lambda _: httpx.Response(200, json=user(**left))).look(
        Account("7"), Transcript()
    )

    assert seen.signs_in is not shut


async def test_a_list_that_is_left_out_is_empty_only_of_its_kind() -> None:
    """Google leaves an empty list out; an answer that does not say what it is says nothing."""

    def answer(request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        kinds = {"tokens": "tokenList", "asps": "aspList", "groups": "groups"}
        if last == "7":
            return httpx.Response(200, json=user())
        return httpx.Response(200, json={"kind": f"admin#directory#{kinds.get(last, 'other')}"})

    seen = await scripted(answer).read_back(Account("7"), Transcript())

    assert [(row.kind, row.code) for row in seen.unread] == [(AccessKind.ROLE, "no_list")]


@pytest.mark.parametrize("reason", ["userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded"])
async def test_403_for_asking_too_often_passes(reason: str) -> None:
    """A limit comes as 403 too; any other 403 is a missing permission."""
    for code, category in (
        (reason, FaultCategory.RATE_LIMITED),
        ("forbidden", FaultCategory.PERMISSION_MISSING),
    ):
        told = refused(403, code)
        connector = scripted(partial(lambda answer, _: answer, told))
        with pytest.raises(ConnectorFault) as caught:
            await connector.look(Account("7"), Transcript())
        assert caught.value.category is category


async def test_a_404_of_anybody_else_is_not_gone() -> None:
    """Only the vendor's own reason says that a user is no more."""
    gone = await scripted(lambda _: refused(404, "notFound")).look(Account("7"), Transcript())
    assert not gone.exists

    with pytest.raises(ConnectorFault) as caught:
        await scripted(lambda _: httpx.Response(404, text="x")).look(Account("7"), Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_a_strangers_grant_is_a_fault() -> None:
    """A list that shows somebody else's app password is not believed."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/asps"):
            rows = [{"codeId": 1, "userKey": "8"}]
            return httpx.Response(200, json={"kind": "admin#directory#aspList", "items": rows})
        return httpx.Response(200, json=user())

    seen = await scripted(answer).read_back(Account("7"), Transcript())

    assert "other_owner" in {row.code for row in seen.unread if row.kind is AccessKind.SECRET}


async def test_an_alias_with_a_quote_is_found(google: GoogleHarness) -> None:
    """The query escapes what it quotes, and aliases are addresses."""
    await google.hire("quoted", aliases=["pat.o'brien@northwind.example.com"])
    connector = google.connector()
    found = await locate(connector, (KeyKind.EMAIL, "Pat.O'Brien@northwind.example.com"))
    await connector.aclose()

    assert [match.account.locator for match in found.matches] == ["quoted@northwind.example.com"]


async def test_a_short_name_is_told_for_a_person_to_decide(google: GoogleHarness) -> None:
    """Who is called jsmith finds jsmith@, not jsmithson@; what is no plain word is not asked."""
    for worker in ("jsmith", "jsmithson"):
        await google.hire(worker)
    connector = google.connector()
    found = await locate(connector, (KeyKind.USERNAME, "jsmith"))
    odd = await locate(connector, (KeyKind.USERNAME, "jsmith* orgName:x"))
    await connector.aclose()

    assert [match.account.locator for match in found.matches] == ["jsmith@northwind.example.com"]
    assert (odd.matches, odd.searches) == ((), ())


async def test_a_number_is_compared_by_its_type() -> None:
    """An external id of another type with the same value is somebody else's number."""
    rows = [
        user(id="7", externalIds=[{"type": "organization", "value": "4711"}]),
        user(id="8", externalIds=[{"type": "account", "value": "4711"}]),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        if last in {"7", "8"}:
            return httpx.Response(200, json=rows[int(last) - 7])
        return httpx.Response(200, json={"kind": "admin#directory#users", "users": rows})

    found = await locate(scripted(answer), (KeyKind.EMPLOYEE_NUMBER, "4711"))

    assert [match.account.id for match in found.matches] == ["7"]


async def test_the_assertion_speaks_for_the_administrator() -> None:
    """It names the service account, the administrator, the scopes and the token endpoint."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            asked.append({k: v[0] for k, v in parse_qs(request.content.decode()).items()})
            return httpx.Response(200, json={"access_token": "synthetic"})
        return httpx.Response(200, json=user())

    given = {"service_account": "s@p.example", "admin": "a@corp.example.test"}
    options = ConnectorOptions(SYSTEM, given, {"private_key": private_key()})
    connector = GoogleConnector(options, transport=httpx.MockTransport(answer))
    await connector.look(Account("7"), Transcript())
    claims = json.loads(base64.urlsafe_b64decode(asked[0]["assertion"].split(".")[1] + "=="))

    assert (claims["iss"], claims["sub"]) == ("s@p.example", "a@corp.example.test")
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    assert "https://www.googleapis.com/auth/admin.directory.user" in claims["scope"].split()
    assert set(asked[0]) == {"grant_type", "assertion"}


async def test_never_used_is_no_instant() -> None:
    """Google writes never as the first of 1970."""
    never = user(suspended=False, lastLoginTime="1970-01-01T00:00:00.000Z")
    body = {"kind": "admin#directory#users", "users": [never]}
    connector = scripted(lambda _: httpx.Response(200, json=body))
    pages = [page async for page in connector.list_active(Transcript())]

    assert [one.last_used_at for page in pages for one in page.accounts] == [None]


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {}, "private_key"),
        ({}, {"private_key": "no key"}, "private_key"),
        ({"admin": ""}, {"private_key": private_key()}, "admin"),
        ({"token_url": "http://tokens.example"}, {"private_key": private_key()}, "token_url"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """An option that cannot work is refused by its name."""
    given = {"service_account": "s@p.example", "admin": "a@corp.example.test", **settings}
    with pytest.raises(ValueError, match=f"^{named}:"):
        MANIFEST.build(ConnectorOptions(SYSTEM, given, secrets))
