"""Leaving groups at SCIM servers as they are: by which form, and colleagues stay."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.base import Transcript
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.scim.odd import (
    Answer,
    Base,
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

ANN = Account("u1")
PEOPLE = [person(), person("u2", "bob@example.test")]


def with_groups(kind: Base, number: int, *members: str) -> OddScim:
    return kind(PEOPLE, [group(f"g{n}", *(members or ("u1", "u2"))) for n in range(number)])


def is_by_value(body: Thing) -> bool:
    return bool(body["Operations"][0]["path"] == "members")


def emptying(self: OddScim, group_id: str, body: Thing) -> Answer:
    """As RFC 7644 has it: ``value`` means nothing, and all members go."""
    if not is_by_value(body):
        return error(400, "invalidPath")
    self.groups[group_id]["members"] = []
    return 204, None


def path_empties(self: OddScim, group_id: str, body: Thing) -> Answer:
    """Reads the path of a removal without its filter: all members go."""
    del body
    self.groups[group_id]["members"] = []
    return 204, None


class ByValue(OddScim):
    """Refuses a filter in the path, and reads ``value``."""

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        if not is_by_value(body):
            return error(400, "invalidPath")
        return super().patch_group(group_id, body)


class InVain(OddScim):
    """Accepts the form with a path, and does nothing."""

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        return super().patch_group(group_id, body) if is_by_value(body) else (204, None)


async def test_one_member_goes_by_value_where_the_path_is_refused() -> None:
    """It is looked at right after: the colleague is still there."""
    server = with_groups(ByValue, 3)
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert [server.members(f"g{n}") for n in range(3)] == [["u2"]] * 3
    assert len(actions) == 4


@pytest.mark.parametrize("empties", [emptying, path_empties])
async def test_colleagues_who_went_are_told_loudly(empties: Any) -> None:
    """One group was emptied, by either form: a person is told which, and no other is touched."""
    server = with_groups(odd(patch_group=empties), 6)
    async with connected(server) as connector:
        seen, actions, fault = await end(connector, ANN)
        again, more, still = await end(connector, ANN)
    emptied = [name for name in server.groups if not server.members(name)]

    assert fault is not None
    assert still is not None
    assert len(emptied) == 1
    assert fault.code == still.code == f"colleagues_removed.{emptied[0]}"
    assert not fault.is_transient
    assert [action.access.ref for action in actions] == ["u1", emptied[0]]
    assert more == ()
    assert not seen.is_closed
    assert not again.is_closed


async def test_one_colleague_who_went_by_value_is_told() -> None:
    """That form can take others along, so one who is missing after it is its doing."""

    class Careless(ByValue):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            answer = super().patch_group(group_id, body)
            if is_by_value(body):
                self.groups[group_id]["members"].pop()
            return answer

    server = with_groups(Careless, 1, "u1", "u2", "u3")
    _, actions, fault = await ended(server, ANN)

    assert fault is not None
    assert fault.code == "colleagues_removed.g0"
    assert [action.access.ref for action in actions] == ["u1", "g0"]
    assert server.members("g0") == ["u2"]


async def test_a_colleague_who_leaves_meanwhile_stops_nobody() -> None:
    """Another leaver of a wave is taken out at the same time: that is no emptied group."""

    class Wave(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            self.groups[group_id]["members"].pop()
            return super().patch_group(group_id, body)

    server = with_groups(Wave, 3, "u1", "u2", "u3", "u4")
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members("g0") == ["u2", "u3"]


async def test_a_group_is_not_emptied_where_nobody_could_see_it() -> None:
    """Without a look afterwards the dangerous form is not sent."""
    unseen = odd(
        patch_group=emptying,
        show_group=lambda _, one, *, alone: {"id": one["id"]} if alone else one,
    )
    server = with_groups(unseen, 1)
    _, _, fault = await ended(server, ANN)

    assert fault is not None
    assert fault.code == "members_unseen"
    assert server.members("g0") == ["u1", "u2"]


@pytest.mark.parametrize("looks", [1, 2])
async def test_the_look_afterwards_is_made_twice(looks: int) -> None:
    """Nothing else would tell; if it cannot be made, a person is told."""

    class Failing(ByValue):
        failures = looks

        def get_group(self, group_id: str) -> Answer:
            if "u1" not in self.members("g0") and self.failures:
                self.failures -= 1
                return error(503)
            return super().get_group(group_id)

    _, actions, fault = await ended(with_groups(Failing, 1), ANN)

    assert (fault is None) == (looks == 1)
    assert fault is None or (fault.code == "colleagues_unseen.g0" and not fault.is_transient)
    assert [action.access.ref for action in actions] == ["u1", "g0"]


@pytest.mark.parametrize(("status", "version"), [(412, 'W/"7"'), (428, 'W/"7"'), (428, "*")])
async def test_a_group_is_left_in_the_version_that_it_has(status: int, version: str) -> None:
    """A server that takes changes of a named version only is told the one that it shows, or any."""

    def refuses(_: OddScim, request: httpx.Request) -> Answer | None:
        is_change = request.method == "PATCH" and "/Groups/" in request.url.path
        return error(status) if is_change and request.headers.get("if-match") != version else None

    shown = {"meta": {"version": version}} if version != "*" else {}
    server = with_groups(odd(refuses=refuses, show_group=lambda _, one, **__: {**one, **shown}), 1)
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members("g0") == ["u2"]


async def test_one_group_that_refuses_keeps_no_other() -> None:
    """The others are left, and the fault says what was done."""

    class OneRefuses(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            return error(403) if group_id == "g0" else super().patch_group(group_id, body)

    seen, actions, fault = await ended(with_groups(OneRefuses, 4), ANN)

    assert fault is not None
    assert fault.category is FaultCategory.PERMISSION_MISSING
    assert {action.access.ref for action in actions} == {"u1", "g1", "g2", "g3"}
    assert [way.ref for way in seen.standing] == ["g0"]


async def test_a_path_that_does_nothing_is_followed_by_the_other_form() -> None:
    """Accepted and still a member: the second time it is looked at, and the value is sent."""
    server = with_groups(InVain, 1)
    async with connected(server) as connector:
        first, _, _ = await end(connector, ANN)
        second, _, _ = await end(connector, ANN)

    assert not first.is_closed
    assert second.is_closed
    assert server.members("g0") == ["u2"]


@pytest.mark.parametrize("answer", [error(404), error(500), error(400, "noTarget")])
async def test_a_group_that_lets_go_and_says_no_is_left(answer: Answer) -> None:
    """The read-back decides, not the answer; a path that selects nobody is left already."""

    class SaysNo(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            super().patch_group(group_id, body)
            return answer

    seen, actions, fault = await ended(with_groups(SaysNo, 1), ANN)

    assert seen.is_closed
    assert (fault is not None and fault.is_transient) is (answer[0] == 500)
    assert [action.access.ref for action in actions] == ["u1"]


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (error(400, "mutability"), FaultCategory.MANAGED_ELSEWHERE),
        (error(501), FaultCategory.MISCONFIGURED),
        (error(405), FaultCategory.MISCONFIGURED),
        (error(400), FaultCategory.UNEXPECTED_ANSWER),
        (error(400, "invalidSyntax"), FaultCategory.MISCONFIGURED),
    ],
)
async def test_a_group_that_cannot_be_left_is_for_people(
    answer: Answer, category: FaultCategory
) -> None:
    """A directory's group, a server without PATCH, one that reads neither form: no PUT is tried."""
    server = with_groups(odd(patch_group=lambda *_: answer), 1)
    seen, _, fault = await ended(server, ANN)

    assert fault is not None
    assert (fault.category, fault.operation) == (category, "groups.remove_member")
    assert [way.ref for way in seen.standing] == ["g0"]
    assert not [write for write in server.writes if write.startswith("PUT")]


async def test_an_old_snapshot_yields_nothing_twice() -> None:
    """What is left already is no action."""
    old = Observation("u1", exists=True, standing=(Access(AccessKind.GROUP, "g0"),))
    async with connected(with_groups(OddScim, 1)) as connector:
        first = await connector.strip(ANN, old, Transcript())
        second = await connector.strip(ANN, old, Transcript())

    assert [action.access.ref for action in first] == ["g0"]
    assert second == ()
