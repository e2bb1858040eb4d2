"""AWS when something beside the user's own record fails: the doors are shut first all the same."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator

import pytest
from botocore.exceptions import ReadTimeoutError

from connectors.aws import http as aws_http
from connectors.aws.iam_ways import ANY_REQUEST, LOGIN_PROFILE
from connectors.base import ConnectorFault, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.aws.harness import (
    AwsHarness,
    aws_harness,
    empty_success,
    refuses,
    says_json,
    says_xml,
)
from tests.connectors.aws.test_aws import both, opened
from tests.connectors.revoking import revoke


@pytest.fixture(scope="module")
async def aws() -> AsyncIterator[AwsHarness]:
    async with aws_harness() as harness:
        yield harness


IAM_LISTS = {
    "ListAccessKeys": {AccessKind.SECRET},
    "ListSSHPublicKeys": {AccessKind.SECRET},
    "ListSigningCertificates": {AccessKind.SECRET},
    "ListServiceSpecificCredentials": {AccessKind.SECRET},
    "ListMFADevices": {AccessKind.FACTOR},
    "ListAttachedUserPolicies": {AccessKind.SIGN_IN, AccessKind.ROLE},
    "ListUserPolicies": {AccessKind.ROLE},
    "ListGroupsForUser": {AccessKind.GROUP},
}


def _hangs(request, _):
    raise ReadTimeoutError(endpoint_url=request.url)


def _odd(request, event_name):
    """A success without the list that AWS always gives."""
    return empty_success(request, event_name)


LIST_FAULTS = {
    "denied": (refuses("AccessDenied", status=403), FaultCategory.PERMISSION_MISSING),
    "broken": (refuses("ServiceFailure", status=500), FaultCategory.VENDOR_ERROR),
    "gone": (refuses("NoSuchEntity", status=404), FaultCategory.VENDOR_ERROR),
    "silent": (_hangs, FaultCategory.TIMEOUT),
    "odd": (_odd, FaultCategory.UNEXPECTED_ANSWER),
}
_numbers = itertools.count(1)
_NO_CREDENTIALS = says_xml(
    "<ServiceSpecificCredentials/><IsTruncated>false</IsTruncated>"
)  # moto: 500


@pytest.mark.parametrize(
    ("listing", "fault"),
    [(listing, "denied") for listing in IAM_LISTS]
    + [("ListAttachedUserPolicies", fault) for fault in LIST_FAULTS if fault != "denied"],
)
async def test_whatever_list_fails_both_doors_are_shut_and_the_rest_closed(aws, listing, fault):
    """One list that cannot be read is unread by itself; sign-in and all other ways are closed."""
    keys = await aws.hire(f"leaver-list-{next(_numbers)}")
    aws.script.effects.clear()
    reply, category = LIST_FAULTS[fault]
    replies = {"ListServiceSpecificCredentials": [_NO_CREDENTIALS], listing: [reply]}
    connector = aws.connector(replies=replies, service_credentials=True)
    async with opened(connector):
        iam, _ = await both(connector, keys)
        door = await connector.look(iam, Transcript())
        shut = await connector.contain(iam, door, Transcript())
        seen = await connector.read_back(iam, Transcript())
        await connector.strip(iam, seen, Transcript())
        after = await connector.read_back(iam, Transcript())
    assert {action.access for action in shut} == {LOGIN_PROFILE, ANY_REQUEST}
    assert set(aws.script.effects[:2]) == {"DeleteLoginProfile", "AttachUserPolicy"}
    assert {row.kind for row in seen.unread} == IAM_LISTS[listing]
    assert {(row.operation, row.category) for row in seen.unread} == {(f"iam.{listing}", category)}
    assert (after.standing, after.is_closed) == ((), False)


async def test_nothing_that_hangs_holds_up_the_first_write(aws, monkeypatch):
    """Reads beside the user's own record are waited for briefly; unanswered, the doors are shut."""
    monkeypatch.setattr(aws_http, "BRIEF_S", 0.2)
    keys = await aws.hire("leaver-hang")
    late = threading.Event()

    def hangs(request, event_name):
        late.wait(5)
        return refuses("ServiceFailure", status=500)(request, event_name)

    slow = ("GetCallerIdentity", "GetLoginProfile", "ListAttachedUserPolicies")
    connector = aws.connector(replies={operation: [hangs] for operation in slow})
    try:
        async with opened(connector), asyncio.timeout(4):
            iam, _ = await both(connector, keys)
            door = await connector.look(iam, Transcript())
            actions = await connector.contain(iam, door, Transcript())
    finally:
        late.set()
    assert door.signs_in
    assert {action.access for action in actions} == {LOGIN_PROFILE, ANY_REQUEST}


async def test_a_user_with_keys_only_signs_in(aws):
    """Without a login profile requests still stand: the deny shuts them, and is told once."""
    aws.iam.create_user(UserName="leaver-keys", Tags=[{"Key": "email", "Value": "k@example.test"}])
    aws.iam.create_access_key(UserName="leaver-keys")
    keys = LeaverKeys((Key(KeyKind.USERNAME, "leaver-keys"),))
    async with opened(aws.connector(users="iam")) as connector:
        (match,) = (await connector.locate(keys, Transcript())).matches
        door = await connector.look(match.account, Transcript())
        first = await connector.contain(match.account, door, Transcript())
        again = await connector.contain(match.account, door, Transcript())
        seen = await connector.look(match.account, Transcript())
    assert door.standing == (ANY_REQUEST,)
    assert [action.access for action in first] == [ANY_REQUEST]
    assert again == ()
    assert not seen.signs_in


async def test_no_room_and_policies_that_stay_is_a_setting(aws):
    """A deny that never finds room is said, and the login profile is deleted all the same."""
    keys = await aws.hire("leaver-no-room")
    replies = {"AttachUserPolicy": [refuses("LimitExceeded", status=409)]}
    async with opened(aws.connector(replies=replies, strip_policies=False)) as connector:
        iam, _ = await both(connector, keys)
        door = await connector.look(iam, Transcript())
        with pytest.raises(ConnectorFault) as caught:
            await connector.contain(iam, door, Transcript())
    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert [action.access for action in caught.value.actions] == [LOGIN_PROFILE]


async def test_a_refusal_half_way_says_what_was_closed(aws):
    """One key that cannot be made inactive stops nothing, and its fault carries what was done."""
    keys = await aws.hire("leaver-half")
    replies = {"UpdateAccessKey": [refuses("ServiceFailure", status=500)]}
    async with opened(aws.connector(replies=replies)) as connector:
        iam, _ = await both(connector, keys)
        before = await connector.read_back(iam, Transcript())
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, iam, before, Transcript())
        after = await connector.read_back(iam, Transcript())
    closed = {action.access for action in caught.value.actions}
    assert caught.value.category is FaultCategory.VENDOR_ERROR
    assert closed == set(before.standing) - set(after.standing)
    assert [way.ref.partition(":")[0] for way in after.standing] == ["access_key"]


STORE_LISTS = {
    "ListGroupMembershipsForMember": AccessKind.GROUP,
    "ListAccountAssignmentsForPrincipal": AccessKind.ASSIGNMENT,
    "ListApplicationAssignmentsForPrincipal": AccessKind.ASSIGNMENT,
}
STORE_FAULTS = {
    "denied": refuses("AccessDeniedException"),
    "broken": refuses("InternalServerException", status=500),
    "silent": _hangs,
}


@pytest.mark.parametrize(
    ("listing", "fault"),
    [(listing, "denied") for listing in STORE_LISTS]
    + [
        ("ListAccountAssignmentsForPrincipal", fault) for fault in STORE_FAULTS if fault != "denied"
    ],
)
async def test_whatever_store_list_fails_the_user_is_deleted_first(aws, listing, fault):
    """The user goes before any list is read; a list of what hangs on the id stays unread."""
    keys = await aws.hire(f"leaver-store-{next(_numbers)}")
    aws.script.effects.clear()
    replies = {
        "ListApplicationAssignmentsForPrincipal": [says_json({"ApplicationAssignments": []})],
        listing: [STORE_FAULTS[fault]],
    }
    async with opened(aws.connector(replies=replies, applications=True)) as connector:
        _, user = await both(connector, keys)
        before = await connector.read_back(user, Transcript())
        transcript = Transcript()
        await connector.contain(user, before, transcript)
        left = await connector.read_back(user, Transcript())
        await connector.strip(user, left, Transcript())
        after = await connector.read_back(user, Transcript())
    assert [row.kind for row in before.unread] == [STORE_LISTS[listing]]
    assert [one.operation for one in transcript.exchanges] == [
        "identitystore.DescribeUser",
        "identitystore.DeleteUser",
    ]
    assert after.standing == ()
    # A membership ends with the user, so its list is no longer asked for.
    assert after.is_closed == (listing == "ListGroupMembershipsForMember")
