"""AWS against a real moto server: who is found, what is closed and in which order."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation, Proof, Residual
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Absence, absence
from tests.connectors.aws.harness import (
    ACCOUNT,
    DENY_ALL,
    judged,
    kinds,
    refuses,
    says_json,
    says_xml,
)
from tests.connectors.harness import FaultKind, Injected
from tests.connectors.revoking import revoke

_numbers = itertools.count(1)


@pytest.fixture
def worker() -> str:
    return f"leaver-{next(_numbers)}"


async def test_locate_finds_both_users_once(aws, worker):
    """Several keys that lead to the same two users give two accounts, each with all it bears."""
    keys = await aws.hire(worker)
    location = await aws.locate(*keys.keys)
    iam, user = location.matches
    names = (Key(KeyKind.USERNAME, worker), Key(KeyKind.EMAIL, f"{worker}@example.test"))
    assert (iam.found_by, user.found_by) == (KeyKind.EMPLOYEE_NUMBER, KeyKind.USERNAME)
    assert location.keys_tried == (KeyKind.EMPLOYEE_NUMBER, KeyKind.USERNAME, KeyKind.EMAIL)
    assert iam.account.id == aws.iam_id(worker)
    assert iam.account.known_keys == (Key(KeyKind.EMPLOYEE_NUMBER, f"E-{worker}"), *names)
    assert (user.name, user.account.known_keys) == (worker, names)
    assert iam.created_at.tzinfo
    assert user.seen.signs_in


async def test_one_key_finds_in_either_half(aws, worker):
    """An id that was supplied finds its own user; an address finds the tagged one and the other."""
    await aws.hire(worker)
    iam, user = aws.iam_id(worker), aws.store_user(worker)
    for wanted in (iam, user):
        location = await aws.locate(Key(KeyKind.ACCOUNT_ID, wanted, "aws-test"))
        assert [match.account.id for match in location.matches] == [wanted]
    location = await aws.locate(Key(KeyKind.EMAIL, f"{worker}@example.test"))
    assert [match.account.id for match in location.matches] == [iam, user]


async def test_email_may_be_the_user_name(aws, worker):
    """Without tags, an IAM user whose name is the e-mail address is found, in any case."""
    name = f"{worker}@example.test"
    aws.iam.create_user(UserName=name)
    email = Key(KeyKind.EMAIL, name.upper())
    location = await aws.locate(email, employee_number_tag="", email_tag="", users="iam")
    assert [match.account.locator for match in location.matches] == [name]


async def test_local_part_only_on_request(aws, worker):
    """The part before the @ is looked for only on request, and then a person decides."""
    await aws.hire(worker)
    email = Key(KeyKind.EMAIL, f"{worker.upper()}@elsewhere.test")
    assert not (await aws.locate(email)).matches
    location = await aws.locate(email, match_email_local_part=True)
    assert judged(location, email) == {worker: "in_doubt.name_in_part"}


async def test_locate_without_keys_makes_no_call(aws):
    """Without a usable key nothing is searched, and the location says that nothing was tried."""
    transcript = Transcript()
    location = await aws.connector().locate(LeaverKeys(), transcript)
    assert (location.matches, location.keys_tried, transcript.exchanges) == ((), (), [])


async def test_nobody_is_proved_by_listing_all(aws, worker):
    """Nobody found is no fault: how many were compared is told, and how each key was searched."""
    await aws.hire(worker)
    location = await aws.locate(
        Key(KeyKind.USERNAME, "nobody"), Key(KeyKind.EMAIL, "nobody@example.test")
    )
    store = aws.store.list_users(IdentityStoreId=aws.store_id)["Users"]
    assert location.matches == ()
    assert [one.proof for one in location.searches] == [Proof.LISTED, Proof.LISTED]
    # moto minds case, so its look-ups are not proved
    assert location.listed == len(aws.iam.list_users()["Users"]) + len(store)
    assert absence(location, accept_single_key=False) is Absence.PROVED


async def test_identity_center_minds_case_and_the_list_finds(aws, worker):
    """Where a look-up is blind for another case, the user is found in the list all the same."""
    await aws.hire(worker)
    location = await aws.locate(Key(KeyKind.USERNAME, worker.upper()), users="identity_center")
    assert [match.account.locator for match in location.matches] == [worker]
    assert [one.proof for one in location.searches] == [Proof.LISTED]


def _one_user(name: str):
    return says_xml(
        f"<UserDetailList><member><UserName>{name}</UserName><UserId>AIDASYNTHETIC</UserId>"
        f"<Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn></member></UserDetailList>"
        "<IsTruncated>false</IsTruncated>"
    )


async def test_a_tag_that_nobody_has_is_no_search(aws):
    """A tag that no user bears, and addresses where no user is named so, prove nothing."""
    keys = (Key(KeyKind.EMPLOYEE_NUMBER, "E-0"), Key(KeyKind.EMAIL, "nobody@example.test"))
    replies = {"GetAccountAuthorizationDetails": [_one_user("somebody")]}
    location = await aws.locate(*keys, replies=replies, users="iam")
    assert [one.proof for one in location.searches] == [Proof.NOT_HELD, Proof.NOT_HELD]
    assert absence(location, accept_single_key=False) is Absence.TOO_FEW_KEYS


@pytest.mark.parametrize("users", ["iam", "identity_center"])
async def test_a_word_among_addresses_was_not_searched(aws, users):
    """All users are named by addresses: a short name could find nobody, whoever is there."""
    named = "ana@example.test"
    store = {"UserName": named, "UserId": "u-1", "Emails": [{"Value": named}]}
    gone = refuses("ResourceNotFoundException")
    replies = {
        "ListUsers": [says_json({"Users": [store]})],
        "GetUserId": [gone, gone, says_json({"UserId": "u-1"})],
        "GetAccountAuthorizationDetails": [_one_user(named)],
    }
    keys = (Key(KeyKind.USERNAME, "bo"), Key(KeyKind.EMAIL, "bo@example.test"))
    location = await aws.locate(*keys, replies=replies, users=users)
    proofs = {search.kind: search.proof for search in location.searches}
    assert location.matches == ()
    assert proofs[KeyKind.USERNAME] is Proof.NOT_HELD
    assert proofs[KeyKind.EMAIL] in {Proof.PROVED, Proof.LISTED}


@pytest.mark.parametrize(
    ("down", "found"),
    [("GetAccountAuthorizationDetails", "store"), ("GetUserId", "iam"), ("ListInstances", "iam")],
)
async def test_one_half_that_is_down_hides_nobody_in_the_other(aws, worker, down, found):
    """Who was found stays found, and the other half is a search that failed."""
    keys = await aws.hire(worker)
    ids = {"iam": aws.iam_id(worker), "store": aws.store_user(worker)}
    location = await aws.locate(*keys.keys, replies={down: [refuses("InternalFailure", 500)]})
    assert [match.account.id for match in location.matches] == [ids[found]]
    assert {row.category for row in location.unread} == {FaultCategory.VENDOR_ERROR}
    assert Proof.FAILED in {search.proof for search in location.searches}
    assert judged(location, *keys.keys) == {
        worker: "leavers.number" if found == "iam" else "in_doubt.not_all_searched"
    }


async def test_order_of_an_iam_revocation(aws, worker):
    """Both doors first, secrets, factors, grants; of the user's policies the deny alone is left."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    iam, _ = await aws.both(connector, keys)
    actions = await aws.close_account(connector, iam)
    order = list(dict.fromkeys(action.access.kind for action in actions))
    assert order == [
        AccessKind.SIGN_IN,
        AccessKind.SECRET,
        AccessKind.FACTOR,
        AccessKind.ROLE,
        AccessKind.GROUP,
    ]
    assert aws.script.effects[:2] == ["DeleteLoginProfile", "AttachUserPolicy"]
    assert aws.policies(worker) == [DENY_ALL]
    assert aws.iam.list_user_policies(UserName=worker)["PolicyNames"] == []
    assert all(action.request_id and action.accepted_at.tzinfo for action in actions)


async def test_identity_center_user_goes_first(aws, worker):
    """The user is deleted at once; what AWS still lists under the id is removed afterwards."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    _, user = await aws.both(connector, keys)
    (shut,) = await connector.contain(user, await connector.look(user, Transcript()), Transcript())
    left = await connector.read_back(user, Transcript())
    await connector.strip(user, left, Transcript())
    assert shut.access.kind is AccessKind.SIGN_IN
    assert (left.exists, kinds(left)) == (False, [AccessKind.ASSIGNMENT])
    assert aws.script.effects == ["DeleteUser", "DeleteAccountAssignment"]
    assert (await connector.read_back(user, Transcript())).is_closed
    assert not aws.assignments(user.id)


async def test_revoking_twice_acts_once(aws, worker):
    """A second revocation with the first one's snapshot closes nothing and tells nothing.

    Whether there is a login profile is not asked before it is deleted: the answer says it.
    """
    keys = await aws.hire(worker)
    connector = aws.connector()
    for account in await aws.both(connector, keys):
        before = await connector.read_back(account, Transcript())
        await revoke(connector, account, before, Transcript())
        aws.script.effects.clear()
        assert await revoke(connector, account, before, Transcript()) == ()
        assert set(aws.script.effects) <= {"DeleteLoginProfile"}


async def test_only_what_the_snapshot_shows_is_closed(aws, worker):
    """A revocation closes what the snapshot shows and leaves the rest to the next read-back."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    iam, _ = await aws.both(connector, keys)
    before = await connector.read_back(iam, Transcript())
    await connector.contain(iam, before, Transcript())
    aws.script.effects.clear()
    factors = tuple(access for access in before.standing if access.kind is AccessKind.FACTOR)
    narrow = Observation(iam.id, exists=True, standing=factors)
    await revoke(connector, iam, narrow, Transcript())
    assert aws.script.effects == ["DeactivateMFADevice"]


async def test_deleted_users_are_gone(aws, worker):
    """A pinned id that exists no more is absent; what AWS still lists under it is removed."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    iam, user = await aws.both(connector, keys)
    aws.store.delete_user(IdentityStoreId=aws.store_id, UserId=user.id)
    left = {Account("AIDASYNTHETICGONE0001", "never-was"): [], user: [AccessKind.ASSIGNMENT]}
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
    connector, newcomer = aws.connector(), f"{worker}-newcomer"
    iam, _ = await aws.both(connector, keys)
    before = await connector.read_back(iam, Transcript())
    aws.iam.create_user(UserName=newcomer)
    recycled = Account(iam.id, newcomer, iam.known_keys)
    assert (await connector.read_back(recycled, Transcript())) == before
    await revoke(connector, recycled, before, Transcript())
    assert not aws.iam_open(worker)
    assert aws.policies(newcomer) == []


async def test_keys_are_deleted_on_request(aws, worker):
    """With keys = "delete" even a dead key stands until it is deleted."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    iam, _ = await aws.both(connector, keys)
    await aws.close_account(connector, iam)
    assert [len(found) for found in aws.secrets(worker)] == [1, 1, 1]
    deleting = aws.connector(keys="delete")
    assert set(kinds(await deleting.read_back(iam, Transcript()))) == {AccessKind.SECRET}
    await aws.close_account(deleting, iam)
    assert (await deleting.read_back(iam, Transcript())).is_closed
    assert aws.secrets(worker) == ([], [], [])


async def test_without_deny_the_residual_says_so(aws, worker):
    """With deny = "none" temporary credentials are a residual of 36 hours, never claimed closed."""
    keys = await aws.hire(worker)
    connector = aws.connector(deny="none", strip_policies=False)
    iam, _ = await aws.both(connector, keys)
    await aws.close_account(connector, iam)
    after = await connector.read_back(iam, Transcript())
    assert after.is_closed
    assert Residual("temporary_credentials", 129_600) in after.residuals
    assert aws.policies(worker) == ["arn:aws:iam::aws:policy/ReadOnlyAccess"]


async def test_own_key_is_protected(aws, worker):
    """The user whose key we sign with is never revoked: nothing is changed."""
    keys = await aws.hire(worker)
    own = aws.secrets(worker)[0][0]["AccessKeyId"]
    connector = aws.connector(access_key_id=own)
    iam, _ = await aws.both(connector, keys)
    with pytest.raises(ConnectorFault) as caught:
        await aws.close_account(connector, iam)
    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert aws.script.effects == []


@pytest.mark.parametrize(
    ("settings", "category", "left"),
    [
        ({"identity_center_user": "keep"}, FaultCategory.MANUAL, []),
        ({"identity_source": "external"}, FaultCategory.MANAGED_ELSEWHERE, [AccessKind.GROUP]),
    ],
)
async def test_a_user_who_is_not_ours_to_delete_needs_a_person(
    aws, worker, settings, category, left
):
    """Kept, or a directory's: what is ours falls, and the rest is said to be somebody else's."""
    keys = await aws.hire(worker)
    connector = aws.connector(**settings)
    _, user = await aws.both(connector, keys)
    with pytest.raises(ConnectorFault) as caught:
        await aws.close_account(connector, user)
    assert caught.value.category is category
    after = await connector.read_back(user, Transcript())
    assert kinds(after) == [AccessKind.SIGN_IN, *left]
    assert "DeleteUser" not in aws.script.effects
    assert "DeleteAccountAssignment" in aws.script.effects


@pytest.mark.parametrize("half", [0, 1], ids=["iam", "identity_center"])
async def test_empty_answers_prove_nothing(aws, worker, half):
    """A success without the data that AWS always gives is a fault, not an empty list."""
    keys = await aws.hire(worker)
    connector = aws.connector()
    account = (await aws.both(connector, keys))[half]
    aws.script.inject(Injected(FaultKind.DONE_NOT, times=30))
    with pytest.raises(ConnectorFault) as caught:
        await connector.read_back(account, Transcript())
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_health_of_a_working_system(aws, worker):
    """A working credential is ready; what moto cannot tell, and what we do not look at, is said."""
    await aws.hire(worker)
    health = await aws.connector().health(Transcript())
    assert health.is_ready
    assert [problem.code for problem in health.problems] == [
        "permissions_not_simulated",
        "search_not_proved.userName",
        "search_not_proved.emails.value",
        "service_credentials_not_checked",
        "applications_not_checked",
    ]


async def test_health_names_the_missing_permission(aws):
    """A refused probe is a problem that names the action to allow."""
    aws.script.inject(Injected(FaultKind.FORBIDDEN))
    health = await aws.connector(users="identity_center").health(Transcript())
    assert not health.is_ready
    assert "sts:GetCallerIdentity" in health.problems[0].fix


async def test_importing_costs_no_aws_client():
    """A worker without an AWS system imports nothing of botocore."""
    code = "import connectors.aws.connector, sys; print('botocore' in sys.modules)"
    done = subprocess.run(  # noqa: ASYNC221 - a quarter of a second
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
