"""The Slack connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.rest import RestConnector
from connectors.slack_enterprise.spec import SPEC
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.revoking import revoke
from tests.connectors.slack_enterprise.harness import SYSTEM, SlackHarness, harness
from tests.connectors.vendor_spec import Operation, Recorder, undocumented
from tests.support.loopback import loopback

USER = "W0000000001"
# From https://docs.slack.dev/reference/methods; every method takes its arguments in the query too.
TRANSCRIBED = (
    Operation("GET /api/users.info", {"user": ()}, required=frozenset({"user"})),
    Operation("GET /api/users.lookupByEmail", {"email": ()}, required=frozenset({"email"})),
    Operation(  # its default leaves out whoever is deactivated
        "GET /api/admin.users.list",
        {"is_active": ("true", "false"), "limit": (), "cursor": ()},
        required=frozenset({"is_active"}),
    ),
    Operation("GET /api/admin.users.session.getSettings", {"user_ids": ()}),
    Operation(
        "GET /api/admin.workflows.search", {"collaborator_ids": (), "limit": (), "cursor": ()}
    ),
)
WRITES = ("/api/admin.users.deactivate", "/api/admin.users.session.reset")
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def slack() -> AsyncIterator[SlackHarness]:
    async with harness() as made:
        yield made


class Organisation:
    """A scripted organisation with one user; remembers what it was asked to change."""

    def __init__(self, **user: object) -> None:
        self.user: dict[str, Any] = {"id": USER, "deleted": False, "profile": {}, **user}
        self.sessions: dict[str, Any] = {"session_settings": [], "no_settings_applied": []}
        self.refusal = ""
        self.changes: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            self.changes.append(method)
        if self.refusal:
            return httpx.Response(200, json={"ok": False, "error": self.refusal})
        told = {"users.info": {"user": self.user}}.get(method, self.sessions)
        return httpx.Response(200, json={"ok": True, **told})


def scripted(answering: Answering) -> RestConnector:
    options = ConnectorOptions(SYSTEM, {}, {"token": "xoxp-synthetic"})
    return RestConnector(SPEC, options, transport=httpx.MockTransport(answering))


def keys_of(*emails: str) -> LeaverKeys:
    return LeaverKeys(tuple(Key(KeyKind.EMAIL, email) for email in emails))


async def look(connector: RestConnector, keys: LeaverKeys) -> tuple[Account, Observation]:
    (match,) = (await connector.locate(keys, Transcript())).matches
    return match.account, await connector.read_back(match.account, Transcript())


async def fault_of(work: Any) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await work
    return caught.value


async def test_every_call_is_one_that_the_vendor_documents(slack: SlackHarness) -> None:
    """Method, path, query and body of every call stand in the reference."""
    keys = await slack.hire("documented", workflows=1)
    wire = Recorder(loopback())
    connector = slack.connect(wire)
    account, before = await look(connector, keys)
    await connector.list_owned(account, Transcript())
    await revoke(connector, account, before, Transcript())
    assert (await connector.read_back(account, Transcript())).is_closed
    await connector.locate(keys_of("nobody@corp.example.test"), Transcript())
    await connector.aclose()
    written = tuple(Operation(f"POST {path}", body={"user_id": account.id}) for path in WRITES)

    assert undocumented(wire.heard, (*TRANSCRIBED, *written)) == []
    unused = [one.call for one in (*TRANSCRIBED, *written) if not any(map(one.fits, wire.heard))]
    assert unused == []


async def test_sessions_are_reset_after_the_sign_in_is_shut(slack: SlackHarness) -> None:
    """Whoever was signed in stays so until the reset: it comes second, and is read back."""
    keys = await slack.hire("ordered")
    connector = slack.connector()
    account, before = await look(connector, keys)
    await connector.contain(account, before, Transcript())
    left = await connector.read_back(account, Transcript())
    await connector.strip(account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    effects = list(slack.script.effects)
    await connector.aclose()

    assert left.standing == (Access(AccessKind.SESSION, "all"),)
    assert [one.split("/")[-1] for one in effects[-2:]] == [one.split("/")[-1] for one in WRITES]
    assert after.is_closed
    assert not await slack.still_in(keys)


async def test_a_guest_is_deactivated_like_everybody(slack: SlackHarness) -> None:
    """Guests of one channel sign in as others do."""
    keys = await slack.hire("guest", guest=True)
    connector = slack.connector()
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    await connector.aclose()

    assert not await slack.still_in(keys)


async def test_whoever_is_deactivated_is_found_by_the_list(slack: SlackHarness) -> None:
    """The search shows active users only: an account that is shut is not said to be none."""
    keys = await slack.hire("gone-before")
    connector = slack.connector()
    account, before = await look(connector, keys)
    await revoke(connector, account, before, Transcript())
    again = await connector.locate(keys, Transcript())
    nobody = await connector.locate(keys_of("nobody@corp.example.test"), Transcript())
    await connector.aclose()

    assert [one.account.id for one in again.matches] == [account.id]
    assert {one.proof for one in nobody.searches} == {Proof.LISTED}


@pytest.mark.parametrize(
    ("user", "where"),
    [
        ({"is_primary_owner": True}, "workspace"),
        ({"enterprise_user": {"is_primary_owner": True}}, ""),
    ],
)
async def test_the_primary_owner_needs_a_person(user: dict[str, object], where: str) -> None:
    """Of a workspace or of the organisation: nothing is tried until another takes over."""
    peer = Organisation(**user)
    before = Observation(USER, exists=True, standing=(Access(AccessKind.SIGN_IN, USER),))
    fault = await fault_of(scripted(peer).contain(Account(USER), before, Transcript()))

    assert fault.category is FaultCategory.PROTECTED_ACCOUNT, where
    assert peer.changes == []


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ("invalid_auth", FaultCategory.CREDENTIALS_REJECTED),
        ("account_inactive", FaultCategory.CREDENTIALS_REJECTED),
        ("missing_scope", FaultCategory.PERMISSION_MISSING),
        ("not_an_admin", FaultCategory.PERMISSION_MISSING),
        ("ratelimited", FaultCategory.RATE_LIMITED),
        ("fatal_error", FaultCategory.VENDOR_ERROR),
        ("something_new", FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_200_that_is_not_ok_is_a_refusal(error: str, category: FaultCategory) -> None:
    """The body says whether it is one, and the code what kind; an unknown one is no success."""
    peer = Organisation()
    peer.refusal = error
    fault = await fault_of(scripted(peer).look(Account(USER), Transcript()))

    assert fault.category is category
    assert fault.code == f"200.{error}"


async def test_200_without_a_word_of_success_is_none() -> None:
    """A change that does not say ok was not made, for all that is known."""
    before = Observation(USER, exists=True, standing=(Access(AccessKind.SIGN_IN, USER),))

    def answer(request: httpx.Request) -> httpx.Response:
        user = {"ok": True, "user": {"id": USER, "deleted": False}}
        return httpx.Response(200, json=user if request.method == "GET" else {})

    fault = await fault_of(scripted(answer).contain(Account(USER), before, Transcript()))
    assert fault.category is FaultCategory.UNEXPECTED_ANSWER


@pytest.mark.parametrize(
    ("told", "they_are"),
    [
        ({"session_settings": [{"user_id": USER, "duration": 86400}]}, "standing"),
        ({"no_settings_applied": [USER]}, "standing"),
        ({"session_settings": [], "no_settings_applied": []}, "ended"),
        ({"session_settings": [{"user_id": "W0000000002"}], "no_settings_applied": []}, "ended"),
        ({}, "unread"),
        ({"session_settings": [{"duration": 1}]}, "unread"),
    ],
)
async def test_open_sessions_are_told_by_settings(told: dict[str, Any], they_are: str) -> None:
    """With or without settings of one's own; an answer without either list says nothing."""
    peer = Organisation(deleted=True)
    peer.sessions = told
    seen = await scripted(peer).read_back(Account(USER), Transcript())

    assert bool(seen.unread) is (they_are == "unread")
    assert [way.kind for way in seen.standing] == ["session"] * (they_are == "standing")


async def test_only_deleted_true_is_shut() -> None:
    """What is not said to be deactivated is open; another's record is none."""
    open_ones = [Organisation(), Organisation(deleted="true"), Organisation(deleted=1)]
    signs_in = [
        (await scripted(one).look(Account(USER), Transcript())).signs_in for one in open_ones
    ]
    other = Organisation(id="W0000000002", deleted=True)
    fault = await fault_of(scripted(other).look(Account(USER), Transcript()))

    assert signs_in == [True, True, True]
    assert fault.code == "other_user"


async def test_429_hands_on_the_vendors_time() -> None:
    """Nothing waits here."""
    body = json.dumps({"ok": False, "error": "ratelimited"})
    limited = httpx.Response(429, headers={"Retry-After": "30"}, content=body)
    fault = await fault_of(scripted(lambda _: limited).look(Account(USER), Transcript()))

    assert fault.category is FaultCategory.RATE_LIMITED
    assert fault.retry_after == timedelta(seconds=30)
