"""AWS where moto cannot follow: scripted answers on the wire, the real server for the rest."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.aws.connector import AwsConnector
from connectors.aws.iam_ways import ANY_REQUEST, LOGIN_PROFILE
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Reason, Verdict, judge
from tests.connectors.aws.harness import (
    ACCOUNT,
    DENY_ALL,
    AwsHarness,
    answer,
    aws_harness,
    empty_success,
    refuses,
    says_json,
    says_xml,
)
from tests.connectors.aws.test_aws import both, close, kinds, opened
from tests.connectors.revoking import revoke

USER_ID = "11111111-2222-4333-8444-555555555555"
ISSUER = "https://directory.example.test"
NO_LIST = {
    "ListGroupMembershipsForMember": [says_json({"GroupMemberships": []})],
    "ListAccountAssignmentsForPrincipal": [says_json({"AccountAssignments": []})],
}


@pytest.fixture(scope="module")
async def aws() -> AsyncIterator[AwsHarness]:
    async with aws_harness() as harness:
        yield harness


def store_user(**more: object) -> dict[str, object]:
    return {"IdentityStoreId": "d-0000000000", "UserId": USER_ID, "UserName": "leaver", **more}


async def test_service_credentials_are_closed(aws):
    """A live service-specific credential (a Bedrock API key) stands and is made inactive."""
    keys = await aws.hire("leaver-service")
    one = (
        "<ServiceSpecificCredentials><member><UserName>leaver-service</UserName>"
        "<Status>{}</Status><ServiceName>bedrock.amazonaws.com</ServiceName>"
        "<ServiceSpecificCredentialId>ACCASYNTHETIC0000001</ServiceSpecificCredentialId>"
        "</member></ServiceSpecificCredentials><IsTruncated>false</IsTruncated>"
    )
    asked: list[str] = []

    def update(request, event_name):
        asked.append(request.body)
        return empty_success(request, event_name)

    replies = {
        "ListServiceSpecificCredentials": [
            says_xml(one.format("Active")),
            says_xml(one.format("Active")),
            says_xml(one.format("Inactive")),
        ],
        "UpdateServiceSpecificCredential": [update],
    }
    async with opened(aws.connector(replies=replies, service_credentials=True)) as connector:
        iam, _ = await both(connector, keys)
        actions = await close(connector, iam)
        after = await connector.read_back(iam, Transcript())
    assert Access(AccessKind.SECRET, "service_credential:ACCASYNTHETIC0000001") in [
        action.access for action in actions
    ]
    assert "Status=Inactive" in asked[0]
    assert after.is_closed


async def test_application_assignments_are_closed(aws):
    """An application assigned to the user stands and is removed; one through a group does not."""
    keys = await aws.hire("leaver-application")
    arn = f"arn:aws:sso::{ACCOUNT}:application/ssoins-synthetic/apl-synthetic"
    direct = {"ApplicationArn": arn, "PrincipalType": "USER"}
    by_group = {"ApplicationArn": arn + "2", "PrincipalId": "a-group", "PrincipalType": "GROUP"}
    asked: list[dict[str, str]] = []

    def listing(request, _):
        mine = {**direct, "PrincipalId": json.loads(request.body)["PrincipalId"]}
        return answer(request, 200, json.dumps({"ApplicationAssignments": [mine, by_group]}))

    def delete(request, _):
        asked.append(json.loads(request.body))
        return answer(request, 200, "{}")

    replies = {
        "ListApplicationAssignmentsForPrincipal": [listing],
        "DeleteApplicationAssignment": [delete],
    }
    async with opened(aws.connector(replies=replies, applications=True)) as connector:
        _, user = await both(connector, keys)
        before = await connector.read_back(user, Transcript())
        await revoke(connector, user, before, Transcript())
    applications = [one.ref for one in before.standing if one.ref.startswith("arn:")]
    assert applications == [arn]
    assert [(one["ApplicationArn"], one["PrincipalId"]) for one in asked] == [(arn, user.id)]


async def test_deny_waits_for_room(aws):
    """Where ten policies fill the user's quota, the deny is attached once theirs are stripped."""
    keys = await aws.hire("leaver-full")
    real: list[None] = []

    def attach(request, event_name):
        if not real:
            real.append(None)
            return refuses("LimitExceeded", status=409)(request, event_name)
        aws.iam.attach_user_policy(UserName="leaver-full", PolicyArn=DENY_ALL)
        return empty_success(request, event_name)

    async with opened(aws.connector(replies={"AttachUserPolicy": [attach]})) as connector:
        iam, _ = await both(connector, keys)
        actions = await close(connector, iam)
        assert (await connector.read_back(iam, Transcript())).is_closed
    assert actions[-1].access == ANY_REQUEST
    assert actions[0].access == LOGIN_PROFILE


async def test_external_id_is_searched_and_known(aws):
    """With an issuer, the employee number is looked up as external id and compared."""
    asked: list[dict[str, object]] = []

    def lookup(request, _):
        asked.append(json.loads(request.body)["AlternateIdentifier"])
        return answer(request, 200, json.dumps({"UserId": USER_ID}))

    external = {"ExternalIds": [{"Issuer": ISSUER, "Id": "E-1"}]}
    replies = {"GetUserId": [lookup], "DescribeUser": [says_json(store_user(**external))]}
    settings = {
        "users": "identity_center",
        "external_id_issuer": ISSUER,
        "external_id_holds": "employee_number",
    }
    keys = LeaverKeys((Key(KeyKind.EMPLOYEE_NUMBER, "E-1"),))
    async with opened(aws.connector(replies=replies, **settings)) as connector:
        location = await connector.locate(keys, Transcript())
    assert asked == [{"ExternalId": {"Issuer": ISSUER, "Id": "E-1"}}]
    assert location.matches[0].found_by is KeyKind.EMPLOYEE_NUMBER
    assert Key(KeyKind.EMPLOYEE_NUMBER, "E-1") in location.matches[0].account.known_keys


async def test_other_employee_number_is_in_doubt(aws):
    """A user of the right name whose enterprise employee number is another's: a person decides."""
    extensions = {"Extensions": {"aws:identitystore:enterprise": {"employeeNumber": "E-2"}}}
    replies = {
        "GetUserId": [says_json({"UserId": USER_ID})],
        "DescribeUser": [says_json(store_user(**extensions))],
    }
    keys = LeaverKeys((Key(KeyKind.EMPLOYEE_NUMBER, "E-1"), Key(KeyKind.USERNAME, "leaver")))
    async with opened(aws.connector(replies=replies, users="identity_center")) as connector:
        location = await connector.locate(keys, Transcript())
    cutoff = datetime(2026, 11, 1, tzinfo=UTC)
    (judged,) = judge(location.matches, keys, system="aws-test", cutoff=cutoff).judged
    assert (judged.verdict, judged.reason) == (Verdict.IN_DOUBT, Reason.OTHER_NUMBER)


async def test_a_look_up_that_answers_with_anybody_is_not_believed(aws):
    """A user who does not bear the key is no match, and the list is asked instead."""
    theirs = "99999999-2222-4333-8444-555555555555"
    users = {
        USER_ID: store_user(),
        theirs: {**store_user(), "UserId": theirs, "UserName": "nobody.else"},
    }

    def described(request, _):
        wanted = json.loads(request.body)["UserId"]
        return answer(request, 200, json.dumps(users[wanted]))

    replies = {
        "GetUserId": [says_json({"UserId": theirs})],
        "DescribeUser": [described],
        "ListUsers": [says_json({"Users": list(users.values())})],
    }
    keys = LeaverKeys((Key(KeyKind.USERNAME, "leaver"),))
    async with opened(aws.connector(replies=replies, users="identity_center")) as connector:
        location = await connector.locate(keys, Transcript())
    assert [match.account.id for match in location.matches] == [USER_ID]
    assert location.listed == 2


@pytest.mark.parametrize(("status", "stands"), [("DISABLED", False), ("ENABLED", True)])
async def test_user_status_decides_sign_in(aws, status, stands):
    """Only a user whom AWS calls DISABLED has no sign-in."""
    replies = {"DescribeUser": [says_json(store_user(UserStatus=status))], **NO_LIST}
    async with opened(aws.connector(replies=replies)) as connector:
        observation = await connector.read_back(Account(USER_ID), Transcript())
    assert kinds(observation) == ([AccessKind.SIGN_IN] if stands else [])


async def test_provisioned_user_is_detected(aws):
    """A user with an external id belongs to a directory, which would undo a deletion."""
    external = {"ExternalIds": [{"Issuer": ISSUER, "Id": "E-1"}]}
    replies = {"DescribeUser": [says_json(store_user(**external))], **NO_LIST}
    async with opened(aws.connector(replies=replies)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, Account(USER_ID))
    assert caught.value.category is FaultCategory.MANAGED_ELSEWHERE


@pytest.mark.parametrize(
    ("status", "category"),
    [
        ("FAILED", FaultCategory.NOT_APPLIED),
        ("SOMETHING_NEW", FaultCategory.NOT_APPLIED),
        ("IN_PROGRESS", None),
    ],
)
async def test_assignment_deletion_is_asynchronous(aws, status, category):
    """An assignment whose deletion failed under a 200 is a fault; one under way is an action."""
    assignment = {
        "AccountId": ACCOUNT,
        "PermissionSetArn": "arn:aws:sso:::permissionSet/ssoins-0/ps-0",
        "PrincipalId": USER_ID,
        "PrincipalType": "USER",
    }
    begun = {"AccountAssignmentDeletionStatus": {"Status": status}}
    replies = {
        **NO_LIST,
        "DescribeUser": [says_json(store_user(UserStatus="DISABLED"))],
        "ListAccountAssignmentsForPrincipal": [says_json({"AccountAssignments": [assignment]})],
        "DeleteAccountAssignment": [says_json(begun)],
    }
    async with opened(aws.connector(replies=replies)) as connector:
        if category is None:
            (action,) = await close(connector, Account(USER_ID))
            assert action.operation == "sso-admin.DeleteAccountAssignment"
            assert not (await connector.read_back(Account(USER_ID), Transcript())).is_closed
            return
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, Account(USER_ID))
    assert caught.value.category is category


@pytest.mark.parametrize(
    ("code", "status", "category"),
    [
        ("EntityTemporarilyUnmodifiable", 409, FaultCategory.VENDOR_ERROR),
        ("ConcurrentModification", 409, FaultCategory.VENDOR_ERROR),
        ("DeleteConflict", 409, FaultCategory.VENDOR_ERROR),
        ("ServiceFailure", 500, FaultCategory.VENDOR_ERROR),
        ("UnmodifiableEntity", 400, FaultCategory.PROTECTED_ACCOUNT),
        ("ExpiredToken", 403, FaultCategory.CREDENTIALS_REJECTED),
        ("ThrottlingException", 400, FaultCategory.RATE_LIMITED),
        ("InvalidInput", 400, FaultCategory.UNEXPECTED_ANSWER),
        ("NoSuchEntity", 404, None),
    ],
)
async def test_codes_decide(aws, code, status, category):
    """The code of a refusal decides its category; an absent login profile is closed already."""
    keys = await aws.hire(f"leaver-{code.lower()}")
    replies = {"DeleteLoginProfile": [refuses(code, status=status)]}
    async with opened(aws.connector(replies=replies)) as connector:
        iam, _ = await both(connector, keys)
        if category is None:
            actions = await close(connector, iam)
            assert LOGIN_PROFILE not in [action.access for action in actions]
            return
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, iam)
    assert (caught.value.category, caught.value.code) == (category, f"{status}.{code}")


async def test_a_failed_sign_in_still_leaves_the_deny(aws):
    """When console sign-in cannot be closed yet, everything is denied all the same."""
    keys = await aws.hire("leaver-temporarily")
    refused = refuses("EntityTemporarilyUnmodifiable", status=409)
    replies = {"DeleteLoginProfile": [refused]}
    async with opened(aws.connector(replies=replies)) as connector:
        iam, _ = await both(connector, keys)
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, iam)
        after = await connector.read_back(iam, Transcript())
    assert [action.access for action in caught.value.actions] == [ANY_REQUEST]
    assert ANY_REQUEST not in after.standing
    assert LOGIN_PROFILE in after.standing


async def test_missing_deny_policy_is_a_fault(aws):
    """A "no such entity" while attaching the deny means that nothing is denied."""
    keys = await aws.hire("leaver-undenied")
    replies = {"AttachUserPolicy": [refuses("NoSuchEntity", status=404)]}
    async with opened(aws.connector(replies=replies)) as connector:
        iam, _ = await both(connector, keys)
        with pytest.raises(ConnectorFault):
            await close(connector, iam)


async def test_pages_are_followed_to_a_bound(aws):
    """A listing is read to its end, and an endless one is a fault."""
    page = (
        "<Users><member><UserName>somebody</UserName><UserId>AIDASYNTHETIC</UserId>"
        f"<Arn>arn:aws:iam::{ACCOUNT}:user/{{name}}</Arn></member></Users>"
        "<IsTruncated>{more}</IsTruncated>{marker}"
    )
    first = says_xml(page.format(name="a", more="true", marker="<Marker>next</Marker>"))
    last = says_xml(page.format(name="b", more="false", marker=""))
    wanted = LeaverKeys((Key(KeyKind.ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT}:user/b"),))
    settings = {"users": "iam", "employee_number_tag": "", "email_tag": ""}
    finite = {"ListUsers": [first, last]}
    async with opened(aws.connector(replies=finite, **settings)) as connector:
        assert len((await connector.locate(wanted, Transcript())).matches) == 1
    async with opened(aws.connector(replies={"ListUsers": [first]}, **settings)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(wanted, Transcript())
    assert (caught.value.category, caught.value.code) == (
        FaultCategory.UNEXPECTED_ANSWER,
        "too_many_pages",
    )


async def test_health_simulates_the_role_behind_the_session(aws):
    """A denied action is a blocking problem; the role is asked by its own ARN, path included."""
    role = f"arn:aws:iam::{ACCOUNT}:role/ops/lockstep"
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

    def simulate(request, event_name):
        asked.append(request.body)
        decision = "implicitDeny" if "DeleteLoginProfile" in asked[-1] else "allowed"
        return says_xml(results.format(decision))(request, event_name)

    replies = {
        "GetCallerIdentity": [says_xml(caller)],
        "GetRole": [says_xml(f"<Role><Arn>{role}</Arn></Role>")],
        "SimulatePrincipalPolicy": [simulate],
    }
    async with opened(aws.connector(replies=replies, users="iam")) as connector:
        health = await connector.health(Transcript())
    assert [problem.summary for problem in health.problems if problem.code != _UNSEEN] == [
        "not allowed: iam:DeleteLoginProfile"
    ]
    assert not health.is_ready
    assert all("role%2Fops%2Flockstep" in body for body in asked)


_UNSEEN = "service_credentials_not_checked"


@pytest.mark.parametrize(
    ("instances", "code"),
    [([], "no_instance"), ([{"InstanceArn": "a"}, {"InstanceArn": "b"}], "several_instances")],
)
async def test_identity_center_must_be_one(aws, instances, code):
    """No instance in the region, or several, is a setting to correct, never an empty search."""
    replies = {"ListInstances": [says_json({"Instances": instances})]}
    keys = LeaverKeys((Key(KeyKind.USERNAME, "leaver"),))
    async with opened(aws.connector(replies=replies)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys, Transcript())
    assert (caught.value.category, caught.value.code) == (FaultCategory.MISCONFIGURED, code)


async def test_exchanges_are_evidence(aws):
    """An exchange holds the answer's digest, request id and Date, and a refusal leaves one too."""
    body = json.dumps({"UserId": USER_ID})
    date = "Mon, 23 Nov 2020 08:00:00 GMT"

    def dated(request, _):
        return answer(request, 200, body, headers={"Date": date})

    replies = {"GetUserId": [dated], "DescribeUser": [refuses("AccessDeniedException")]}
    transcript = Transcript()
    keys = LeaverKeys((Key(KeyKind.USERNAME, "leaver"),))
    async with opened(aws.connector(replies=replies, users="identity_center")) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys, transcript)
    found = transcript.exchanges[1]
    assert found.operation == "identitystore.GetUserId"
    assert found.digest == hashlib.sha256(body.encode()).hexdigest()
    assert found.date_header == date
    assert abs(found.at_by_vendor - datetime(2020, 11, 23, 8, tzinfo=UTC)) < timedelta(minutes=1)
    assert caught.value.missing == "identitystore:DescribeUser"
    assert transcript.exchanges[-1].request_id == caught.value.request_id


async def test_a_role_is_assumed_once(aws, caplog):
    """With a role, one recorded AssumeRole precedes the calls; no body or key is ever logged."""
    caplog.set_level(logging.DEBUG)
    transcript = Transcript()
    options = _options(aws, role_arn=f"arn:aws:iam::{ACCOUNT}:role/lockstep")
    keys = LeaverKeys((Key(KeyKind.USERNAME, "nobody"), Key(KeyKind.EMAIL, "nobody@example.test")))
    async with opened(AwsConnector(options)) as connector:
        await connector.locate(keys, transcript)
        await connector.locate(keys, transcript)
    operations = [exchange.operation for exchange in transcript.exchanges]
    assert operations.count("sts.AssumeRole") == 1
    assert operations.count("iam.ListUsers") == 2
    assert not [record for record in caplog.records if record.name.startswith("botocore")]


async def test_a_refused_role_is_sts_refusal(aws, caplog):
    """A role that may not be assumed is named as the missing permission, in our words only."""
    replies = {"AssumeRole": [refuses("AccessDenied", status=403)]}
    role = f"arn:aws:iam::{ACCOUNT}:role/lockstep"
    keys = LeaverKeys((Key(KeyKind.USERNAME, "nobody"),))
    async with opened(aws.connector(replies=replies, role_arn=role, users="iam")) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys, Transcript())
    assert (caught.value.operation, caught.value.missing) == ("sts.AssumeRole", "sts:AssumeRole")
    assert caught.value.__context__ is None
    assert "An error occurred" not in caplog.text  # how botocore begins to quote an answer


async def test_environment_redirects_nothing(aws, monkeypatch):
    """With keys of its own, no profile and no endpoint in the environment is obeyed."""
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE")
    sent: list[tuple[str, str]] = []

    def spy(request, event_name, **_):
        sent.append((request.url, request.headers["Authorization"].decode()))
        return refuses("AccessDenied", status=403)(request, event_name)

    connector = AwsConnector(_options(aws, endpoint_url=""), before_send=spy)
    async with opened(connector):
        await connector.health(Transcript())
    ((url, authorization),) = sent
    assert url == "https://sts.us-east-1.amazonaws.com/"
    assert "AKIALOCKSTEPOWN/" in authorization


async def test_nobody_listens(aws):
    """A refused connection is unreachable, and the health says so instead of raising."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with opened(AwsConnector(_options(aws, endpoint_url=url))) as connector:
            with pytest.raises(ConnectorFault) as caught:
                await connector.read_back(Account(USER_ID), Transcript())
            health = await connector.health(Transcript())
    assert caught.value.category is FaultCategory.UNREACHABLE
    assert not health.reachable


async def test_silence_is_a_timeout(aws):
    """A server that never answers is a timeout after the configured bound."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        options = _options(aws, endpoint_url=url, timeout=timedelta(milliseconds=100))
        async with opened(AwsConnector(options)) as connector:
            with pytest.raises(ConnectorFault) as caught:
                await connector.read_back(Account(USER_ID), Transcript())
    assert caught.value.category is FaultCategory.TIMEOUT


async def test_excluded_half_is_misconfigured(aws):
    """An account of a kind that the settings exclude is never silently taken for closed."""
    async with opened(aws.connector(users="iam")) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(
                connector,
                Account(USER_ID),
                Observation(USER_ID, exists=True, standing=()),
                Transcript(),
            )
    assert caught.value.category is FaultCategory.MISCONFIGURED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("users", "everybody"),
        ("keys", "burn"),
        ("strip_policies", "yes"),
        ("region", 7),
        ("endpoint_url", "http://aws.example.test"),
        ("role_session_s", 43_201),
        ("external_id_holds", "email"),
        ("no_such_option", "x"),
    ],
)
def test_bad_options_are_named(aws, name, value):
    """A wrong option is refused when the connector is built, by name."""
    with pytest.raises(ValueError, match=f"^{name}: "):
        aws.connector(**{name: value})


def test_keys_or_default(aws):
    """Without keys the machine's own credential is used only where the option says so."""
    bare = ConnectorOptions("aws-test", {})
    with pytest.raises(ValueError, match=r"^access_key_id: "):
        AwsConnector(bare)
    AwsConnector(ConnectorOptions("aws-test", {"credentials": "default"}))


def _options(
    aws: AwsHarness, *, timeout: timedelta = timedelta(seconds=10), **settings: object
) -> ConnectorOptions:
    secrets = {
        "access_key_id": "AKIALOCKSTEPOWN",
        "secret_access_key": "synthetic",
        "external_id": "synthetic-id",
    }
    return ConnectorOptions(
        system="aws-test",
        settings={"endpoint_url": aws.server.url, **settings},
        secrets=secrets,
        timeout=timeout,
    )
