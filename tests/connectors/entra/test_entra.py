"""The Entra connector: what it asks, what it takes for proof, and what it never does."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.entra.connector import MANIFEST, EntraConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Location, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.entra.harness import SYSTEM, EntraHarness, harness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Operation, Recorder, undocumented
from tests.support.loopback import loopback

ANA = "8f3a1c52-1111-4222-8333-9a0b1c2d3e4f"
LONG_AGO, TODAY = "2024-02-01T08:00:00Z", "2026-11-30T17:00:05Z"
PAGE = {"$skiptoken": ()}
FIELDS = {"$select": ()}
OFF = {"accountEnabled": False}
V1 = "/v1.0"
USER, ROLES = f"{V1}/users/{{id}}", f"{V1}/roleManagement/directory"

# From https://learn.microsoft.com/graph/api, by the names of its pages.
TRANSCRIBED = (
    Operation(f"GET {V1}/users", {"$filter": (), "$top": ("999",), **FIELDS, **PAGE}),  # user-list
    Operation(f"GET {USER}", FIELDS, required=frozenset({"$select"})),  # user-get
    Operation(f"PATCH {USER}", body=OFF),  # user-update
    Operation(f"POST {USER}/revokeSignInSessions"),  # user-revokesigninsessions
    Operation(f"GET {USER}/oauth2PermissionGrants", PAGE),  # user-list-oauth2permissiongrants
    Operation(f"DELETE {V1}/oauth2PermissionGrants/{{id}}"),  # oauth2permissiongrant-delete
    Operation(f"GET {USER}/authentication/methods", PAGE),  # authentication-list-methods
    Operation(
        f"DELETE {USER}/authentication/{{collection}}/{{id}}"
    ),  # phoneauthenticationmethod-delete …
    Operation(f"GET {USER}/registeredDevices", {**FIELDS, **PAGE}),  # user-list-registereddevices
    Operation(f"GET {USER}/ownedDevices", {**FIELDS, **PAGE}),  # user-list-owneddevices
    Operation(f"PATCH {V1}/devices/{{id}}", body=OFF),  # device-update
    Operation(f"GET {ROLES}/roleAssignments", {"$filter": (), **PAGE}),
    Operation(f"DELETE {ROLES}/roleAssignments/{{id}}"),  # unifiedroleassignment-delete
    Operation(f"GET {ROLES}/roleEligibilitySchedules", {"$filter": (), **PAGE}),
    Operation(f"GET {USER}/memberOf", {**FIELDS, **PAGE}),  # user-list-memberof
    Operation(f"DELETE {V1}/groups/{{group}}/members/{{id}}/$ref"),  # group-delete-members
    Operation(f"GET {USER}/appRoleAssignments", PAGE),  # user-list-approleassignments
    Operation(f"DELETE {USER}/appRoleAssignments/{{app}}"),  # user-delete-approleassignments
    Operation(f"GET {USER}/ownedObjects", PAGE),  # user-list-ownedobjects
    Operation(f"GET {V1}/auditLogs/signIns", {"$filter": (), **PAGE}),  # signin-list
)
BODIES = {
    "/assignLicense": {"addLicenses", "removeLicenses"},  # user-assignlicense
    "/roleEligibilityScheduleRequests": {
        "action",
        "principalId",
        "roleDefinitionId",
        "directoryScopeId",
        "justification",
    },
}
Answering = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
async def entra() -> AsyncIterator[EntraHarness]:
    async with harness() as made:
        yield made


def scripted(answering: Answering, **settings: object) -> EntraConnector:
    """A connector whose token is given, and whose calls are answered by the test."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "synthetic", "expires_in": 3599})
        return answering(request)

    given = {"tenant": "t", "client_id": "c", **settings}
    options = ConnectorOptions(SYSTEM, given, {"client_secret": "synthetic-secret"})
    return EntraConnector(options, transport=httpx.MockTransport(answer))


def user(**more: object) -> dict[str, Any]:
    return {
        "id": ANA,
        "userPrincipalName": "ana@corp.example.test",
        "mail": "ana@corp.example.test",
        "accountEnabled": False,
        "createdDateTime": LONG_AGO,
        "signInSessionsValidFromDateTime": TODAY,
        **more,
    }


def holding(**lists: list[dict[str, Any]]) -> Answering:
    """Ana, disabled, and what lists of her hold by the last word of their address."""

    def answer(request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        if last == ANA:
            states = {"licenseAssignmentStates": lists.get("licences", [])}
            return httpx.Response(200, json=user() | states)
        return httpx.Response(200, json={"value": lists.get(last, [])})

    return answer


async def locate(connector: EntraConnector, *keys: tuple[KeyKind, str]) -> Location:
    return await connector.locate(LeaverKeys(tuple(Key(*key) for key in keys)), Transcript())


async def test_every_call_is_one_that_the_vendor_documents(entra: EntraHarness) -> None:
    """Method, path, query and body of every call stand in the vendor's reference."""
    wire = Recorder(loopback())
    keys = await entra.hire("documented", devices=1, licences=1, owned=1)
    connector = entra.connect(wire, devices="disable", licences="remove")
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await revoke(connector, match.account, before, Transcript())
    after = await connector.read_back(match.account, Transcript())
    await connector.list_owned(match.account, Transcript())
    since = datetime.now(UTC) - timedelta(hours=1)
    await connector.activity_since(match.account, since, Transcript())
    await connector.health(Transcript())
    truth = (await entra.state(keys))["standing"]
    await connector.aclose()
    heard = [each for each in wire.heard if not each.path.endswith("/token")]
    bodied = {each.path: each for each in heard for end in BODIES if each.path.endswith(end)}
    plain = [each for each in heard if each.path not in bodied]

    assert undocumented(plain, TRANSCRIBED) == []
    assert [op.call for op in TRANSCRIBED if not any(map(op.fits, plain))] == []
    for path, each in bodied.items():
        assert set(json.loads(each.body)) == BODIES["/" + path.rpartition("/")[2]]
    assert after.is_closed
    assert not any(truth[way] for way in (*entra.ways, "devices", "licences"))
    assert sum(way.kind is AccessKind.SEAT for way in before.standing) == 1  # a licence costs money


async def test_sessions_stand_until_their_instant_has_moved() -> None:
    """A disabled account whose sessions were never revoked is not closed, and is then revoked."""
    sent: list[str] = []
    never = user(signInSessionsValidFromDateTime=LONG_AGO)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            sent.append(request.url.path.rpartition("/")[2])
            return httpx.Response(200, json={"value": True})
        return httpx.Response(200, json=never)

    connector = scripted(answer)
    seen = await connector.look(Account(ANA), Transcript())
    await revoke(connector, Account(ANA), seen, Transcript())

    assert [way.kind for way in seen.standing] == [AccessKind.SESSION]
    assert sent == ["revokeSignInSessions"]
    changed = await scripted(lambda _: httpx.Response(200, json=user())).look(
        Account(ANA), Transcript()
    )
    assert changed.standing == ()


@pytest.mark.parametrize("missing", ["signInSessionsValidFromDateTime", "createdDateTime"])
async def test_an_instant_that_is_not_said_proves_nothing(missing: str) -> None:
    """Sessions of a disabled account stand while Graph does not say since when they count."""
    connector = scripted(lambda _: httpx.Response(200, json=user(**{missing: None})))
    seen = await connector.look(Account(ANA), Transcript())

    assert [way.kind for way in seen.standing] == [AccessKind.SESSION]


async def test_accepted_with_false_is_not_begun() -> None:
    """Revoking sessions that answers {"value": false} has not revoked them."""
    connector = scripted(lambda _: httpx.Response(200, json={"value": False}))
    before = Observation(ANA, exists=True, standing=(Access(AccessKind.SESSION, "all"),))

    with pytest.raises(ConnectorFault) as caught:
        await connector.strip(Account(ANA), before, Transcript())
    assert caught.value.category is FaultCategory.NOT_APPLIED


async def test_people_of_a_directory_are_closed_there(entra: EntraHarness) -> None:
    """Nobody whom a directory synchronises is changed; once it has disabled them, the rest goes."""
    keys = await entra.hire("synced", synced=True)
    connector = entra.connector()
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(match.account, before, Transcript())
    assert caught.value.category is FaultCategory.MANAGED_ELSEWHERE

    keys = await entra.hire("synced.off", synced=True, enabled=False)
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await revoke(connector, match.account, before, Transcript())
    after = await connector.read_back(match.account, Transcript())
    await connector.aclose()
    assert before.standing
    assert after.is_closed


async def test_what_refuses_to_let_go_is_told_and_not_tried(entra: EntraHarness) -> None:
    """Groups of a rule, of a directory and of Exchange, and licences by a group, are residuals."""
    special = {"rule_groups": 1, "synced_groups": 1, "mail_groups": 1, "group_licences": 1}
    keys = await entra.hire("ruled", **special)
    wire = Recorder(loopback())
    connector = entra.connect(wire, licences="remove")
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await revoke(connector, match.account, before, Transcript())
    after = await connector.read_back(match.account, Transcript())
    await connector.aclose()

    assert after.is_closed
    assert {each.what: each.bound_s for each in after.residuals} == dict(MANIFEST.residual_s)
    assert [each for each in wire.heard if each.status == 400] == []


async def test_a_membership_is_removed_and_never_the_user(entra: EntraHarness) -> None:
    """Every DELETE of a group's member ends with $ref; no DELETE ends with the user's id."""
    keys = await entra.hire("ref")
    wire = Recorder(loopback())
    connector = entra.connect(wire)
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    await revoke(connector, match.account, before, Transcript())
    await connector.aclose()
    deleted = [each.path for each in wire.heard if each.method == "DELETE"]

    assert any(path.endswith(f"/members/{match.account.id}/$ref") for path in deleted)
    assert not any(path.endswith(match.account.id) for path in deleted)


async def test_a_quote_in_an_address_is_written_twice(entra: EntraHarness) -> None:
    """O'Brien is found, by an address beside the first one too."""
    await entra.hire(
        "quoted", proxies=["pat.o'brien@corp.example.test"], upn="p1@corp.example.test"
    )
    connector = entra.connector()
    found = await locate(connector, (KeyKind.EMAIL, "Pat.O'Brien@corp.example.test"))
    await connector.aclose()

    assert [match.account.locator for match in found.matches] == ["p1@corp.example.test"]


async def test_a_short_name_is_told_for_a_person_to_decide(entra: EntraHarness) -> None:
    """Who is called jsmith finds jsmith@, and not jsmithson@."""
    await entra.hire("short1", upn="jsmith@corp.example.test")
    await entra.hire("short2", upn="jsmithson@corp.example.test")
    connector = entra.connector()
    found = await locate(connector, (KeyKind.USERNAME, "jsmith"))
    await connector.aclose()

    assert [match.account.locator for match in found.matches] == ["jsmith@corp.example.test"]


async def test_the_next_page_is_asked_for_at_our_own_host() -> None:
    """An address of a next page that names another host gets no credential of ours."""
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        page: dict[str, Any] = {"value": [user(id=ANA[:-1] + str(len(hosts)))]}
        if "$skiptoken" not in request.url.params:
            page["@odata.nextLink"] = "https://elsewhere.example/v1.0/users?$skiptoken=x"
        return httpx.Response(200, json=page)

    pages = [page async for page in scripted(answer).list_active(Transcript())]

    assert hosts == ["graph.microsoft.com"] * 2
    assert pages[-1].end is not None
    assert pages[-1].end.looked_at == 2


async def test_a_404_of_anybody_else_is_not_gone() -> None:
    """Only the vendor's own code says that a user is no more."""
    connector = scripted(lambda _: httpx.Response(404, json={"error": {"code": "proxy"}}))

    with pytest.raises(ConnectorFault) as caught:
        await connector.look(Account(ANA), Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_without_a_licence_eligible_roles_are_unread() -> None:
    """A list that the tenant's licence hides is not an empty one; an option says there is none."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("roleEligibilitySchedules"):
            return httpx.Response(400, json={"error": {"code": "AadPremiumLicenseRequired"}})
        return holding()(request)

    seen = await scripted(answer).read_back(Account(ANA), Transcript())
    without = await scripted(answer, pim=False).read_back(Account(ANA), Transcript())

    assert [(row.kind, row.category) for row in seen.unread] == [
        (AccessKind.ROLE, FaultCategory.MISCONFIGURED)
    ]
    assert without.is_closed


async def test_a_strangers_consent_is_a_fault() -> None:
    """A list that shows somebody else's grant is not believed."""
    strange = {"oauth2PermissionGrants": [{"id": "g", "principalId": "somebody"}]}
    seen = await scripted(holding(**strange)).read_back(Account(ANA), Transcript())

    assert [row.code for row in seen.unread] == ["other_owner"]


async def test_a_password_is_no_factor_to_remove() -> None:
    """The password method cannot be deleted; what else is listed stands, its type unknown too."""
    methods = [
        {"@odata.type": f"#microsoft.graph.{name}AuthenticationMethod", "id": "m"}
        for name in ("password", "windowsHelloForBusiness", "brandNew")
    ]
    seen = await scripted(holding(methods=methods)).read_back(Account(ANA), Transcript())

    refs = [way.ref for way in seen.standing]
    assert refs == ["windowsHelloForBusinessMethods/m", "brandNewMethods/m"]


def certificate() -> tuple[str, str, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lockstep")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    made = made.public_key(key.public_key()).not_valid_before(begin)
    signed = made.not_valid_after(begin + timedelta(days=9000)).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode(), pem.decode(), key


async def test_a_certificate_signs_in_at_the_authority() -> None:
    """The assertion names certificate and endpoint, and the key never leaves."""
    pem, key, private = certificate()
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            asked.append({k: v[0] for k, v in parse_qs(request.content.decode()).items()})
            assert str(request.url) == "https://login.microsoftonline.com/t/oauth2/v2.0/token"
            return httpx.Response(200, json={"access_token": "synthetic"})
        return httpx.Response(200, json=user())

    given = {"tenant": "t", "client_id": "c"}
    options = ConnectorOptions(SYSTEM, given, {"certificate": pem, "private_key": key})
    connector = EntraConnector(options, transport=httpx.MockTransport(answer))
    await connector.look(Account(ANA), Transcript())
    head, claims = (
        json.loads(base64.urlsafe_b64decode(part + "=="))
        for part in asked[0]["client_assertion"].split(".")[:2]
    )
    thumb = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256())

    assert asked[0]["scope"] == "https://graph.microsoft.com/.default"
    assert asked[0]["grant_type"] == "client_credentials"
    assert "client_secret" not in asked[0]
    assert base64.urlsafe_b64decode(head["x5t#S256"] + "=") == thumb
    assert head["alg"] == "PS256"
    assert claims["aud"].endswith("/t/oauth2/v2.0/token")
    assert (claims["iss"], claims["sub"]) == ("c", "c")
    assert private.key_size == 2048


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {}, "client_secret"),
        ({}, {"client_secret": "s", "private_key": "k"}, "certificate|private_key"),
        ({}, {"private_key": "k"}, "certificate"),
        ({}, {"private_key": "k", "certificate": "c"}, "certificate"),
        ({"tenant": ""}, {"client_secret": "s"}, "tenant"),
        ({"login_url": "http://login.example"}, {"client_secret": "s"}, "login_url"),
        ({"employee_number_attribute": "a b"}, {"client_secret": "s"}, "employee_number_attribute"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """An option that cannot work is refused by its name."""
    given = {"tenant": "t", "client_id": "c", **settings}
    with pytest.raises(ValueError, match=f"^({named}):"):
        MANIFEST.build(ConnectorOptions(SYSTEM, given, secrets))
