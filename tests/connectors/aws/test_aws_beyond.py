"""Who can sign in to AWS, and what CloudTrail may say: whose an event is, and what it proves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.aws.connector import AwsConnector
from connectors.base import Transcript
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.active import ActivePage
from lockstep.domain.systems.activity import Activity
from tests.connectors.aws.harness import aws_harness, refuses, says_xml

CUTOFF = datetime.now(UTC) - timedelta(hours=1)
AFTER, BEFORE = CUTOFF + timedelta(minutes=5), CUTOFF - timedelta(days=1)
THEIRS = "12345678-abcd-4321-abcd-123456789012"
USER = Account(THEIRS, "lea@example.test")
ROLE = "arn:aws:sts::123456789012:assumed-role"


async def told(*identities: dict[str, Any], **settings: object) -> Activity:
    """Events after the cutoff that bear the user's name, each by one identity."""
    async with aws_harness("identity_center") as harness:
        for who in identities:
            harness.event(USER.locator, who, AFTER)
        harness.event("somebody", {"principalId": "AIDAELSE"}, BEFORE)
        connector = harness.connector(**settings)
        return await connector.activity_since(USER, CUTOFF, Transcript())


@pytest.mark.parametrize(
    ("who", "uses"),
    [
        ({"onBehalfOf": {"userId": THEIRS}}, 1),
        ({"onBehalfOf": {"userId": "another"}, "principalId": THEIRS}, 0),
        ({"arn": f"{ROLE}/AWSReservedSSO_Admin_0123/lea@example.test"}, 1),
        ({"arn": f"{ROLE}/deploy/lea@example.test"}, 0),
        ({}, 0),
    ],
    ids=["by id", "on behalf of another", "portal's role", "a role of anybody's", "nobody named"],
)
async def test_a_name_alone_makes_no_event_theirs(who: dict[str, Any], uses: int) -> None:
    """Whoever assumes a role may call the session as they like: the immutable id decides."""
    assert len((await told(who)).uses) == uses


async def test_regions_that_nobody_named_are_a_gap() -> None:
    """Without them uses are told, and "none" is not."""
    named, unnamed = await told(), await told(activity_regions=[])

    assert named.proves_none
    assert [gap.code for gap in unnamed.gaps] == ["other_regions"]


async def test_a_use_in_the_second_of_the_cutoff_counts() -> None:
    """CloudTrail tells whole seconds: what may have been after it is not called earlier."""
    async with aws_harness("iam") as harness:
        keys = await harness.hire("secondly")
        cutoff = CUTOFF.replace(microsecond=700_000)
        await harness.use(keys, refused=False, at=CUTOFF.replace(microsecond=100_000))
        [match] = (await harness.locate(*keys.keys)).matches
        seen = await harness.connector().activity_since(match.account, cutoff, Transcript())

    assert [use.at for use in seen.uses] == [cutoff]


async def test_whose_password_is_unread_is_not_said_to_be_all() -> None:
    """Where one half cannot be listed, or one user not asked, the rest is told with a gap."""
    attached = (
        "<AttachedManagedPolicies><member><PolicyArn>arn:aws:iam::aws:policy/AWSDenyAll</PolicyArn>"
        "</member></AttachedManagedPolicies>"
    )
    plain = "<UserId>AIDA{0}</UserId><UserName>{0}</UserName><Arn>arn:aws:iam::1:user/{0}</Arn>"
    names = ("open", "denied")
    users = "".join(f"<member>{plain.format(name)}</member>" for name in names)
    details = "".join(
        f"<member>{plain.format(name)}{attached if name == 'denied' else ''}</member>"
        for name in names
    )
    replies = {
        "ListUsers": [says_xml(f"<Users>{users}</Users><IsTruncated>false</IsTruncated>")],
        "GetAccountAuthorizationDetails": [
            says_xml(f"<UserDetailList>{details}</UserDetailList><IsTruncated>false</IsTruncated>")
        ],
        "GetLoginProfile": [refuses("AccessDenied", 403)],
        "ListInstances": [refuses("AccessDeniedException")],
    }
    async with aws_harness() as harness:
        pages = await listed(harness.connector(replies=replies))

    assert [one.account.locator for page in pages for one in page.accounts] == ["open"]
    assert pages[-1].end is not None
    assert [gap.missing for gap in pages[-1].end.gaps] == [
        "iam:GetLoginProfile",
        "sso:ListInstances",
    ]


async def listed(connector: AwsConnector) -> list[ActivePage]:
    return [page async for page in connector.list_active(Transcript())]
