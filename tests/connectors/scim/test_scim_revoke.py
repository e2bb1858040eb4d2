"""The generic SCIM connector's changes: every dialect, conflict and refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    odd,
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
ALONE = {"strip_groups": False}


def off(status: int = 204, body: object = OFF, **sends: str | None) -> Turn:
    named = {name.replace("_", "-"): value for name, value in sends.items()}
    return Turn("PATCH /v2/Users/u1", status, body=body, sends=named)


def put(status: int = 200, *, active: object = False, **sends: str | None) -> Turn:
    named = {name.replace("_", "-"): value for name, value in sends.items()}
    return Turn("PUT /v2/Users/u1", status, body=user(active=active, title="Agent"), sends=named)


@dataclass(frozen=True)
class Told:
    """One dialogue: its turns, how often a revocation is tried, and what the last one did."""

    turns: Sequence[Turn]
    done: str = ""
    category: FaultCategory | None = None
    missing: str | None = None
    times: int = 1
    settings: dict[str, object] = field(default_factory=dict)


V3, OLD, NEW = (reads(meta={"version": each}) for each in ('W/"3"', "1", "2"))
WHOLE = reads(meta={"version": "v"}, groups=[{"value": "g1"}], title="Agent")
LIVES = Turn("GET /v2/Users?count=1", answer=listed())
GONE = (reads(404), LIVES)
DELETE = "DELETE /v2/Users/u1"
MISCONFIGURED = FaultCategory.MISCONFIGURED
DIALOGUES = {
    "in its own dialect, of the version that was read": Told(
        [V3, off(if_match='W/"3"')], "users.deactivate"
    ),
    "an object without a path": Told(
        [reads(), off(body=patched(op="replace", value={"active": False}))],
        "users.deactivate",
        settings={"profile": "no-path"},
    ),
    "the word False": Told(
        [reads(), off(body=patched(op="Replace", path="active", value="False"))],
        "users.deactivate",
        settings={"profile": "string"},
    ),
    # Read-only attributes stay away. The second time for one user it is looked at whether the
    # change was made.
    **{
        f"{status} to PATCH is PUT, now and later": Told(
            [WHOLE, off(status), put(if_match="v"), WHOLE, put(if_match="v"), reads(active=False)],
            "users.deactivate",
            times=2,
        )
        for status in (405, 501)
    },
    "neither PATCH nor PUT is for operations": Told(
        [WHOLE, off(501), put(501)], category=MISCONFIGURED
    ),
    "after 412 with the new version": Told(
        [OLD, off(412, if_match="1"), NEW, off(if_match="2")], "users.deactivate"
    ),
    "somebody else was faster": Told([reads(), off(412), reads(active=False)]),
    "after two conflicts no version is named": Told(
        [OLD, off(412, if_match="1"), NEW, off(412, if_match="2"), NEW, off(if_match=None)],
        "users.deactivate",
    ),
    # If-Match takes a star (RFC 9110 section 13.1.1).
    "a version is wanted and none is shown": Told(
        [reads(), off(428, if_match=None), off(if_match="*")], "users.deactivate"
    ),
    "a user who is changed all the time passes": Told(
        [reads(), *[off(412), reads()] * 3], category=FaultCategory.VENDOR_ERROR
    ),
    "what a directory owns is written in no other form": Told(
        [
            reads(),
            Turn("PATCH /v2/Users/u1", 400, {**ERROR, "scimType": "mutability"}, body=OFF),
        ],
        category=FaultCategory.MANAGED_ELSEWHERE,
    ),
    "403 names what is missing": Told(
        [reads(), off(403)],
        category=FaultCategory.PERMISSION_MISSING,
        missing="write access to users and groups",
    ),
    "gone before, and the endpoint lives": Told(GONE),
    "gone meanwhile": Told([reads(), off(404), *GONE]),
    # Where DELETE first deactivates, a second one could destroy.
    "an active user is deleted": Told(
        [reads(), Turn(DELETE, 204)], "users.delete", settings={"disable": "delete"}
    ),
    "an inactive one is left": Told(
        [reads(), Turn(DELETE, 204), reads(active=False)], times=2, settings={"disable": "delete"}
    ),
    "a server without DELETE is for operations": Told(
        [reads(), Turn(DELETE, 405)], category=MISCONFIGURED, settings={"disable": "delete"}
    ),
}


@pytest.mark.parametrize("name", DIALOGUES)
async def test_a_door_is_shut_in_this_dialogue(name: str) -> None:
    """These calls and no others, and what they come to."""
    told, fault = DIALOGUES[name], None
    async with talking(*told.turns, **told.settings) as connector:
        for _ in range(told.times):
            try:
                actions = await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())
            except ConnectorFault as caught:
                actions, fault = (), caught

    done = [(SIGN_IN, told.done)] if told.done else []
    assert [(action.access, action.operation) for action in actions] == done
    assert (fault and fault.category, fault and fault.missing) == (told.category, told.missing)
    assert fault is None or fault.operation in {"users.deactivate", "users.delete"}


@pytest.mark.parametrize("said", [False, "false"])
async def test_patch_is_not_tried_where_it_is_not_promised(said: object) -> None:
    """patch.supported = false goes straight to PUT, in the profile's dialect."""
    config = Turn("GET /v2/ServiceProviderConfig", answer={"patch": {"supported": said}})
    found = search('userName eq "ann"', answer=listed(user()))
    turns = (config, found, reads(title="Agent"), put(active="False", if_match=None))
    async with talking(*turns, profile="string") as connector:
        await connector.locate(keys(username="ann"), Transcript())
        await revoke(connector, ACCOUNT, standing(SIGN_IN), Transcript())


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
    refusing = odd(patch_user=lambda *_: error(400, told), put_user=lambda *_: error(400))
    seen, _, fault = await ended(refusing([person()]), ACCOUNT, **ALONE)

    assert seen.signs_in
    assert fault is not None
    assert fault.category is category


@pytest.mark.parametrize("page", [None, HTML])
@pytest.mark.parametrize("status", [400, 404, 405, 409, 422, 500, 501])
async def test_put_follows_where_patch_is_missing(status: int, page: str | None) -> None:
    """Whatever a server answers to a PATCH that it has not, the door is shut; learned once."""
    no_patch = odd(patch_user=lambda *_: (status, page) if page else error(status))
    server = no_patch([person(), person("u2", "bob")])
    async with connected(server, **ALONE) as connector:
        first = await end(connector, ACCOUNT)
        server.calls.clear()
        await end(connector, Account("u2"))

    assert first[0].is_closed
    assert first[2] is None
    assert server.writes == ["PUT /v2/Users/u2"]
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
    seen, _, fault = await ended(server, ACCOUNT, disable=deletes, **ALONE)

    assert seen.is_closed
    assert fault is None
    assert len(server.writes) == 1


@pytest.mark.parametrize("answer", [error(415), error(406), error(400), (400, HTML), error(500)])
async def test_plain_json_where_scims_own_type_is_refused(answer: Answer) -> None:
    """application/json is learned per server, for users and for groups."""
    types: list[str] = []

    def refuses(_: OddScim, request: httpx.Request) -> Answer | None:
        if request.method == "GET":
            return None
        types.append(request.headers["content-type"])
        return None if types[-1] == "application/json" else answer

    server = odd(refuses=refuses)([person(), person("u2", "bob")], [group("g1", "u1", "u2")])
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
    seen, _, _ = await ended(server, ACCOUNT, **ALONE)

    assert seen.is_closed
    assert server.writes == ["PATCH /v2/Users/u1"] * 2


@pytest.mark.parametrize("says", [True, False])
async def test_a_patch_in_vain_is_followed_by_another_way(*, says: bool) -> None:
    """If the answer itself shows the user active, at once; else when it still stands next time."""
    in_vain = odd(
        patch_user=lambda self, user_id, _: (200, self.users[user_id]) if says else (204, None)
    )
    async with connected(in_vain([person()]), **ALONE) as connector:
        first, actions, _ = await end(connector, ACCOUNT)
        second, _, _ = await end(connector, ACCOUNT)

    assert first.is_closed is says
    assert [action.access for action in actions] == [SIGN_IN]
    assert second.is_closed


@pytest.mark.parametrize("active", [None, "maybe", "True", 1])
async def test_what_is_not_surely_closed_is_shut(active: object) -> None:
    """An odd ``active`` keeps no door open: it is written first and judged afterwards."""
    server = OddScim([person(active=active)])
    seen, _, _ = await ended(server, ACCOUNT, **ALONE)

    assert seen.is_closed
    assert server.users["u1"]["active"] is False


async def test_the_servers_own_spelling_is_written() -> None:
    """A PUT writes the attribute under the name that the server gave it, and no second one."""
    upper = {"id": "u1", "UserName": "ann", "Active": True, "Meta": {}, "Groups": []}
    server = odd(patch_user=lambda *_: error(405))([upper])
    await ended(server, ACCOUNT, **ALONE)

    assert server.users["u1"] == {"id": "u1", "UserName": "ann", "Active": False}


async def test_a_403_that_names_a_wait_is_one() -> None:
    """A limit is told as a limit, with its time, and not as a missing permission."""

    def answer(self: OddScim, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            return httpx.Response(403, headers={"Retry-After": "60"}, json={})
        return OddScim.answer(self, request)

    _, _, fault = await ended(odd(answer=answer)([person()]), ACCOUNT, **ALONE)

    assert fault is not None
    assert fault.category is FaultCategory.RATE_LIMITED
    assert fault.retry_after == timedelta(minutes=1)
