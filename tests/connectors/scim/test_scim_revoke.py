"""The generic SCIM connector's changes: every dialect, conflict and refusal."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.dialogue import Turn
from tests.connectors.revoking import revoke
from tests.connectors.scim.odd import (
    HTML,
    Answer,
    OddScim,
    Thing,
    connected,
    end,
    ended,
    error,
    group,
    person,
)
from tests.connectors.scim.script import (
    ACCOUNT,
    ERROR,
    SIGN_IN,
    keys,
    listed,
    patched,
    reads,
    search,
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
    async with talking(reads(meta={"version": 'W/"3"'}), told, profile=profile) as connector:
        actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [(action.access, action.operation) for action in actions] == [
        (SIGN_IN, "users.deactivate")
    ]


@pytest.mark.parametrize("status", [405, 501])
async def test_without_patch_the_whole_user_is_put(status: int) -> None:
    """405 or 501 to PATCH means PUT, now and later; read-only attributes stay away.

    The second time for one user it is looked at whether the change was made.
    """
    whole = reads(meta={"version": "v"}, groups=[{"value": "g1"}], title="Agent")
    put = Turn(
        "PUT /v2/Users/u1",
        200,
        user(active=False),
        body=user(active=False, title="Agent"),
        sends={"if-match": "v"},
    )
    turns = [whole, off(status), put, whole, put, reads(active=False)]
    async with talking(*turns) as connector:
        for _ in range(2):
            actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


@pytest.mark.parametrize("said", [False, "false"])
async def test_patch_is_not_tried_where_it_is_not_promised(said: object) -> None:
    """patch.supported = false goes straight to PUT, in the profile's dialect."""
    config = Turn("GET /v2/ServiceProviderConfig", answer={"patch": {"supported": said}})
    put = Turn("PUT /v2/Users/u1", 200, body=user(active="False"), sends={"if-match": None})
    found = search('userName eq "ann"', answer=listed(user()))
    async with talking(config, found, reads(), put, profile="string") as connector:
        await connector.locate(keys(username="ann"), Transcript())
        await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())


async def test_neither_patch_nor_put_is_a_wrong_setting() -> None:
    """A server that cannot change users is for operations, not for another try."""
    put = Turn("PUT /v2/Users/u1", 501, body=user(active=False))
    async with talking(reads(), off(501), put) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED


async def test_a_version_conflict_is_read_again_once() -> None:
    """After 412 the user is read anew and the change repeated with the new version."""
    old, new = reads(meta={"version": "1"}), reads(meta={"version": "2"})
    async with talking(old, off(412, if_match="1"), new, off(if_match="2")) as connector:
        actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


async def test_a_conflict_that_closed_the_user_needs_no_second_change() -> None:
    """Somebody else was faster: success without an action of ours."""
    async with talking(reads(), off(412), reads(active=False)) as connector:
        actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert actions == ()


async def test_after_two_conflicts_no_version_is_named() -> None:
    """Some servers refuse every If-Match, also the one that they have just given."""
    old, new = reads(meta={"version": "1"}), reads(meta={"version": "2"})
    turns = [old, off(412, if_match="1"), new, off(412, if_match="2"), new, off(if_match=None)]
    async with talking(*turns) as connector:
        actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


async def test_a_server_that_wants_a_version_and_shows_none_hears_any() -> None:
    """428 is no person's trouble: If-Match takes a star (RFC 9110 section 13.1.1)."""
    async with talking(reads(), off(428, if_match=None), off(if_match="*")) as connector:
        actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.access for action in actions] == [SIGN_IN]


async def test_three_conflicts_are_left_to_a_later_try() -> None:
    """A user who is being changed all the time is a passing fault."""
    async with talking(reads(), *[off(412), reads()] * 3) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.is_transient


async def test_what_a_directory_owns_is_not_written_in_another_way() -> None:
    """Read-only active belongs to a directory: no other form is tried."""
    refused = Turn("PATCH /v2/Users/u1", 400, {**ERROR, "scimType": "mutability"}, body=OFF)
    async with talking(reads(), refused) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.MANAGED_ELSEWHERE
    assert caught.value.operation == "users.deactivate"


@pytest.mark.parametrize(
    ("told", "category"),
    [
        ("invalidPath", FaultCategory.MISCONFIGURED),
        ("uniqueness", FaultCategory.UNEXPECTED_ANSWER),
        (None, FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_a_change_refused_in_every_form_says_whose_turn_it_is(
    told: str | None, category: FaultCategory
) -> None:
    """The first refusal is told: an unread body belongs to the settings."""

    class Refusing(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            return error(400, told)

        def put_user(self, user_id: str, body: Thing) -> Answer:
            return error(400)

    seen, _, fault = await ended(Refusing([person()]), ACCOUNT, strip_groups=False)

    assert seen.signs_in
    assert fault is not None
    assert fault.category is category


async def test_403_names_what_is_missing() -> None:
    """Operations read which access the token lacks."""
    async with talking(reads(), off(403)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.PERMISSION_MISSING
    assert caught.value.missing == "write access to users and groups"


async def test_gone_meanwhile_is_success() -> None:
    """A user who vanishes before or during the change needs no action, if the endpoint lives."""
    gone = (reads(404), Turn("GET /v2/Users?count=1", answer=listed()))
    async with talking(*gone) as connector:
        assert await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript()) == ()
    async with talking(reads(), off(404), *gone) as connector:
        assert await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript()) == ()


async def test_delete_is_sent_once_and_only_to_an_active_user() -> None:
    """Where DELETE first deactivates, a second one could destroy: an inactive user is left."""
    delete = Turn("DELETE /v2/Users/u1", 204)
    async with talking(reads(), delete, reads(active=False), disable="delete") as connector:
        first = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())
        second = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert [action.operation for action in first] == ["users.delete"]
    assert second == ()


async def test_a_server_without_delete_is_a_wrong_setting() -> None:
    """A server without DELETE under disable = delete is for operations."""
    delete = Turn("DELETE /v2/Users/u1", 405)
    async with talking(reads(), delete, disable="delete") as connector:
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED


def ways(server: OddScim) -> list[str]:
    return [write.partition(" ")[0] for write in server.writes]


@pytest.mark.parametrize("page", [None, HTML])
@pytest.mark.parametrize("status", [400, 404, 405, 409, 422, 500, 501])
async def test_put_follows_where_patch_is_missing(status: int, page: str | None) -> None:
    """Whatever a server answers to a PATCH that it has not, the door is shut; learned once."""

    class NoPatch(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            return (status, page) if page else error(status)

    server = NoPatch([person(), person("u2", "bob")])
    async with connected(server, strip_groups=False) as connector:
        first = await end(connector, ACCOUNT)
        server.calls.clear()
        await end(connector, Account("u2"))

    assert first[0].is_closed
    assert first[2] is None
    assert ways(server) == ["PUT"]
    assert not server.users["u2"]["active"]


@pytest.mark.parametrize("status", [404, 409, 500])
@pytest.mark.parametrize("deletes", ["deactivate", "delete"])
async def test_a_change_that_says_no_and_was_made_is_made(status: int, deletes: str) -> None:
    """The look decides, not the answer: nothing is sent again."""

    class SaysNo(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            super().patch_user(user_id, body)
            return error(status)

        def delete_user(self, user_id: str) -> Answer:
            super().delete_user(user_id)
            return error(status)

    server = SaysNo([person()])
    seen, _, fault = await ended(server, ACCOUNT, strip_groups=False, disable=deletes)

    assert seen.is_closed
    assert fault is None
    assert len(server.writes) == 1


@pytest.mark.parametrize("answer", [error(415), error(406), error(400), (400, HTML), error(500)])
async def test_plain_json_where_scims_own_type_is_refused(answer: Answer) -> None:
    """application/json is learned per server, for users and for groups."""
    types: list[str] = []

    class Plain(OddScim):
        def refuses(self, request: httpx.Request) -> Answer | None:
            if request.method == "GET":
                return None
            types.append(request.headers["content-type"])
            return None if types[-1] == "application/json" else answer

    server = Plain([person(), person("u2", "bob")], [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ACCOUNT)

    assert seen.is_closed
    assert fault is None
    assert types[-2:] == ["application/json"] * 2


async def test_a_path_that_is_not_read_is_left_out() -> None:
    """A server of Okta's dialect is met without a setting."""

    class NoPath(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            if "path" in body["Operations"][0]:
                return error(400, "invalidPath")
            return super().patch_user(user_id, body)

    server = NoPath([person()])
    seen, _, _ = await ended(server, ACCOUNT, strip_groups=False)

    assert seen.is_closed
    assert ways(server) == ["PATCH", "PATCH"]


@pytest.mark.parametrize("says", [True, False])
async def test_a_patch_in_vain_is_followed_by_another_way(*, says: bool) -> None:
    """If the answer itself shows the user active, at once; else when it still stands next time."""

    class InVain(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            return (200, self.users[user_id]) if says else (204, None)

    server = InVain([person()])
    async with connected(server, strip_groups=False) as connector:
        first, actions, _ = await end(connector, ACCOUNT)
        second, _, _ = await end(connector, ACCOUNT)

    assert first.is_closed is says
    assert [action.access for action in actions] == [SIGN_IN]
    assert second.is_closed


@pytest.mark.parametrize("active", [None, "maybe", "True", 1])
async def test_what_is_not_surely_closed_is_shut(active: object) -> None:
    """An odd ``active`` keeps no door open: it is written first and judged afterwards."""
    server = OddScim([person(active=active)])
    seen, _, _ = await ended(server, ACCOUNT, strip_groups=False)

    assert seen.is_closed
    assert server.users["u1"]["active"] is False


async def test_the_servers_own_spelling_is_written() -> None:
    """A PUT writes the attribute under the name that the server gave it, and no second one."""

    class Upper(OddScim):
        def patch_user(self, user_id: str, body: Thing) -> Answer:
            return error(405)

    server = Upper([{"id": "u1", "UserName": "ann", "Active": True, "Meta": {}, "Groups": []}])
    await ended(server, ACCOUNT, strip_groups=False)

    assert server.users["u1"] == {"id": "u1", "UserName": "ann", "Active": False}


async def test_a_403_that_names_a_wait_is_one() -> None:
    """A limit is told as a limit, with its time, and not as a missing permission."""

    class Limited(OddScim):
        def answer(self, request: httpx.Request) -> httpx.Response:
            if request.method == "PATCH":
                return httpx.Response(403, headers={"Retry-After": "60"}, json={})
            return super().answer(request)

    _, _, fault = await ended(Limited([person()]), ACCOUNT, strip_groups=False)

    assert fault is not None
    assert fault.category is FaultCategory.RATE_LIMITED
    assert fault.retry_after == timedelta(minutes=1)
