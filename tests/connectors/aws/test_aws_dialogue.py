"""AWS where moto cannot follow: scripted answers on the wire, the real server for the rest."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.aws import iam as aws_iam
from connectors.aws.connector import AwsConnector
from connectors.aws.spec import ANY_REQUEST, DIALECT, LOGIN_PROFILE
from connectors.aws.wire import JSON, QUERY, endpoint
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.faults import category_of
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.aws.harness import (
    ACCOUNT,
    DENY_ALL,
    REQUEST_ID,
    empty_success,
    judged,
    kinds,
    refuses,
    says,
    says_json,
    says_xml,
)
from tests.connectors.revoking import revoke

USER_ID = "11111111-2222-4333-8444-555555555555"
ISSUER = "https://directory.example.test"
EXTERNAL = {"ExternalIds": [{"Issuer": ISSUER, "Id": "E-1"}]}
NO_LIST = {
    "ListGroupMembershipsForMember": [says_json({"GroupMemberships": []})],
    "ListAccountAssignmentsForPrincipal": [says_json({"AccountAssignments": []})],
}
NAMED = Key(KeyKind.USERNAME, "leaver")
_numbers = itertools.count(1)


@pytest.fixture
def worker() -> str:
    return f"leaver-d-{next(_numbers)}"


def store_user(**more: object) -> dict[str, object]:
    return {"IdentityStoreId": "d-0000000000", "UserId": USER_ID, "UserName": "leaver", **more}


def _silent(request):
    raise httpx.ReadTimeout("silent", request=request)


LISTS = {
    "ListAccessKeys": {AccessKind.SECRET},
    "ListServiceSpecificCredentials": {AccessKind.SECRET},
    "ListAttachedUserPolicies": {AccessKind.SIGN_IN, AccessKind.ROLE},
    "ListUserPolicies": {AccessKind.ROLE},
}


@pytest.mark.parametrize(
    ("listing", "reply", "category"),
    [
        *((each, refuses("AccessDenied", 403), FaultCategory.PERMISSION_MISSING) for each in LISTS),
        ("ListAttachedUserPolicies", refuses("NoSuchEntity", 404), FaultCategory.VENDOR_ERROR),
        ("ListAttachedUserPolicies", _silent, FaultCategory.TIMEOUT),
        ("ListAttachedUserPolicies", empty_success, FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_whatever_list_fails_both_doors_are_shut_and_the_rest_closed(
    aws, worker, listing, reply, category
):
    """One list that cannot be read is unread by itself; sign-in and all other ways are closed."""
    keys = await aws.hire(worker)
    none = says_xml("<ServiceSpecificCredentials/><IsTruncated>false</IsTruncated>")  # moto: 500
    replies = {"ListServiceSpecificCredentials": [none], listing: [reply]}
    connector = aws.connector(replies=replies, service_credentials=True)
    iam, _ = await aws.both(connector, keys)
    shut = await connector.contain(iam, await connector.look(iam, Transcript()), Transcript())
    seen = await connector.read_back(iam, Transcript())
    await connector.strip(iam, seen, Transcript())
    after = await connector.read_back(iam, Transcript())
    assert [action.access for action in shut] == [LOGIN_PROFILE, ANY_REQUEST]
    assert aws.script.effects[:2] == ["DeleteLoginProfile", "AttachUserPolicy"]
    assert {row.kind for row in seen.unread} == LISTS[listing]
    assert {(row.operation, row.category) for row in seen.unread} == {(f"iam.{listing}", category)}
    assert (after.standing, after.is_closed) == ((), False)


async def test_nothing_that_hangs_holds_up_the_first_write(aws, worker, monkeypatch):
    """Reads beside the user's own record are waited for briefly; unanswered, the doors are shut."""
    monkeypatch.setattr(aws_iam, "BRIEF_S", 0.2)
    keys = await aws.hire(worker)

    async def hangs(request):
        await asyncio.sleep(30)
        return refuses("ServiceFailure", 500)(request)

    slow = ("GetCallerIdentity", "GetLoginProfile", "ListAttachedUserPolicies")
    connector = aws.connector(replies={operation: [hangs] for operation in slow})
    async with asyncio.timeout(20):
        iam, _ = await aws.both(connector, keys)
        door = await connector.look(iam, Transcript())
        actions = await connector.contain(iam, door, Transcript())
    assert door.signs_in
    assert {action.access for action in actions} == {LOGIN_PROFILE, ANY_REQUEST}


async def test_a_user_with_keys_only_signs_in(aws, worker):
    """Without a login profile requests still stand: the deny shuts them, and is told once."""
    aws.iam.create_user(UserName=worker)
    connector = aws.connector(users="iam", employee_number_tag="", email_tag="")
    account = Account(aws.iam_id(worker), worker)
    door = await connector.look(account, Transcript())
    first = await connector.contain(account, door, Transcript())
    again = await connector.contain(account, door, Transcript())
    assert door.standing == (ANY_REQUEST,)
    assert [action.access for action in first] == [ANY_REQUEST]
    assert again == ()
    assert not (await connector.look(account, Transcript())).signs_in


@pytest.mark.parametrize(
    ("refused", "category", "shut"),
    [
        # A deny that never finds room is said, and the login profile is deleted all the same.
        (
            ("AttachUserPolicy", refuses("LimitExceeded", 409), {"strip_policies": False}),
            FaultCategory.MISCONFIGURED,
            [LOGIN_PROFILE],
        ),
        # "No such entity" while attaching means that nothing is denied.
        (
            ("AttachUserPolicy", refuses("NoSuchEntity", 404), {}),
            FaultCategory.VENDOR_ERROR,
            [LOGIN_PROFILE],
        ),
        # When console sign-in cannot be closed yet, everything is denied all the same.
        (
            ("DeleteLoginProfile", refuses("EntityTemporarilyUnmodifiable", 409), {}),
            FaultCategory.VENDOR_ERROR,
            [ANY_REQUEST],
        ),
        # One that is gone is closed already.
        (("DeleteLoginProfile", refuses("NoSuchEntity", 404), {}), None, [ANY_REQUEST]),
    ],
)
async def test_each_door_is_shut_for_itself(aws, worker, refused, category, shut):
    """One door that cannot be shut keeps no other open, and the fault carries what was shut."""
    keys = await aws.hire(worker)
    operation, reply, settings = refused
    connector = aws.connector(replies={operation: [reply]}, **settings)
    iam, _ = await aws.both(connector, keys)
    door = await connector.look(iam, Transcript())
    if category is None:
        done = await connector.contain(iam, door, Transcript())
    else:
        with pytest.raises(ConnectorFault) as caught:
            await connector.contain(iam, door, Transcript())
        assert caught.value.category is category
        done = caught.value.actions
    assert [action.access for action in done] == shut


async def test_deny_waits_for_room(aws, worker):
    """Where ten policies fill the user's quota, the deny is attached once theirs are stripped."""
    keys = await aws.hire(worker)

    def attach(request):
        aws.iam.attach_user_policy(UserName=worker, PolicyArn=DENY_ALL)
        return empty_success(request)

    replies = {"AttachUserPolicy": [refuses("LimitExceeded", 409), attach]}
    connector = aws.connector(replies=replies)
    iam, _ = await aws.both(connector, keys)
    actions = await aws.close_account(connector, iam)
    assert (await connector.read_back(iam, Transcript())).is_closed
    assert (actions[0].access, actions[-1].access) == (LOGIN_PROFILE, ANY_REQUEST)


STORE_LISTS = {
    "ListGroupMembershipsForMember": AccessKind.GROUP,
    "ListAccountAssignmentsForPrincipal": AccessKind.ASSIGNMENT,
    "ListApplicationAssignmentsForPrincipal": AccessKind.ASSIGNMENT,
}


@pytest.mark.parametrize("listing", STORE_LISTS)
async def test_whatever_store_list_fails_the_user_is_deleted_first(aws, worker, listing):
    """The user goes before any list is read; a list of what hangs on the id stays unread."""
    keys = await aws.hire(worker)
    replies = {
        "ListApplicationAssignmentsForPrincipal": [says_json({"ApplicationAssignments": []})],
        listing: [refuses("AccessDeniedException")],
    }
    connector = aws.connector(replies=replies, applications=True)
    _, user = await aws.both(connector, keys)
    before, transcript = await connector.read_back(user, Transcript()), Transcript()
    await connector.contain(user, before, transcript)
    left = await connector.read_back(user, Transcript())
    await connector.strip(user, left, Transcript())
    after = await connector.read_back(user, Transcript())
    assert [row.kind for row in before.unread] == [STORE_LISTS[listing]]
    made = [one.operation for one in transcript.exchanges]
    assert made == ["identitystore.DescribeUser", "identitystore.DeleteUser"]
    assert after.standing == ()
    # A membership ends with the user, so its list is no longer asked for.
    assert after.is_closed == (listing == "ListGroupMembershipsForMember")


async def test_service_credentials_are_closed(aws, worker):
    """A live service-specific credential (a Bedrock API key) stands and is made inactive."""
    keys = await aws.hire(worker)
    one = (
        "<ServiceSpecificCredentials><member><Status>{}</Status>"
        "<ServiceSpecificCredentialId>ACCASYNTHETIC0000001</ServiceSpecificCredentialId>"
        "</member></ServiceSpecificCredentials><IsTruncated>false</IsTruncated>"
    )
    asked: list[str] = []

    def update(request):
        asked.append(request.content.decode())
        return empty_success(request)

    active, dead = says_xml(one.format("Active")), says_xml(one.format("Inactive"))
    replies = {
        "ListServiceSpecificCredentials": [active, active, dead],
        "UpdateServiceSpecificCredential": [update],
    }
    connector = aws.connector(replies=replies, service_credentials=True)
    iam, _ = await aws.both(connector, keys)
    actions = await aws.close_account(connector, iam)
    refs = [action.access.ref for action in actions]
    assert "service_credential:ACCASYNTHETIC0000001" in refs
    assert "Status=Inactive" in asked[0]
    assert (await connector.read_back(iam, Transcript())).is_closed


async def test_application_assignments_are_closed(aws, worker):
    """An application assigned to the user stands and is removed; one through a group does not."""
    keys = await aws.hire(worker)
    arn = f"arn:aws:sso::{ACCOUNT}:application/ssoins-synthetic/apl-synthetic"
    by_group = {"ApplicationArn": arn + "2", "PrincipalId": "a-group", "PrincipalType": "GROUP"}
    asked: list[dict[str, str]] = []

    def listing(request):
        mine = {"PrincipalId": json.loads(request.content)["PrincipalId"], "PrincipalType": "USER"}
        found = [{"ApplicationArn": arn, **mine}, by_group]
        return says(200, json.dumps({"ApplicationAssignments": found}))

    def delete(request):
        asked.append(json.loads(request.content))
        return says(200, "{}")

    replies = {
        "ListApplicationAssignmentsForPrincipal": [listing],
        "DeleteApplicationAssignment": [delete],
    }
    connector = aws.connector(replies=replies, applications=True)
    _, user = await aws.both(connector, keys)
    before = await connector.read_back(user, Transcript())
    await revoke(connector, user, before, Transcript())
    assert [one.ref for one in before.standing if one.ref.startswith("arn:")] == [arn]
    assert [(one["ApplicationArn"], one["PrincipalId"]) for one in asked] == [(arn, user.id)]


async def test_external_id_is_searched_and_known(aws):
    """With an issuer, the employee number is looked up as external id and compared."""
    asked: list[dict[str, object]] = []

    def lookup(request):
        asked.append(json.loads(request.content)["AlternateIdentifier"])
        return says(200, json.dumps({"UserId": USER_ID}))

    number = Key(KeyKind.EMPLOYEE_NUMBER, "E-1")
    location = await aws.locate(
        number,
        replies={"GetUserId": [lookup], "DescribeUser": [says_json(store_user(**EXTERNAL))]},
        users="identity_center",
        external_id_issuer=ISSUER,
        external_id_holds="employee_number",
    )
    assert asked == [{"ExternalId": {"Issuer": ISSUER, "Id": "E-1"}}]
    assert location.matches[0].found_by is KeyKind.EMPLOYEE_NUMBER
    assert number in location.matches[0].account.known_keys


async def test_other_employee_number_is_in_doubt(aws):
    """A user of the right name whose enterprise employee number is another's: a person decides."""
    extensions = {"Extensions": {"aws:identitystore:enterprise": {"employeeNumber": "E-2"}}}
    replies = {
        "GetUserId": [says_json({"UserId": USER_ID})],
        "DescribeUser": [says_json(store_user(**extensions))],
    }
    keys = (Key(KeyKind.EMPLOYEE_NUMBER, "E-1"), NAMED)
    location = await aws.locate(*keys, replies=replies, users="identity_center")
    assert judged(location, *keys) == {"leaver": "in_doubt.other_number"}


async def test_a_look_up_that_answers_with_anybody_is_not_believed(aws):
    """A user who does not bear the key is no match, and the list is asked instead."""
    theirs = "99999999-2222-4333-8444-555555555555"
    stranger = {**store_user(), "UserId": theirs, "UserName": "nobody.else"}
    users = {USER_ID: store_user(), theirs: stranger}

    def described(request):
        return says(200, json.dumps(users[json.loads(request.content)["UserId"]]))

    replies = {
        "GetUserId": [says_json({"UserId": theirs})],
        "DescribeUser": [described],
        "ListUsers": [says_json({"Users": list(users.values())})],
    }
    location = await aws.locate(NAMED, replies=replies, users="identity_center")
    assert [match.account.id for match in location.matches] == [USER_ID]
    assert location.listed == 2


@pytest.mark.parametrize(("status", "stands"), [("DISABLED", False), ("ENABLED", True)])
async def test_user_status_decides_sign_in(aws, status, stands):
    """Only a user whom AWS calls DISABLED has no sign-in."""
    replies = {"DescribeUser": [says_json(store_user(UserStatus=status))], **NO_LIST}
    seen = await aws.connector(replies=replies).read_back(Account(USER_ID), Transcript())
    assert kinds(seen) == ([AccessKind.SIGN_IN] if stands else [])


async def test_nothing_hangs_on_a_principal_that_aws_knows_no_more(aws):
    """A user who is gone, and whose assignments AWS no longer lists: nothing is left unread."""
    gone = [refuses("ResourceNotFoundException")]
    replies = {"DescribeUser": gone, "ListAccountAssignmentsForPrincipal": gone}
    seen = await aws.connector(replies=replies).read_back(Account(USER_ID), Transcript())
    assert (seen.exists, seen.is_closed) == (False, True)


async def test_a_profile_that_cannot_be_read_stands(aws, worker):
    """Where nothing is denied, the login profile is the door: unread, it is taken for open."""
    aws.iam.create_user(UserName=worker)
    connector = aws.connector(replies={"GetLoginProfile": [_silent]}, deny="none", users="iam")
    door = await connector.look(Account(aws.iam_id(worker), worker), Transcript())
    assert (door.standing, door.unread[0].kind) == ((LOGIN_PROFILE,), AccessKind.SIGN_IN)


async def test_provisioned_user_is_detected(aws):
    """A user with an external id belongs to a directory, which would undo a deletion."""
    replies = {"DescribeUser": [says_json(store_user(**EXTERNAL))], **NO_LIST}
    with pytest.raises(ConnectorFault) as caught:
        await aws.close_account(aws.connector(replies=replies), Account(USER_ID))
    assert caught.value.category is FaultCategory.MANAGED_ELSEWHERE


@pytest.mark.parametrize("status", ["FAILED", "SOMETHING_NEW", "IN_PROGRESS"])
async def test_assignment_deletion_is_asynchronous(aws, status):
    """Each account is unassigned; a failed one under a 200 is a fault, one under way an action."""
    assignments = [
        {
            "AccountId": account,
            "PermissionSetArn": "arn:aws:sso:::permissionSet/ssoins-0/ps-0",
            "PrincipalId": USER_ID,
            "PrincipalType": "USER",
        }
        for account in (ACCOUNT, "210987654321")
    ]
    begun = {"AccountAssignmentDeletionStatus": {"Status": status}}
    replies = {
        **NO_LIST,
        "DescribeUser": [says_json(store_user(UserStatus="DISABLED"))],
        "ListAccountAssignmentsForPrincipal": [says_json({"AccountAssignments": assignments})],
        "DeleteAccountAssignment": [says_json(begun)],
    }
    connector = aws.connector(replies=replies)
    if status == "IN_PROGRESS":
        actions = await aws.close_account(connector, Account(USER_ID))
        made = [action.operation for action in actions]
        assert made == ["sso-admin.DeleteAccountAssignment"] * 2
        assert not (await connector.read_back(Account(USER_ID), Transcript())).is_closed
        return
    with pytest.raises(ConnectorFault) as caught:
        await aws.close_account(connector, Account(USER_ID))
    assert caught.value.category is FaultCategory.NOT_APPLIED


@pytest.mark.parametrize(
    ("codes", "category"),
    [
        ("DeleteConflict ConcurrentModification ServiceFailure", FaultCategory.VENDOR_ERROR),
        ("NoSuchEntity ResourceNotFoundException", FaultCategory.VENDOR_ERROR),
        ("UnmodifiableEntity", FaultCategory.PROTECTED_ACCOUNT),
        ("ExpiredToken UnrecognizedClientException", FaultCategory.CREDENTIALS_REJECTED),
        ("AccessDeniedException NotAuthorized", FaultCategory.PERMISSION_MISSING),
        ("ThrottlingException SlowDown RequestLimitExceeded", FaultCategory.RATE_LIMITED),
        ("LimitExceeded RequestExpired", FaultCategory.MISCONFIGURED),
        ("InvalidInput", FaultCategory.UNEXPECTED_ANSWER),
    ],
)
def test_codes_decide(codes, category):
    """The code of a refusal decides its category, whatever the status."""
    now = datetime.now(UTC)
    found = {category_of(DIALECT.faults, 400, code, {}, now) for code in codes.split()}
    assert found == {category}


async def test_a_refusal_is_named(aws):
    """The code without its namespace, the permission as IAM names it, and AWS's request id."""
    listing = "ListAccountAssignmentsForPrincipal"
    replies = {"DescribeUser": [says_json(store_user())], **NO_LIST}
    connector = aws.connector(replies={**replies, listing: [refuses("AccessDeniedException")]})
    (row,) = (await connector.read_back(Account(USER_ID), Transcript())).unread
    assert (row.code, row.missing) == ("400.AccessDeniedException", f"sso:{listing}")
    assert row.request_id == REQUEST_ID


async def test_an_answer_without_aws_signature_is_a_proxys(aws):
    """An accepted answer that no request id of AWS's goes with proves nothing."""
    page = {"DescribeUser": [lambda _: httpx.Response(200, json=store_user())]}
    with pytest.raises(ConnectorFault) as caught:
        await aws.connector(replies=page).look(Account(USER_ID), Transcript())
    assert (caught.value.category, caught.value.code) == (
        FaultCategory.UNEXPECTED_ANSWER,
        "no_request_id",
    )


def test_both_protocols_are_written_and_read():
    """Members of members are numbered and named; a page that is not AWS's is no answer."""
    sent = QUERY.write({"Filter": ["User"], "Context": [{"Key": "a b"}], "MaxItems": 1})
    assert sent == b"Filter.member.1=User&Context.member.1.Key=a+b&MaxItems=1"
    said = "<AResponse xmlns='urn:x'><AResult><L/><M><member><N>1</N></member></M></AResult>"
    assert QUERY.read(f"{said}</AResponse>".encode()) == {"L": [], "M": [{"N": "1"}]}
    assert JSON.read(b'{"__type": "com.x#Denied:http://y"}') == {"__type": "Denied"}
    for page in (b"<html></html>", b"<html>", b"{}"):
        with pytest.raises(ValueError, match=r"^no "):
            QUERY.read(page)


@pytest.mark.parametrize(
    ("service", "region", "host", "signed_for"),
    [
        ("iam", "eu-central-1", "iam.amazonaws.com", "us-east-1"),
        ("sts", "eu-central-1", "sts.eu-central-1.amazonaws.com", "eu-central-1"),
        ("iam", "cn-northwest-1", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("iam", "us-gov-east-1", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
        ("sso", "us-gov-west-1", "sso.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ],
)
def test_every_partition_has_its_addresses(service, region, host, signed_for):
    """China and GovCloud have hosts and signing regions of their own."""
    assert endpoint(service, region) == (host, signed_for)


async def test_pages_are_followed_to_a_bound(aws):
    """A listing is read to its end; one that leads back, or says more and not how, is a fault."""
    page = (
        "<Users><member><UserName>somebody</UserName><UserId>AIDA{name}</UserId>"
        f"<Arn>arn:aws:iam::{ACCOUNT}:user/{{name}}</Arn></member></Users>"
        "<IsTruncated>{more}</IsTruncated>{marker}"
    )
    first = says_xml(page.format(name="a", more="true", marker="<Marker>next</Marker>"))
    last = says_xml(page.format(name="b", more="false", marker=""))
    wanted = Key(KeyKind.ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT}:user/b")
    settings = {"users": "iam", "employee_number_tag": "", "email_tag": ""}
    found = await aws.locate(wanted, replies={"ListUsers": [first, last]}, **settings)
    assert len(found.matches) == 1
    cut = says_xml(page.format(name="a", more="true", marker=""))
    for endless in (first, cut):
        with pytest.raises(ConnectorFault) as caught:
            await aws.locate(wanted, replies={"ListUsers": [endless]}, **settings)
        assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_health_simulates_the_role_behind_the_session(aws):
    """A denied action is a blocking problem; the role is asked by its own ARN, path included."""
    asked: list[str] = []
    caller = (
        f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/lockstep/lockstep-aws</Arn>"
        f"<UserId>AROASYNTHETIC:lockstep-aws</UserId><Account>{ACCOUNT}</Account>"
    )
    results = (
        "<EvaluationResults><member><EvalActionName>iam:DeleteLoginProfile</EvalActionName>"
        "<EvalDecision>{}</EvalDecision></member></EvaluationResults>"
        "<IsTruncated>false</IsTruncated>"
    )

    def simulate(request):
        asked.append(request.content.decode())
        decision = "implicitDeny" if "DeleteLoginProfile" in asked[-1] else "allowed"
        return says_xml(results.format(decision))(request)

    role = f"<Role><Arn>arn:aws:iam::{ACCOUNT}:role/ops/lockstep</Arn></Role>"
    replies = {
        "GetCallerIdentity": [says_xml(caller)],
        "GetRole": [says_xml(role)],
        "SimulatePrincipalPolicy": [simulate],
    }
    connector = aws.connector(replies=replies, users="iam", service_credentials=True)
    health = await connector.health(Transcript())
    denied = [problem.summary for problem in health.problems]
    assert denied == ["not allowed: iam:DeleteLoginProfile"]
    assert not health.is_ready
    assert all("role%2Fops%2Flockstep" in body and "AWSDenyAll" in body for body in asked)
    of_user, of_group = asked
    for action in ("AttachUserPolicy", "UpdateAccessKey", "GetUser", "DeactivateMFADevice"):
        assert f"iam%3A{action}" in of_user
    assert "RemoveUserFromGroup" in of_group


@pytest.mark.parametrize(
    ("instances", "code"),
    [([], "no_instance"), ([{"InstanceArn": "a"}, {"InstanceArn": "b"}], "several_instances")],
)
async def test_identity_center_must_be_one(aws, instances, code):
    """No instance in the region, or several, is a setting to correct, never an empty search."""
    with pytest.raises(ConnectorFault) as caught:
        await aws.locate(NAMED, replies={"ListInstances": [says_json({"Instances": instances})]})
    assert (caught.value.category, caught.value.code) == (FaultCategory.MISCONFIGURED, code)


@pytest.mark.parametrize(("lasts", "times"), [(3600, 1), (300, 4)])
async def test_a_role_is_assumed_once_and_before_its_end(aws, caplog, lasts, times):
    """One recorded AssumeRole serves all calls until it nears its end; nothing of it is logged."""
    caplog.set_level(logging.DEBUG)
    until = (datetime.now(UTC) + timedelta(seconds=lasts)).isoformat()
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    given = "".join(f"<{name}>synthetic-{name}</{name}>" for name in names)
    role = says_xml(f"<Credentials>{given}<Expiration>{until}</Expiration></Credentials>")
    sent: list[str] = []

    def refuse(request):
        sent.append(request.headers["x-amz-security-token"])
        return refuses("InternalFailure", 500)(request)

    replies = {"AssumeRole": [role], "GetUser": [refuse], "ListUsers": [refuse]}
    connector = aws.connector(replies=replies, role_arn="arn:aws:iam::1:role/x", users="iam")
    transcript = Transcript()
    for _ in range(2):
        asked = (connector.look(Account("AIDA", "x"), transcript) for _ in range(2))
        await asyncio.gather(*asked, return_exceptions=True)
    operations = [exchange.operation for exchange in transcript.exchanges]
    assert operations.count("sts.AssumeRole") == times
    assert sent == ["synthetic-SessionToken"] * 4
    assert "synthetic-" not in caplog.text + repr(transcript)


async def test_a_refused_role_is_sts_refusal(aws):
    """A role that may not be assumed is named as the missing permission, in our words only."""
    replies = {"AssumeRole": [refuses("AccessDenied", 403)]}
    with pytest.raises(ConnectorFault) as caught:
        await aws.locate(NAMED, replies=replies, role_arn="arn:aws:iam::1:role/x", users="iam")
    assert (caught.value.operation, caught.value.missing) == ("sts.AssumeRole", "sts:AssumeRole")


async def test_environment_redirects_nothing(monkeypatch):
    """With keys of its own, no profile and no endpoint in the environment is obeyed."""
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE")
    sent: list[tuple[str, str]] = []

    def spy(request):
        sent.append((str(request.url), request.headers["Authorization"]))
        return refuses("AccessDenied", 403)(request)

    connector = AwsConnector(_given(), transport=httpx.MockTransport(spy))
    await connector.health(Transcript())
    ((url, authorization),) = sent
    assert url == "https://sts.us-east-1.amazonaws.com/"
    assert "AKIALOCKSTEPOWN/" in authorization


async def test_nobody_listens():
    """A refused connection is unreachable, and the health says so instead of raising."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        connector = AwsConnector(_given(endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        health = await connector.health(Transcript())
        await connector.aclose()
    assert not health.reachable


async def test_excluded_half_is_misconfigured(aws):
    """An account of a kind that the settings exclude is never silently taken for closed."""
    nothing = Observation(USER_ID, exists=True, standing=())
    with pytest.raises(ConnectorFault) as caught:
        await revoke(aws.connector(users="iam"), Account(USER_ID), nothing, Transcript())
    assert caught.value.category is FaultCategory.MISCONFIGURED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", "everybody"),
        ("endpoint_url", "http://aws.example.test"),
        ("role_session_s", 43_201),
        ("external_id_holds", "email"),
        ("no_such_option", "x"),
    ],
)
def test_bad_options_are_named(name, value):
    """A wrong option is refused when the connector is built, by name."""
    with pytest.raises(ValueError, match=f"^{name}: "):
        AwsConnector(_given(**{name: value}))


def test_keys_or_default():
    """Without keys the machine's own credential is used only where the option says so."""
    with pytest.raises(ValueError, match=r"^access_key_id: "):
        AwsConnector(ConnectorOptions("aws-test", {}))
    AwsConnector(ConnectorOptions("aws-test", {"credentials": "default"}))
    with pytest.raises(ValueError, match=r"^external_id: "):
        AwsConnector(ConnectorOptions("aws-test", {}, {"external_id": "1"}))


def _given(**settings: object) -> ConnectorOptions:
    secrets = {"access_key_id": "AKIALOCKSTEPOWN", "secret_access_key": "synthetic"}
    return ConnectorOptions("aws-test", settings, secrets)
