"""The generic SCIM connector's changes: every dialect, conflict and refusal."""

from __future__ import annotations

import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.faults import FaultCategory
from tests.connectors.dialogue import Turn
from tests.connectors.scim_script import (
    ACCOUNT,
    CONFIG,
    ERROR,
    GROUP,
    SIGN_IN,
    listed,
    members,
    patched,
    reads,
    standing,
    talking,
    user,
)

OFF = patched(op="replace", path="active", value=False)


def off(status: int = 204, **sends: str | None) -> Turn:
    named = {name.replace("_", "-"): value for name, value in sends.items()}
    return Turn("PATCH /v2/Users/u1", status, body=OFF, sends=named)


@pytest.mark.parametrize(
    ("profile", "body"),
    [
        ("rfc", OFF),
        ("no-path", patched(op="replace", value={"active": False})),
        ("string", patched(op="Replace", path="active", value="False")),
    ],
)
async def test_each_profile_has_its_body(profile: str, body: object) -> None:
    """The server is told in its own dialect, with the version that was read."""
    told = Turn("PATCH /v2/Users/u1", 204, body=body, sends={"if-match": 'W/"3"'})
    async with talking(
        reads(meta={"version": 'W/"3"'}), CONFIG, told, profile=profile
    ) as connector:
        actions = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert [(action.access, action.operation) for action in actions] == [
        (SIGN_IN, "users.deactivate")
    ]


@pytest.mark.parametrize("status", [405, 501])
async def test_without_patch_the_whole_user_is_put(status: int) -> None:
    """405 or 501 to PATCH means PUT, now and later; read-only attributes stay away."""
    whole = reads(meta={"version": "v"}, groups=[{"value": "g1"}], title="Agent")
    put = Turn(
        "PUT /v2/Users/u1",
        200,
        user(active=False),
        body=user(active=False, title="Agent"),
        sends={"if-match": "v"},
    )
    async with talking(whole, CONFIG, off(status), put, whole, put) as connector:
        for _ in range(2):
            actions = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


async def test_patch_is_not_tried_where_it_is_not_promised() -> None:
    """patch.supported = false goes straight to PUT, in the profile's dialect."""
    config = Turn("GET /v2/ServiceProviderConfig", answer={"patch": {"supported": False}})
    put = Turn("PUT /v2/Users/u1", 200, body=user(active="False"), sends={"if-match": None})
    async with talking(reads(), config, put, profile="string") as connector:
        await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())


async def test_neither_patch_nor_put_is_a_wrong_setting() -> None:
    """A server that cannot change users is for operations, not for another try."""
    put = Turn("PUT /v2/Users/u1", 501, body=user(active=False))
    async with talking(reads(), CONFIG, off(501), put) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED


async def test_a_version_conflict_is_read_again_once() -> None:
    """After 412 the user is read anew and the change repeated with the new version."""
    old, new = reads(meta={"version": "1"}), reads(meta={"version": "2"})
    async with talking(old, CONFIG, off(412, if_match="1"), new, off(if_match="2")) as connector:
        actions = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


async def test_a_conflict_that_closed_the_user_needs_no_second_change() -> None:
    """Somebody else was faster: success without an action of ours."""
    async with talking(reads(), CONFIG, off(412), reads(active=False)) as connector:
        actions = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert actions == ()


async def test_two_conflicts_are_left_to_a_later_try() -> None:
    """A user who is being changed all the time is a passing fault."""
    async with talking(reads(), CONFIG, off(412), reads(), off(412), reads()) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.is_transient


@pytest.mark.parametrize(
    ("told", "category"),
    [
        ("mutability", FaultCategory.MANAGED_ELSEWHERE),
        ("invalidPath", FaultCategory.MISCONFIGURED),
        ("invalidValue", FaultCategory.MISCONFIGURED),
        ("uniqueness", FaultCategory.UNEXPECTED_ANSWER),
        (None, FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_a_refused_change_says_whose_turn_it_is(
    told: str | None, category: FaultCategory
) -> None:
    """Read-only active belongs to a directory, an unread body to the settings."""
    refused = Turn("PATCH /v2/Users/u1", 400, {**ERROR, "scimType": told}, body=OFF)
    async with talking(reads(), CONFIG, refused) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is category
    assert caught.value.operation == "users.deactivate"


async def test_403_names_what_is_missing() -> None:
    """Operations read which access the token lacks."""
    async with talking(reads(), CONFIG, off(403)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.PERMISSION_MISSING
    assert caught.value.missing == "write access to users and groups"


async def test_gone_meanwhile_is_success() -> None:
    """A user who vanishes before or during the change needs no action."""
    async with talking(reads(404)) as connector:
        assert await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript()) == ()
    async with talking(reads(), CONFIG, off(404)) as connector:
        assert await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript()) == ()


async def test_delete_is_sent_once_and_only_to_an_active_user() -> None:
    """Where DELETE first deactivates, a second one could destroy: an inactive user is left."""
    delete = Turn("DELETE /v2/Users/u1", 204)
    async with talking(reads(), delete, reads(active=False), disable="delete") as connector:
        first = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())
        second = await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.operation for action in first] == ["users.delete"]
    assert second == ()


async def test_a_server_without_delete_is_a_wrong_setting() -> None:
    """A server without DELETE under disable = delete is for operations."""
    delete = Turn("DELETE /v2/Users/u1", 405)
    async with talking(reads(), delete, disable="delete") as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED


BY_PATH = patched(op="remove", path='members[value eq "u1"]')
BY_VALUE = patched(op="remove", path="members", value=[{"value": "u1"}])


def leaving(body: object, status: int, told: str | None = None) -> Turn:
    answer = {**ERROR, "scimType": told} if status == 400 else None
    return Turn("PATCH /v2/Groups/g1", status, answer, body=body)


@pytest.mark.parametrize(
    ("turns", "left"),
    [
        ([leaving(BY_PATH, 204)], 1),
        ([leaving(BY_PATH, 400, "invalidPath"), leaving(BY_VALUE, 200)], 1),
        ([leaving(BY_PATH, 400, "noTarget")], 0),
        ([leaving(BY_PATH, 404)], 0),
    ],
    ids=["path", "value", "no target", "no group"],
)
async def test_a_member_is_removed_in_either_dialect(turns: list[Turn], left: int) -> None:
    """The RFC's form comes first: the other one could empty the group of a strict server."""
    found = members("members.value", answer=listed({"id": "g1"}))
    async with talking(reads(active=False), CONFIG, found, *turns, strip_groups=True) as connector:
        # The filter is taken as honoured: that is a test of its own.
        connector._client._filters_proven = True
        actions = await connector.revoke(ACCOUNT, standing(GROUP), Transcript())

    assert [action.access for action in actions] == [GROUP] * left


@pytest.mark.parametrize(
    ("turns", "category"),
    [
        ([leaving(BY_PATH, 400, "mutability")], FaultCategory.MANAGED_ELSEWHERE),
        ([leaving(BY_PATH, 501)], FaultCategory.MISCONFIGURED),
        ([leaving(BY_PATH, 400), leaving(BY_VALUE, 400)], FaultCategory.UNEXPECTED_ANSWER),
    ],
    ids=["owned by a directory", "no patch", "neither dialect"],
)
async def test_a_group_that_cannot_be_left_is_for_people(
    turns: list[Turn], category: FaultCategory
) -> None:
    """No whole group is ever written: that could give others access back."""
    found = members("members.value", answer=listed({"id": "g1"}))
    async with talking(reads(active=False), CONFIG, found, *turns, strip_groups=True) as connector:
        connector._client._filters_proven = True
        with pytest.raises(ConnectorFault) as caught:
            await connector.revoke(ACCOUNT, standing(GROUP), Transcript())

    assert caught.value.category is category
    assert caught.value.operation == "groups.remove_member"
