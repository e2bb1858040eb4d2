"""The GitHub connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from graphql import GraphQLSchema, build_schema, parse, validate

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.github.connector import MANIFEST, GitHubConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.github.harness import CREDENTIALS, SYSTEM, GithubHarness, harness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Dialogue, Operation, Recorder, judge, undocumented
from tests.support.loopback import loopback

ORG = "/orgs/{org}"
PAGE = {"per_page": (), "page": ()}
# From https://docs.github.com/rest (2022-11-28), by the vendor's operation names.
TRANSCRIBED = (
    Operation("GET /user/{account_id}"),  # users/get-by-id
    Operation(f"GET {ORG}/members", {"role": ("admin",), **PAGE}),  # orgs/list-members
    Operation(f"GET {ORG}/memberships/{{username}}"),  # orgs/get-membership-for-user
    Operation(f"DELETE {ORG}/memberships/{{username}}"),  # orgs/remove-membership-for-user
    Operation(f"GET {ORG}/outside_collaborators", PAGE),  # orgs/list-outside-collaborators
    Operation(f"DELETE {ORG}/outside_collaborators/{{username}}"),
    Operation(  # orgs/list-saml-sso-authorizations
        f"GET {ORG}/credential-authorizations", {"login": (), **PAGE}
    ),
    Operation(f"DELETE {ORG}/credential-authorizations/{{credential_id}}"),
    Operation(f"GET {ORG}/personal-access-tokens", {"owner[]": (), **PAGE}),  # orgs/list-pat-grants
    Operation(f"POST {ORG}/personal-access-tokens/{{pat_id}}", body={"action": "revoke"}),
    Operation(f"GET {ORG}/audit-log", {"phrase": (), "include": ("web",), **PAGE}),
    Operation(f"GET {ORG}/repos", PAGE),  # repos/list-for-org
    Operation("GET /repos/{owner}/{repo}/keys", PAGE),  # repos/list-deploy-keys
    Operation(f"GET {ORG}/installations", PAGE),  # orgs/list-app-installations
    Operation("GET /apps/{app_slug}"),  # apps/get-by-slug
    Operation("POST /app/installations/{installation_id}/access_tokens"),
)
ENTERPRISE = CREDENTIALS["enterprise"]
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def github() -> AsyncIterator[GithubHarness]:
    async with harness() as made:
        yield made


@pytest.fixture(scope="module")
def app() -> dict[str, str]:
    """The secret of an App."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {"private_key": pem.decode()}


INSTALLED = {"app_id": "4711", "installation_id": "815"}


class Organisation:
    """A scripted organisation with an owner and one member; remembers what it was asked."""

    def __init__(self, **membership: object) -> None:
        self.user = {"id": 7, "login": "first", "node_id": "U_7"}
        self.membership: dict[str, Any] | None = {
            "state": "active",
            "role": "member",
            "user": {"id": 7},
            **membership,
        }
        self.owners = [{"id": 1, "login": "boss"}]
        self.hidden = False
        self.enterprise: Callable[[str], list[dict[str, Any]]] = lambda _: []
        self.changes: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/graphql":
            return self.graphql(json.loads(request.content))
        if request.method != "GET":
            self.changes.append(f"{request.method} {path}")
            return httpx.Response(204)
        if path.startswith("/user/"):
            return httpx.Response(200, json=self.user)
        if path.startswith("/orgs/acme/memberships/"):
            owner = {"state": "active", "role": "admin", "user": self.owners[0]}
            found = owner if path.endswith("/boss") else self.membership
            seen = found is not None and not self.hidden
            return httpx.Response(200, json=found) if seen else httpx.Response(404, json={})
        return httpx.Response(200, json=self.owners if path.endswith("/members") else [])

    def graphql(self, body: dict[str, Any]) -> httpx.Response:
        if body["query"].startswith("mutation"):
            self.changes.append(json.dumps(body["variables"]))
            return httpx.Response(200, json={"data": {"removeEnterpriseMember": None}})
        nodes = self.enterprise(body["variables"]["like"] or "")
        page = {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}
        return httpx.Response(200, json={"data": {"enterprise": {"id": "E_1", "members": page}}})


def scripted(answering: Answering, **settings: object) -> GitHubConnector:
    given = {"organization": "acme", **settings}
    options = ConnectorOptions(SYSTEM, given, {"token": "ghp_synthetic"})
    return GitHubConnector(options, transport=httpx.MockTransport(answering))


PINNED = Account("7", locator="first")
STANDS = Observation("7", exists=True, standing=(Access(AccessKind.SIGN_IN, "7"),))


async def look(connector: GitHubConnector, keys: LeaverKeys) -> tuple[Account, Observation]:
    (match,) = (await connector.locate(keys, Transcript())).matches
    return match.account, await connector.read_back(match.account, Transcript())


async def fault_of(work: Any) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await work
    return caught.value


async def everything(
    github: GithubHarness, wire: httpx.AsyncBaseTransport, worker: str, **how: Any
) -> None:
    """Whatever the connector can do, once."""
    shape = how.pop("shape", {})
    keys = await github.hire(worker, **github.owns, **shape)
    connector = github.connect(wire, how.pop("secrets", None), **how)
    account, before = await look(connector, keys)
    await connector.activity_since(account, datetime.now(UTC), Transcript())
    await connector.list_owned(account, Transcript())
    if "app_id" in how:  # what it revokes ends with the membership too
        await connector.strip(account, before, Transcript())
    await revoke(connector, account, before, Transcript())
    assert (await connector.read_back(account, Transcript())).is_closed
    assert not await github.still_in(keys)
    await connector.health(Transcript())
    await connector.aclose()


def is_graphql(dialogue: Dialogue) -> bool:
    return dialogue.path == "/graphql"


async def test_every_call_is_one_that_the_vendor_documents(
    github: GithubHarness, app: dict[str, str]
) -> None:
    """Method, path, query and body of every call, in every mode, stand in the reference."""
    wire = Recorder(loopback())
    await everything(github, wire, "documented")
    await everything(github, wire, "outside", shape={"outside": True})
    inside = {"in_enterprise": True}
    await everything(github, wire, "whole", shape=inside, enterprise=ENTERPRISE)
    await everything(github, wire, "by-app", secrets=app, **INSTALLED)

    heard = [each for each in wire.heard if not is_graphql(each)]
    assert undocumented(heard, TRANSCRIBED) == []
    unused = [each.call for each in TRANSCRIBED if not any(map(each.fits, heard))]
    assert unused == []
    if spec := os.environ.get("LOCKSTEP_GITHUB_SPEC"):
        verdict = judge(heard, Path(spec), host="https://api.github.com")
        assert verdict.errors == []
        assert verdict.checked


def documented() -> GraphQLSchema:
    """The transcription, or the vendor's own file (which defines two fields twice)."""
    named = os.environ.get("LOCKSTEP_GITHUB_SCHEMA")
    path = Path(named or Path(__file__).with_name("schema.graphql"))
    return build_schema(path.read_text(), assume_valid=True)


async def test_questions_fit_the_vendors_schema(github: GithubHarness) -> None:
    """Every question of GraphQL is valid by the fields and arguments that GitHub documents."""
    wire = Recorder(loopback())
    inside = {"in_enterprise": True}
    both = {"enterprise": ENTERPRISE, "saml": "enterprise"}
    await everything(github, wire, "schema-1", shape=inside, **both)
    await everything(github, wire, "schema-2")
    asked = {json.loads(each.body)["query"] for each in wire.heard if is_graphql(each)}
    schema = documented()

    assert len(asked) == 5
    assert [error for one in asked for error in validate(schema, parse(one))] == []


async def test_leaving_the_enterprise_is_one_call_and_read_back_there(
    github: GithubHarness,
) -> None:
    """It ends the membership of the organisation too; whoever left only that is still in."""
    keys = await github.hire("enterprise", in_enterprise=True)
    by_org, whole = github.connector(), github.connector(enterprise=ENTERPRISE)
    account, before = await look(by_org, keys)
    await revoke(by_org, account, before, Transcript())
    assert (await by_org.read_back(account, Transcript())).is_closed
    left = await whole.read_back(account, Transcript())
    github.script.effects.clear()
    await revoke(whole, account, left, Transcript())
    after = await whole.read_back(account, Transcript())
    effects = list(github.script.effects)
    await by_org.aclose()
    await whole.aclose()

    assert left.signs_in
    assert after.is_closed
    assert effects == ["POST /graphql"]
    assert not await github.still_in(keys)


async def test_no_membership_is_no_proof_while_an_owner_is_hidden_too() -> None:
    """404 may mean that we may not know: then nothing is said of anybody."""
    peer = Organisation()
    peer.hidden = True
    fault = await fault_of(scripted(peer).read_back(PINNED, Transcript()))
    peer.hidden, peer.membership = False, None
    gone = await scripted(peer).read_back(PINNED, Transcript())

    assert fault.category is FaultCategory.PERMISSION_MISSING
    assert fault.missing == "Members"
    assert gone.exists
    assert gone.is_closed


async def test_a_search_of_the_enterprise_that_finds_nobody_is_proved() -> None:
    """The very same search finds a member whom the list shows, or nobody is said to have left."""
    peer = Organisation()
    peer.membership = None
    boss = {"login": "boss", "databaseId": 1}
    connector = scripted(peer, enterprise="group")
    peer.enterprise = lambda query: [boss] if query in {"", "boss"} else []
    proved = await connector.read_back(PINNED, Transcript())
    peer.enterprise = lambda query: [] if query else [boss]
    blind = await fault_of(connector.read_back(PINNED, Transcript()))

    assert proved.is_closed
    assert blind.code == "search_not_proved"


async def test_a_mutation_that_answers_null_did_nothing() -> None:
    """Under 200, too, the payload says whether the member was removed."""
    peer = Organisation()
    peer.enterprise = lambda _: [{"login": "first", "user": {"databaseId": 7, "login": "first"}}]
    work = scripted(peer, enterprise="group").contain(PINNED, STANDS, Transcript())
    fault = await fault_of(work)

    assert fault.category is FaultCategory.NOT_APPLIED
    assert peer.changes == ['{"enterprise": "E_1", "user": "U_7"}']


async def test_whoever_took_over_the_login_is_not_touched() -> None:
    """Logins are given to others: calls go by the one that the id has now."""
    peer = Organisation()
    peer.user["login"] = "renamed"
    await scripted(peer).contain(PINNED, STANDS, Transcript())
    peer.membership = {"state": "active", "role": "member", "user": {"id": 8}}
    fault = await fault_of(scripted(peer).read_back(PINNED, Transcript()))

    assert peer.changes == ["DELETE /orgs/acme/memberships/renamed"]
    assert fault.code == "other_user"


async def test_the_last_owner_needs_a_person() -> None:
    """While there is another owner one may leave; the last one may not, and nothing is tried."""
    peer = Organisation(role="admin")
    peer.owners = [{"id": 7, "login": "first"}]
    fault = await fault_of(scripted(peer).contain(PINNED, STANDS, Transcript()))
    kept = list(peer.changes)
    peer.owners.append({"id": 1, "login": "boss"})
    actions = await scripted(peer).contain(PINNED, STANDS, Transcript())

    assert fault.category is FaultCategory.PROTECTED_ACCOUNT
    assert kept == []
    assert [action.operation for action in actions] == ["memberships.remove"]


@pytest.mark.parametrize(
    ("shape", "effect"),
    [({"outside": True}, "outside_collaborators"), ({"state": "pending"}, "memberships")],
)
async def test_each_way_in_is_shut_by_its_own_call(
    github: GithubHarness, shape: dict[str, object], effect: str
) -> None:
    """An outside collaborator leaves the repositories; an invitation is cancelled."""
    keys = await github.hire(f"way-{effect}", credentials=0, **shape)
    connector = github.connector()
    account, before = await look(connector, keys)
    github.script.effects.clear()
    await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    effects = list(github.script.effects)
    await connector.aclose()

    assert before.signs_in
    assert after.is_closed
    [made] = effects
    assert made.startswith(f"DELETE /orgs/northwind/{effect}/")


async def test_an_app_sees_and_revokes_fine_grained_tokens(
    github: GithubHarness, app: dict[str, str]
) -> None:
    """Its token is fetched once; tokens of the person, and of nobody else, are revoked."""
    colleague = await github.hire("app-colleague", tokens=2)
    keys = await github.hire("app-leaver", tokens=2)
    wire = Recorder(loopback())
    connector = github.connect(wire, app, **INSTALLED)
    account, before = await look(connector, keys)
    await connector.strip(account, before, Transcript())
    revoked = [each for each in wire.heard if "/personal-access-tokens/" in each.path]
    fetched = [each for each in wire.heard if each.path.endswith("/access_tokens")]
    await connector.aclose()

    assert len([way for way in before.standing if way.ref.startswith("pat-")]) == 2
    assert [each.status for each in revoked] == [204, 204]
    assert len(fetched) == 1
    assert (await github.state(colleague))["standing"]["tokens"] == 2


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (401, FaultCategory.CREDENTIALS_REJECTED),
        (403, FaultCategory.CREDENTIALS_REJECTED),
        (404, FaultCategory.UNEXPECTED_ANSWER),
        (200, FaultCategory.UNEXPECTED_ANSWER),
        (503, FaultCategory.VENDOR_ERROR),
    ],
)
async def test_an_app_that_is_given_no_token_asks_nothing(
    app: dict[str, str], status: int, category: FaultCategory
) -> None:
    """Only 201 grants one; the key and what was signed with it are in no fault."""
    heard: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request.url.path)
        told = {"token": "ghs_no", "expires_at": "2030-01-01T00:00:00Z"}
        return httpx.Response(status, json=told)

    given = ConnectorOptions(SYSTEM, {"organization": "acme", **INSTALLED}, app)
    connector = GitHubConnector(given, transport=httpx.MockTransport(answer))
    fault = await fault_of(connector.look(PINNED, Transcript()))

    assert fault.category is category
    assert fault.operation == "oauth.token"
    assert heard == ["/app/installations/815/access_tokens"]
    assert "ghs_no" not in str(fault)


async def test_a_login_alone_says_nothing_of_a_person(github: GithubHarness) -> None:
    """Anybody may have chosen it; only settings that say so make it a user name."""
    await github.hire("named", login="a-name-like-hr")
    keys = LeaverKeys((Key(KeyKind.USERNAME, "a-name-like-hr"),))
    plain, told = github.connector(), github.connector(login_is="username")
    nobody = await plain.locate(keys, Transcript())
    somebody = await told.locate(keys, Transcript())
    await plain.aclose()
    await told.aclose()

    assert nobody.matches == ()
    assert len(somebody.matches) == 1


async def test_somebody_whom_nothing_tells_may_be_the_leaver(github: GithubHarness) -> None:
    """Without identity and verified address "nobody" is unproved, until the settings say whose."""
    await github.hire("untold", linked=False, verified=False, login="nameless")
    keys = LeaverKeys((Key(KeyKind.EMAIL, "untold@northwind.example.com"),))
    proofs, found = [], []
    for logins in ([], ["nameless="], ["nameless=untold@northwind.example.com"]):
        connector = github.connector(logins=logins)
        location = await connector.locate(keys, Transcript())
        proofs.append({search.proof for search in location.searches})
        found.append(len(location.matches))
        await connector.aclose()
    await github._post("reset")

    assert proofs[:2] == [{Proof.UNPROVED}, {Proof.LISTED}]
    assert found == [0, 0, 1]


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        ({"data": {"organization": None}, "errors": [{"type": "NOT_FOUND"}]}, "permission_missing"),
        ({"data": {"organization": {"samlIdentityProvider": None}}}, "unexpected_answer"),
    ],
)
async def test_what_cannot_be_listed_is_not_nobody(answer: dict[str, Any], category: str) -> None:
    """An organisation that we may not see, or one without a provider, has no empty list."""
    connector = scripted(lambda _: httpx.Response(200, json=answer), saml="organization")
    keys = LeaverKeys((Key(KeyKind.EMAIL, "first@corp.example.test"),))
    fault = await fault_of(connector.locate(keys, Transcript()))

    assert fault.category == category


async def test_a_secondary_limit_is_one_that_passes() -> None:
    """403 with a time is no missing permission."""
    body = {"message": "You have exceeded a secondary rate limit"}
    limited = httpx.Response(403, headers={"Retry-After": "60"}, json=body)
    fault = await fault_of(scripted(lambda _: limited).look(PINNED, Transcript()))

    assert fault.category is FaultCategory.RATE_LIMITED
    assert fault.retry_after == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({"organization": "acme"}, {}, "token"),
        ({"organization": "acme/x"}, {"token": "t"}, "organization"),
        ({"organization": "acme", "saml": "enterprise"}, {"token": "t"}, "enterprise"),
        ({"organization": "acme", "logins": ["x"]}, {"token": "t"}, "logins"),
        ({"organization": "acme", **INSTALLED}, {"private_key": "no key"}, "private_key"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """An option that cannot work is refused by its name."""
    with pytest.raises(ValueError, match=f"^{named}:"):
        MANIFEST.build(ConnectorOptions(SYSTEM, settings, secrets))
