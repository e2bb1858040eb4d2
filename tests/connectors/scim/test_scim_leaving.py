"""Leaving groups at SCIM servers as they are: by which form, and colleagues stay."""

from __future__ import annotations

import httpx
import pytest

from connectors.base import Transcript
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.scim.odd import (
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

ANN = Account("u1")
PEOPLE = [person(), person("u2", "bob@example.test")]


class ByValue(OddScim):
    """Refuses a filter in the path, and reads ``value``."""

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        if body["Operations"][0]["path"] != "members":
            return error(400, "invalidPath")
        return super().patch_group(group_id, body)


class Emptying(ByValue):
    """As RFC 7644 has it: ``value`` means nothing, and all members go."""

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        if body["Operations"][0]["path"] != "members":
            return error(400, "invalidPath")
        self.groups[group_id]["members"] = []
        return 204, None


class EmptyingUnseen(Emptying):
    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return {"id": one["id"]} if alone else one


async def test_one_member_goes_by_value_where_the_path_is_refused() -> None:
    """It is looked at right after: the colleague is still there."""
    server = ByValue(PEOPLE, [group(f"g{n}", "u1", "u2") for n in range(3)])
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert [server.members(f"g{n}") for n in range(3)] == [["u2"]] * 3
    assert len(actions) == 4


async def test_colleagues_who_went_are_told_loudly() -> None:
    """One group was emptied: a person is told which, and no further group is touched."""
    server = Emptying(PEOPLE, [group(f"g{n}", "u1", "u2") for n in range(6)])
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


class PathEmpties(OddScim):
    """Reads the path of a removal without its filter: all members go."""

    def patch_group(self, group_id: str, body: Thing) -> Answer:
        self.groups[group_id]["members"] = []
        return 204, None


async def test_a_path_whose_filter_is_ignored_empties_one_group_only() -> None:
    """The first removal is looked at: if all colleagues went, it is told, and nothing more is."""
    server = PathEmpties(PEOPLE, [group(f"g{n}", "u1", "u2") for n in range(6)])
    seen, actions, fault = await ended(server, ANN)
    emptied = [name for name in server.groups if not server.members(name)]

    assert fault is not None
    assert fault.code == f"colleagues_removed.{emptied[0]}"
    assert len(emptied) == 1
    assert [action.access.ref for action in actions] == ["u1", emptied[0]]
    assert not seen.is_closed


async def test_a_colleague_who_leaves_meanwhile_stops_nobody() -> None:
    """Another leaver of a wave is taken out at the same time: that is no emptied group."""

    class Wave(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            self.groups[group_id]["members"].pop()
            return super().patch_group(group_id, body)

    server = Wave(PEOPLE, [group(f"g{n}", "u1", "u2", "u3", "u4") for n in range(3)])
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members("g0") == ["u2", "u3"]


async def test_a_group_is_not_emptied_where_nobody_could_see_it() -> None:
    """Without a look afterwards the dangerous form is not sent."""
    server = EmptyingUnseen(PEOPLE, [group("g1", "u1", "u2")])
    _, _, fault = await ended(server, ANN)

    assert fault is not None
    assert fault.code == "members_unseen"
    assert server.members() == ["u1", "u2"]


@pytest.mark.parametrize("looks", [1, 2])
async def test_the_look_afterwards_is_made_twice(looks: int) -> None:
    """Nothing else would tell; if it cannot be made, a person is told."""

    class Failing(ByValue):
        failures = looks

        def get_group(self, group_id: str) -> Answer:
            if "u1" not in self.members() and self.failures:
                self.failures -= 1
                return error(503)
            return super().get_group(group_id)

    _, actions, fault = await ended(Failing(PEOPLE, [group("g1", "u1", "u2")]), ANN)

    assert (fault is None) == (looks == 1)
    assert fault is None or (fault.code == "colleagues_unseen.g1" and not fault.is_transient)
    assert [action.access.ref for action in actions] == ["u1", "g1"]


@pytest.mark.parametrize(("status", "version"), [(412, 'W/"7"'), (428, 'W/"7"'), (428, "*")])
async def test_a_group_is_left_in_the_version_that_it_has(status: int, version: str) -> None:
    """A server that takes changes of a named version only is told the one that it shows, or any."""

    class Versioned(OddScim):
        def show_group(self, one: Thing, *, alone: bool) -> Thing:
            return {**one, "meta": {"version": version}} if version != "*" else one

        def refuses(self, request: httpx.Request) -> Answer | None:
            is_change = request.method == "PATCH" and "/Groups/" in request.url.path
            return (
                error(status) if is_change and request.headers.get("if-match") != version else None
            )

    server = Versioned(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members() == ["u2"]


async def test_one_group_that_refuses_keeps_no_other() -> None:
    """The others are left, and the fault says what was done."""

    class OneRefuses(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            return error(403) if group_id == "g0" else super().patch_group(group_id, body)

    server = OneRefuses(PEOPLE, [group(f"g{n}", "u1", "u2") for n in range(4)])
    seen, actions, fault = await ended(server, ANN)

    assert fault is not None
    assert fault.category is FaultCategory.PERMISSION_MISSING
    assert {action.access.ref for action in actions} == {"u1", "g1", "g2", "g3"}
    assert [way.ref for way in seen.standing] == ["g0"]


async def test_a_path_that_does_nothing_is_followed_by_the_other_form() -> None:
    """Accepted and still a member: the second time it is looked at, and the value is sent."""

    class InVain(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            if body["Operations"][0]["path"] != "members":
                return 204, None
            return super().patch_group(group_id, body)

    server = InVain(PEOPLE, [group("g1", "u1", "u2")])
    async with connected(server) as connector:
        first, _, _ = await end(connector, ANN)
        second, _, _ = await end(connector, ANN)

    assert not first.is_closed
    assert second.is_closed
    assert server.members() == ["u2"]


@pytest.mark.parametrize("status", [404, 500])
async def test_a_group_that_lets_go_and_says_no_is_left(status: int) -> None:
    """The read-back decides, not the answer."""

    class SaysNo(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            super().patch_group(group_id, body)
            return error(status)

    server = SaysNo(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ANN)

    assert seen.is_closed
    assert fault is None or fault.is_transient


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

    class Refusing(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            return answer

    server = Refusing(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ANN)

    assert fault is not None
    assert (fault.category, fault.operation) == (category, "groups.remove_member")
    assert [way.ref for way in seen.standing] == ["g1"]
    assert not [write for write in server.writes if write.startswith("PUT")]


async def test_no_target_is_left_already() -> None:
    """RFC 7644: a path that selects nobody; the read-back decides."""

    class NoTarget(OddScim):
        def patch_group(self, group_id: str, body: Thing) -> Answer:
            super().patch_group(group_id, body)
            return error(400, "noTarget")

    seen, actions, fault = await ended(NoTarget(PEOPLE, [group("g1", "u1", "u2")]), ANN)

    assert fault is None
    assert seen.is_closed
    assert len(actions) == 1


async def test_an_old_snapshot_yields_nothing_twice() -> None:
    """What is left already is no action."""
    server = OddScim(PEOPLE, [group("g1", "u1", "u2")])
    old = Observation("u1", exists=True, standing=(Access(AccessKind.GROUP, "g1"),))
    async with connected(server) as connector:
        first = await connector.strip(ANN, old, Transcript())
        second = await connector.strip(ANN, old, Transcript())

    assert [action.access.ref for action in first] == ["g1"]
    assert second == ()
