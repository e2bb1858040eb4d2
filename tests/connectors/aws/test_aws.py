"""AWS against a real moto server: locate, revoke, read back, and every fault on the wire."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.aws.connector import MANIFEST, AwsConnector
from connectors.base import Connector, ConnectorFault, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Action, Location, Observation, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Absence, absence, judge
from tests.connectors.aws.harness import (
    ACCESS_KEY_ID,
    ACCOUNT,
    DENY_ALL,
    SECRET,
    AwsHarness,
    aws_harness,
    refuses,
    says_json,
    says_xml,
)
from tests.connectors.harness import FaultKind, Injected
from tests.connectors.revoking import revoke

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def aws() -> AsyncIterator[AwsHarness]:
    async with aws_harness() as harness:
        yield harness


@pytest.fixture
def worker() -> str:
    return f"leaver-{next(_numbers)}"


@pytest.fixture(autouse=True)
def _quiet_wire(aws: AwsHarness) -> None:
    aws.script.pending.clear()
    aws.script.effects.clear()


@asynccontextmanager
async def opened(connector: AwsConnector) -> AsyncIterator[AwsConnector]:
    try:
        yield connector
    finally:
        await connector.aclose()


async def both(connector: Connector, keys: LeaverKeys) -> tuple[Account, Account]:
    """The IAM user and the Identity Center user."""
    location = await connector.locate(keys, Transcript())
    iam, identity_center = location.matches
    return iam.account, identity_center.account


async def close(connector: Connector, account: Account) -> tuple[Action, ...]:
    before = await connector.read_back(account, Transcript())
    return await revoke(connector, account, before, Transcript())


def kinds(observation: Observation) -> list[AccessKind]:
    return [access.kind for access in observation.standing]


async def test_locate_finds_both_users_once(aws, worker):
    """Several keys that lead to the same two users give two accounts, each once."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        location = await connector.locate(keys, Transcript())
    assert [match.found_by for match in location.matches] == [
        KeyKind.EMPLOYEE_NUMBER,
        KeyKind.USERNAME,
    ]
    assert location.keys_tried == (KeyKind.EMPLOYEE_NUMBER, KeyKind.USERNAME, KeyKind.EMAIL)
    iam = location.matches[0].account
    assert iam.id == aws.iam.get_user(UserName=worker)["User"]["UserId"]
    assert Key(KeyKind.EMPLOYEE_NUMBER, f"E-{worker}") in iam.known_keys


async def _locate(aws: AwsHarness, *keys: Key, **settings: Any) -> Location:
    async with opened(aws.connector(**settings)) as connector:
        return await connector.locate(LeaverKeys(keys), Transcript())


async def test_locate_by_account_id(aws, worker):
    """An immutable id supplied for this system finds its user, in either half."""
    await aws.hire(worker)
    iam_id = aws.iam.get_user(UserName=worker)["User"]["UserId"]
    for wanted in (iam_id, aws.store_user(worker)):
        location = await _locate(aws, Key(KeyKind.ACCOUNT_ID, wanted, "aws-test"))
        assert [match.account.id for match in location.matches] == [wanted]


async def test_locate_by_email(aws, worker):
    """An e-mail address finds the tagged IAM user and the Identity Center user."""
    await aws.hire(worker)
    location = await _locate(aws, Key(KeyKind.EMAIL, f"{worker}@example.test"))
    assert [match.account.id for match in location.matches] == [
        aws.iam.get_user(UserName=worker)["User"]["UserId"],
        aws.store_user(worker),
    ]


async def test_email_may_be_the_user_name(aws, worker):
    """Without tags, an IAM user whose name is the e-mail address is found, in any case."""
    name = f"{worker}@example.test"
    aws.iam.create_user(UserName=name)
    email = Key(KeyKind.EMAIL, name.upper())
    location = await _locate(aws, email, employee_number_tag="", email_tag="", users="iam")
    assert [match.account.locator for match in location.matches] == [name]


async def test_local_part_only_on_request(aws, worker):
    """The part before the @ is looked for only on request, and then a person decides."""
    await aws.hire(worker)
    email = Key(KeyKind.EMAIL, f"{worker.upper()}@elsewhere.test")
    assert not (await _locate(aws, email)).matches
    location = await _locate(aws, email, match_email_local_part=True)
    assert _judged(location, email) == {worker: "in_doubt.name_in_part"}


async def test_locate_without_keys_makes_no_call(aws):
    """Without a usable key nothing is searched, and the location says that nothing was tried."""
    transcript = Transcript()
    async with opened(aws.connector()) as connector:
        location = await connector.locate(LeaverKeys(), transcript)
    assert (location.matches, location.keys_tried, transcript.exchanges) == ((), (), [])


async def test_nobody_is_proved_by_listing_all(aws, worker):
    """Nobody found is no fault: how many were compared is told, and how each key was searched."""
    await aws.hire(worker)
    location = await _locate(
        aws, Key(KeyKind.USERNAME, "nobody"), Key(KeyKind.EMAIL, "nobody@example.test")
    )
    iam = len(aws.iam.list_users()["Users"])
    store = len(aws.store.list_users(IdentityStoreId=aws.store_id)["Users"])
    assert location.matches == ()
    assert [(one.kind, one.proof) for one in location.searches] == [
        (KeyKind.USERNAME, Proof.LISTED),
        (KeyKind.EMAIL, Proof.LISTED),
    ]
    assert location.listed == iam + store  # moto minds case, so its look-ups are not proved
    assert absence(location, accept_single_key=False) is Absence.PROVED


async def test_identity_center_minds_case_and_the_list_finds(aws, worker):
    """Where a look-up is blind for another case, the user is found in the list all the same."""
    await aws.hire(worker)
    name = Key(KeyKind.USERNAME, worker.upper())
    location = await _locate(aws, name, users="identity_center")
    assert [match.account.locator for match in location.matches] == [worker]
    assert [one.proof for one in location.searches] == [Proof.LISTED]


async def test_a_tag_that_nobody_has_is_no_search(aws):
    """A tag that no user bears, and addresses where no user is named so, prove nothing."""
    keys = (Key(KeyKind.EMPLOYEE_NUMBER, "E-0"), Key(KeyKind.EMAIL, "nobody@example.test"))
    settings = {"employee_number_tag": "nobody_has_this", "email_tag": "nor_this", "users": "iam"}
    users = says_xml(
        "<UserDetailList><member><UserName>somebody</UserName><UserId>AIDASYNTHETIC</UserId>"
        f"<Arn>arn:aws:iam::{ACCOUNT}:user/somebody</Arn></member></UserDetailList>"
        "<IsTruncated>false</IsTruncated>"
    )
    replies = {"GetAccountAuthorizationDetails": [users]}
    location = await _locate(aws, *keys, replies=replies, **settings)
    assert [one.proof for one in location.searches] == [Proof.NOT_HELD, Proof.NOT_HELD]
    assert absence(location, accept_single_key=False) is Absence.TOO_FEW_KEYS


@pytest.mark.parametrize("users", ["iam", "identity_center"])
async def test_a_word_among_addresses_was_not_searched(aws, users):
    """All users are named by addresses: a short name could find nobody, whoever is there."""
    named = "ana@example.test"
    store = {"UserName": named, "UserId": "u-1", "Emails": [{"Value": named}]}
    gone = refuses("ResourceNotFoundException", status=400)
    replies = {
        "ListUsers": [says_json({"Users": [store]})],
        "GetUserId": [gone, gone, says_json({"UserId": "u-1"})],
        "GetAccountAuthorizationDetails": [
            says_xml(
                f"<UserDetailList><member><UserName>{named}</UserName><UserId>AIDA1</UserId>"
                f"<Arn>arn:aws:iam::{ACCOUNT}:user/a</Arn></member></UserDetailList>"
                "<IsTruncated>false</IsTruncated>"
            )
        ],
    }
    keys = (Key(KeyKind.USERNAME, "bo"), Key(KeyKind.EMAIL, "bo@example.test"))
    location = await _locate(aws, *keys, replies=replies, users=users)
    proofs = {search.kind: search.proof for search in location.searches}
    assert location.matches == ()
    assert proofs[KeyKind.USERNAME] is Proof.NOT_HELD
    assert proofs[KeyKind.EMAIL] in {Proof.PROVED, Proof.LISTED}
    assert absence(location, accept_single_key=False) is Absence.TOO_FEW_KEYS


@pytest.mark.parametrize(
    ("down", "found"),
    [("GetAccountAuthorizationDetails", "store"), ("GetUserId", "iam"), ("ListInstances", "iam")],
)
async def test_one_half_that_is_down_hides_nobody_in_the_other(aws, worker, down, found):
    """Who was found stays found, and the other half is a search that failed."""
    keys = await aws.hire(worker)
    iam_id = aws.iam.get_user(UserName=worker)["User"]["UserId"]
    ids = {"iam": iam_id, "store": aws.store_user(worker)}
    replies = {down: [refuses("InternalFailure", status=500)]}
    location = await _locate(aws, *keys.keys, replies=replies)
    assert [match.account.id for match in location.matches] == [ids[found]]
    assert {row.category for row in location.unread} == {FaultCategory.VENDOR_ERROR}
    assert Proof.FAILED in {search.proof for search in location.searches}
    assert _judged(location, *keys.keys) == {
        worker: "leavers.number" if found == "iam" else "in_doubt.not_all_searched"
    }


def _judged(location: Location, *keys: Key) -> dict[str, str]:
    cutoff = datetime.now(UTC) + timedelta(days=1)
    found = judge(
        location.matches,
        LeaverKeys(keys),
        system="aws-test",
        cutoff=cutoff,
        is_whole=location.is_whole,
    )
    return {one.match.account.locator: f"{one.verdict}.{one.reason}" for one in found.judged}


async def test_two_users_with_one_number_are_both_told(aws, worker):
    """Of two users that bear the leaver's number, who also bears the address is the leaver."""
    keys = await aws.hire(worker)
    tag = {"Key": "employee_number", "Value": f"E-{worker}"}
    aws.iam.create_user(UserName=f"{worker}-twin", Tags=[tag])
    location = await _locate(aws, *keys.keys, users="iam")
    assert _judged(location, *keys.keys) == {
        worker: "leavers.number",
        f"{worker}-twin": "in_doubt.several",
    }


async def test_a_recycled_user_name_is_in_doubt(aws, worker):
    """A user of the right name who bears another employee number is for a person to decide."""
    await aws.hire(worker)
    keys = (Key(KeyKind.USERNAME, worker), Key(KeyKind.EMPLOYEE_NUMBER, "E-of-another"))
    location = await _locate(aws, *keys, users="iam")
    assert _judged(location, *keys) == {worker: "in_doubt.other_number"}


async def test_a_pinned_user_sets_the_new_owner_of_the_address_aside(aws, worker):
    """HR's id decides; who bears the address now is told and not touched."""
    await aws.hire(worker)
    tags = [
        {"Key": "email", "Value": f"{worker}@example.test"},
        {"Key": "employee_number", "Value": "E-newer"},
    ]
    aws.iam.untag_user(UserName=worker, TagKeys=["email"])
    aws.iam.create_user(UserName=f"{worker}-newer", Tags=tags)
    pinned = aws.iam.get_user(UserName=worker)["User"]["UserId"]
    keys = (
        Key(KeyKind.ACCOUNT_ID, pinned, "aws-test"),
        Key(KeyKind.EMAIL, f"{worker}@example.test"),
    )
    location = await _locate(aws, *keys, users="iam")
    assert _judged(location, *keys) == {
        worker: "leavers.pinned",
        f"{worker}-newer": "set_aside.other_account",
    }


async def test_what_aws_holds_is_told(aws, worker):
    """Keys, name and day of making are told of both users, for the law and for people."""
    keys = await aws.hire(worker)
    location = await _locate(aws, *keys.keys)
    iam, user = location.matches
    assert iam.account.known_keys == (
        Key(KeyKind.EMPLOYEE_NUMBER, f"E-{worker}"),
        Key(KeyKind.USERNAME, worker),
        Key(KeyKind.EMAIL, f"{worker}@example.test"),
    )
    assert iam.created_at is not None
    assert iam.created_at.tzinfo is not None
    assert iam.seen is None
    assert user.name == worker
    assert user.account.known_keys == (
        Key(KeyKind.USERNAME, worker),
        Key(KeyKind.EMAIL, f"{worker}@example.test"),
    )
    assert user.seen is not None
    assert user.seen.signs_in


async def test_revoke_closes_every_door(aws, worker):
    """After a revocation nothing stands by our read-back, and nobody gets in by the peer's."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        for account in await both(connector, keys):
            before = await connector.read_back(account, Transcript())
            actions = await revoke(connector, account, before, Transcript())
            closed = {action.access for action in actions}
            ended = [way for way in before.standing if way not in closed]
            # A membership ends with the Identity Center user, who is deleted first.
            assert [way.kind for way in ended] in ([], [AccessKind.GROUP])
            assert (await connector.read_back(account, Transcript())).is_closed
    assert not await aws.still_in(keys)


async def test_order_of_an_iam_revocation(aws, worker):
    """Both doors are shut before secrets, secrets before factors, factors before grants."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, _ = await both(connector, keys)
        actions = await close(connector, iam)
    order = list(dict.fromkeys(action.access.kind for action in actions))
    assert order == [
        AccessKind.SIGN_IN,
        AccessKind.SECRET,
        AccessKind.FACTOR,
        AccessKind.ROLE,
        AccessKind.GROUP,
    ]
    assert set(aws.script.effects[:2]) == {"DeleteLoginProfile", "AttachUserPolicy"}
    assert all(action.request_id and action.accepted_at.tzinfo for action in actions)


async def test_identity_center_user_goes_first(aws, worker):
    """The user is deleted at once; what AWS still lists under the id is removed afterwards."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        _, user = await both(connector, keys)
        door = await connector.look(user, Transcript())
        (shut,) = await connector.contain(user, door, Transcript())
        left = await connector.read_back(user, Transcript())
        await connector.strip(user, left, Transcript())
        after = await connector.read_back(user, Transcript())
    assert shut.access.kind is AccessKind.SIGN_IN
    assert (left.exists, kinds(left)) == (False, [AccessKind.ASSIGNMENT])
    assert aws.script.effects == ["DeleteUser", "DeleteAccountAssignment"]
    assert after.is_closed
    assert not aws.assignments(user.id)


async def test_revoking_twice_acts_once(aws, worker):
    """A second revocation, even with the first one's snapshot, closes nothing and tells nothing.

    Whether there is a login profile is not asked before it is deleted: the answer says it.
    """
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        for account in await both(connector, keys):
            before = await connector.read_back(account, Transcript())
            await revoke(connector, account, before, Transcript())
            after = await connector.read_back(account, Transcript())
            aws.script.effects.clear()
            assert await revoke(connector, account, before, Transcript()) == ()
            assert set(aws.script.effects) <= {"DeleteLoginProfile"}
            aws.script.effects.clear()
            assert await revoke(connector, account, after, Transcript()) == ()
            assert aws.script.effects == []


async def test_only_what_the_snapshot_shows_is_closed(aws, worker):
    """A revocation closes what the snapshot shows and leaves the rest to the next read-back."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, _ = await both(connector, keys)
        before = await connector.read_back(iam, Transcript())
        await connector.contain(iam, before, Transcript())
        aws.script.effects.clear()
        factors = [access for access in before.standing if access.kind is AccessKind.FACTOR]
        narrow = Observation(iam.id, exists=True, standing=tuple(factors))
        await revoke(connector, iam, narrow, Transcript())
    assert aws.script.effects == ["DeactivateMFADevice"]


async def test_lost_replies_end_closed(aws, worker):
    """However often a reply is lost after the change was applied, trying again ends closed."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        for account in await both(connector, keys):
            before = await connector.read_back(account, Transcript())
            for place, _ in enumerate(before.standing):
                lost = Injected(FaultKind.LOST_AFTER, effects_only=True, after=place)
                aws.script.inject(lost)
                try:
                    await revoke(connector, account, before, Transcript())
                except ConnectorFault as fault:
                    assert fault.category is FaultCategory.TIMEOUT  # noqa: PT017 - each of many
                aws.script.pending.clear()
            assert (await connector.read_back(account, Transcript())).is_closed
    assert not await aws.still_in(keys)


async def test_accepted_is_not_proven(aws, worker):
    """When AWS accepts and nothing happens, the read-back says what still stands."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        for account in await both(connector, keys):
            before = await connector.read_back(account, Transcript())
            aws.script.inject(Injected(FaultKind.DONE_NOT, times=20, effects_only=True))
            assert await revoke(connector, account, before, Transcript())
            aws.script.pending.clear()
            assert (await connector.read_back(account, Transcript())) == before


async def test_access_given_back_is_seen(aws, worker):
    """What somebody gives back after a revocation stands again in the next read-back."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, user = await both(connector, keys)
        await close(connector, iam)
        await close(connector, user)
        await aws.give_back(keys)
        assert {AccessKind.SIGN_IN, AccessKind.SECRET} <= set(
            kinds(await connector.read_back(iam, Transcript()))
        )
        _, again = await both(connector, keys)
        assert again.id != user.id


async def test_deleted_users_are_gone(aws, worker):
    """A pinned id that exists no more is absent; what AWS still lists under it is removed."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, user = await both(connector, keys)
        bare = Account("AIDASYNTHETICGONE0001", "never-was")
        aws.store.delete_user(IdentityStoreId=aws.store_id, UserId=user.id)
        left = {bare: [], user: [AccessKind.ASSIGNMENT]}
        for account, found in left.items():
            observation = await connector.read_back(account, Transcript())
            assert (observation.exists, kinds(observation)) == (False, found)
            assert not (await connector.look(account, Transcript())).exists
            actions = await revoke(connector, account, observation, Transcript())
            assert [action.access.kind for action in actions] == found
            assert (await connector.read_back(account, Transcript())).is_closed
        assert (await connector.read_back(iam, Transcript())).exists


async def test_renamed_user_is_followed_by_id(aws, worker):
    """A rename after the search changes nothing, and a newcomer of the old name is not touched."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, _ = await both(connector, keys)
        before = await connector.read_back(iam, Transcript())
        aws.iam.create_user(UserName=f"{worker}-newcomer")
        aws.iam.create_login_profile(UserName=f"{worker}-newcomer", Password="Synthetic-1-Pass")
        recycled = Account(iam.id, f"{worker}-newcomer", iam.known_keys)
        assert (await connector.read_back(recycled, Transcript())) == before
        await revoke(connector, recycled, before, Transcript())
    assert not aws.iam_open(worker)
    assert aws.iam_open(f"{worker}-newcomer")


async def test_keys_are_deleted_on_request(aws, worker):
    """With keys = "delete" even a dead key stands until it is deleted."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, _ = await both(connector, keys)
        await close(connector, iam)
    assert len(aws.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"]) == 1
    async with opened(aws.connector(keys="delete")) as connector:
        assert set(kinds(await connector.read_back(iam, Transcript()))) == {AccessKind.SECRET}
        await close(connector, iam)
        assert (await connector.read_back(iam, Transcript())).is_closed
    assert aws.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"] == []
    assert aws.iam.list_ssh_public_keys(UserName=worker)["SSHPublicKeys"] == []
    assert aws.iam.list_signing_certificates(UserName=worker)["Certificates"] == []


async def test_without_deny_the_residual_says_so(aws, worker):
    """With deny = "none" temporary credentials are a residual of 36 hours, never claimed closed."""
    keys = await aws.hire(worker)
    async with opened(aws.connector(deny="none", strip_policies=False)) as connector:
        iam, _ = await both(connector, keys)
        await close(connector, iam)
        after = await connector.read_back(iam, Transcript())
    assert after.is_closed
    assert "temporary_credentials" in [residual.what for residual in after.residuals]
    attached = aws.iam.list_attached_user_policies(UserName=worker)["AttachedPolicies"]
    arns = [policy["PolicyArn"] for policy in attached]
    assert arns == ["arn:aws:iam::aws:policy/ReadOnlyAccess"]


async def test_deny_survives_the_stripping(aws, worker):
    """Stripping the user's policies removes every policy but the deny."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        iam, _ = await both(connector, keys)
        await close(connector, iam)
    attached = aws.iam.list_attached_user_policies(UserName=worker)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [DENY_ALL]
    assert aws.iam.list_user_policies(UserName=worker)["PolicyNames"] == []


async def test_own_key_is_protected(aws, worker):
    """The user whose key we sign with is never revoked: nothing is changed."""
    keys = await aws.hire(worker)
    own = aws.iam.list_access_keys(UserName=worker)["AccessKeyMetadata"][0]["AccessKeyId"]
    async with opened(aws.connector(access_key_id=own)) as connector:
        iam, _ = await both(connector, keys)
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, iam)
    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert aws.script.effects == []


async def test_kept_user_needs_a_person(aws, worker):
    """With identity_center_user = "keep" grants fall, and sign-in is handed to a person."""
    keys = await aws.hire(worker)
    async with opened(aws.connector(identity_center_user="keep")) as connector:
        _, user = await both(connector, keys)
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, user)
        assert kinds(await connector.read_back(user, Transcript())) == [AccessKind.SIGN_IN]
    assert (caught.value.category, caught.value.code) == (
        FaultCategory.MANUAL,
        "disable_in_console",
    )


async def test_directory_user_is_managed_elsewhere(aws, worker):
    """A directory's user loses what AWS owns; the rest is said to be the directory's."""
    keys = await aws.hire(worker)
    async with opened(aws.connector(identity_source="external")) as connector:
        _, user = await both(connector, keys)
        with pytest.raises(ConnectorFault) as caught:
            await close(connector, user)
        after = await connector.read_back(user, Transcript())
    assert caught.value.category is FaultCategory.MANAGED_ELSEWHERE
    assert kinds(after) == [AccessKind.SIGN_IN, AccessKind.GROUP]
    assert aws.script.effects == ["DeleteAccountAssignment"]


FAULTS = {
    FaultKind.UNAUTHORIZED: FaultCategory.CREDENTIALS_REJECTED,
    FaultKind.FORBIDDEN: FaultCategory.PERMISSION_MISSING,
    FaultKind.RATE_LIMITED_WITH_TIME: FaultCategory.RATE_LIMITED,
    FaultKind.RATE_LIMITED_BARE: FaultCategory.RATE_LIMITED,
    FaultKind.SERVER_ERROR: FaultCategory.VENDOR_ERROR,
    FaultKind.ECHO_SECRET: FaultCategory.VENDOR_ERROR,
    FaultKind.LOST_BEFORE: FaultCategory.TIMEOUT,
    FaultKind.NOT_JSON: FaultCategory.UNEXPECTED_ANSWER,
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("effects_only", [False, True], ids=["read", "effect"])
@pytest.mark.parametrize("half", [0, 1], ids=["iam", "identity_center"])
async def test_faults_are_classified(aws, worker, kind, effects_only, half):
    """Every refusal or silence, of a read or an effect, is a fault of its category, no secret."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        account = (await both(connector, keys))[half]
        before = await connector.read_back(account, Transcript())
        aws.script.inject(Injected(kind, times=30, effects_only=effects_only))
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, account, before, Transcript())
    fault = caught.value
    timed = kind is FaultKind.RATE_LIMITED_WITH_TIME
    assert (fault.category, fault.retry_after) == (
        FAULTS[kind],
        timedelta(seconds=7) if timed else None,
    )
    assert not any(private in str(fault) for private in (SECRET, ACCESS_KEY_ID, worker))
    assert not aws.script.effects
    if fault.category is FaultCategory.PERMISSION_MISSING:
        assert fault.missing == fault.operation.replace("sso-admin.", "sso:").replace(".", ":")


@pytest.mark.parametrize("half", [0, 1], ids=["iam", "identity_center"])
async def test_empty_answers_prove_nothing(aws, worker, half):
    """A success without the data that AWS always gives is a fault, not an empty list."""
    keys = await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        account = (await both(connector, keys))[half]
        aws.script.inject(Injected(FaultKind.DONE_NOT, times=30))
        with pytest.raises(ConnectorFault) as caught:
            await connector.read_back(account, Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_wrong_secret_is_said_everywhere(aws, worker):
    """A rejected credential is a fault of every method, and a problem in the health."""
    keys = await aws.hire(worker)
    async with opened(aws.connector(secret="synthetic-wrong-secret")) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys, Transcript())
        health = await connector.health(Transcript())
    assert caught.value.category is FaultCategory.CREDENTIALS_REJECTED
    assert "synthetic-wrong-secret" not in str(caught.value)
    assert [problem.code for problem in health.problems] == ["credentials_rejected"]
    assert not health.is_ready


async def test_health_of_a_working_system(aws, worker):
    """A working credential is ready; what moto cannot tell, and what we do not look at, is said."""
    await aws.hire(worker)
    async with opened(aws.connector()) as connector:
        health = await connector.health(Transcript())
    assert health.is_ready
    assert [problem.code for problem in health.problems] == [
        "permissions_not_simulated",
        "search_not_proved.userName",
        "search_not_proved.emails.value",
        "service_credentials_not_checked",
        "applications_not_checked",
    ]
    assert aws.script.effects == []


async def test_health_names_the_missing_permission(aws):
    """A refused probe is a problem that names the action to allow."""
    async with opened(aws.connector(users="identity_center")) as connector:
        await connector.locate(LeaverKeys((Key(KeyKind.USERNAME, "nobody"),)), Transcript())
        aws.script.inject(Injected(FaultKind.FORBIDDEN))
        health = await connector.health(Transcript())
    assert not health.is_ready
    assert "sts:GetCallerIdentity" in health.problems[0].fix


async def test_importing_costs_no_aws_client():
    """A worker without an AWS system imports none of botocore's client machinery."""
    code = "import connectors.aws.connector, sys; print('botocore.session' in sys.modules)"
    done = subprocess.run(  # noqa: ASYNC221 - a quarter of a second
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"


def test_manifest_builds_what_it_describes(aws):
    """The manifest's factory builds the connector, and it says what may outlive a revocation."""
    connector = aws.connector()
    assert isinstance(connector, Connector)
    assert connector.kind == MANIFEST.kind
    assert "temporary_credentials" in MANIFEST.residual_s
