"""Groups at SCIM servers as they are: both sides, and any naming."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.kit import steps
from connectors.scim.members import may_be_cut
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
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

ANN = Account("u1")
PEOPLE = [person(), person("u2", "bob@example.test")]


def unread(seen: Observation) -> list[tuple[FaultCategory | None, str]]:
    assert {row.kind for row in seen.unread} <= {AccessKind.GROUP}
    return [(row.category, row.code) for row in seen.unread]


class NoMemberFilter(OddScim):
    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        return error(400, "invalidFilter") if wanted else super().list_groups(None, start, count)


class SilentFilter(OddScim):
    """A filter on members is answered 200, and finds nobody."""

    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        return self.listed([], start, count) if wanted else super().list_groups(None, start, count)


class IgnoredFilter(OddScim):
    def matching(self, things: list[Thing], wanted: str) -> list[Thing]:
        return things if wanted.startswith("members") else super().matching(things, wanted)


class NoAttributes(OddScim):
    """Refuses the parameter ``attributes``."""

    def refuses(self, request: httpx.Request) -> Answer | None:
        return error(400) if "attributes" in request.url.params else None


NAMED = {
    "id": ["u1", "u2"],
    "bare": None,
    "user name": ["ANN@example.test", "bob@example.test"],
    "$ref": [{"$ref": "https://x.test/v2/Users/u1"}, {"$ref": "../Users/u2"}],
    "ref as value": ["https://x.test/v2/Users/u1", "https://x.test/v2/Users/u2"],
}


@pytest.mark.parametrize("kind", [OddScim, NoMemberFilter, SilentFilter, IgnoredFilter])
@pytest.mark.parametrize("named", NAMED)
async def test_the_person_leaves_however_members_are_named(kind: type[OddScim], named: str) -> None:
    """By id, name in any case, ``$ref`` or bare string: the person goes, the colleague stays."""
    held = NAMED[named]
    one = group("g1", *held) if held else {"id": "g1", "members": ["u1", "u2"]}
    server = kind(PEOPLE, [one, group("g2", "u2")])

    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert len(server.members()) == 1
    assert [action.access.kind for action in actions] == [AccessKind.SIGN_IN, AccessKind.GROUP]


@pytest.mark.parametrize("kind", [OddScim, NoMemberFilter, NoAttributes])
async def test_ids_are_compared_as_text(kind: type[OddScim]) -> None:
    """A member 53 and a user "53", or the other way, are one."""
    people = [person(53), person("54", "bob@example.test")]
    server = kind(people, [group(7, 53, 54), group("8", "53", "54")])

    seen, _, fault = await ended(server, Account("53"))

    assert fault is None
    assert seen.is_closed
    assert server.members("7") == server.members("8") == ["54"]


async def test_a_group_within_a_group_is_nobody() -> None:
    """A member of type Group with the user's number is another thing, and stays."""
    inner = {"value": "53", "type": "Group"}
    people = [person(53), person("54", "bob@example.test")]
    server = OddScim(people, [group("7", inner, "54"), group("53", "54")])

    seen, _, fault = await ended(server, Account("53"))

    assert fault is None
    assert seen.is_closed
    assert server.members("7") == ["53", "54"]


async def test_a_name_that_is_anothers_id_is_not_the_persons() -> None:
    """The user name u2 does not make the person the user of that id."""
    people = [person(name="u2"), person("u2", "bob")]
    server = NoMemberFilter(people, [group("g1", "u2"), group("g2", "u1")])

    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert server.members() == ["u2"]
    assert server.members("g2") == []


class Hidden(OddScim):
    """Members are shown nowhere, and no filter finds them."""

    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return {**one, "members": []}

    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        return self.listed([], start, count) if wanted else super().list_groups(None, start, count)


class Absent(Hidden):
    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return {"id": one["id"]}


class OwnEmpty(Hidden):
    """The user's own ``groups`` is there, and always empty."""

    def show(self, user: Thing) -> Thing:
        return {**user, "groups": []}


class Cut(NoMemberFilter):
    """Only the first hundred members of a group are shown."""

    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return {**one, "members": one["members"][:100]}


class ClaimsMore(NoMemberFilter):
    def listed(self, things: list[Thing], start: int, count: int) -> Answer:
        status, body = super().listed(things, start, count)
        assert isinstance(body, dict)
        return status, {**body, "totalResults": len(things) + 1}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Hidden, "members_never_seen"),
        (Absent, "members_never_seen"),
        (OwnEmpty, "members_never_seen"),
        (Cut, "members_may_be_cut"),
        (ClaimsMore, "list_not_whole"),
    ],
)
async def test_what_is_never_seen_is_not_proved(kind: type[OddScim], code: str) -> None:
    """The sign-in is shut, and a person decides about groups that nobody shows us."""
    crowd = [f"x{n}" for n in range(150)] if kind is Cut else ["u2"]
    first = ["u2"] if kind is ClaimsMore else [*crowd, "u1"]
    server = kind(PEOPLE, [group("g1", *first)])

    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert not seen.is_closed
    assert not seen.signs_in
    assert unread(seen) == [(FaultCategory.UNEXPECTED_ANSWER, code)]
    assert [action.operation for action in actions] == ["users.deactivate"]


class CutAt20(NoMemberFilter):
    """Two groups that show twenty different people each, and hold more."""

    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return {**one, "members": one["members"][:20]}


async def test_several_groups_of_one_round_size_may_be_cut() -> None:
    """A cut that is not a usual one shows where several lists end at it; alike ones are no sign."""
    crowd = [f"x{n}" for n in range(25)]
    others = [f"y{n}" for n in range(25)]
    cut, _, _ = await ended(CutAt20(PEOPLE, [group("g1", *crowd, "u1"), group("g2", *others)]), ANN)
    alike, _, _ = await ended(
        NoMemberFilter(PEOPLE, [group("g1", *crowd[:20]), group("g2", *crowd[:20])]), ANN
    )

    assert unread(cut) == [(FaultCategory.UNEXPECTED_ANSWER, "members_may_be_cut")]
    assert alike.is_closed


class AsksBoth(Cut):
    """Takes a filter on the group and the member at once, and no other on members."""

    attribute = "members.value"

    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        both = re.fullmatch(
            rf'id eq "(.*)" and {re.escape(self.attribute)} eq "(.*)"', wanted or ""
        )
        if both is None:
            return super().list_groups(wanted, start, count)
        held = both[1] in self.groups and both[2] in self.members(both[1])
        return self.listed([self.groups[both[1]]] if held else [], start, count)


class AsksBothAsMember(AsksBoth):
    attribute = "members"


class AsksUsers(Cut):
    def list_users(self, wanted: str | None, start: int, count: int) -> Answer:
        both = re.fullmatch(r'id eq "(.*)" and groups.value eq "(.*)"', wanted or "")
        if both is None:
            return super().list_users(wanted, start, count)
        held = both[2] in self.groups and both[1] in self.members(both[2])
        return self.listed([{"id": both[1]}] if held else [], start, count)


class ShowsAllAlone(NoMemberFilter):
    """The list is cut, the group's own record is not."""

    def show_group(self, one: Thing, *, alone: bool) -> Thing:
        return one if alone else {**one, "members": one["members"][:100]}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        *((kind, size) for kind in (AsksBoth, AsksBothAsMember, AsksUsers) for size in (100, 130)),
        (ShowsAllAlone, 130),
    ],
)
async def test_a_group_of_a_hundred_asks_nobody_where_the_server_can_tell(
    kind: type[OddScim], number: int
) -> None:
    """A whole group of a round size is no alarm where a question is proved to see beyond it."""
    crowd = [f"x{n}" for n in range(number)]
    outside, _, _ = await ended(kind(PEOPLE, [group("g1", *crowd)]), ANN)
    server = kind(PEOPLE, [group("g1", *crowd, "u1")])
    inside, _, fault = await ended(server, ANN)

    assert outside.is_closed
    assert fault is None
    assert inside.is_closed
    assert "u1" not in server.members()


async def test_a_list_that_was_longer_before_is_not_cut() -> None:
    """Without the leaver the group has a round size; with the leaver the server showed more."""
    server = NoMemberFilter(PEOPLE, [group("g1", *(f"x{n}" for n in range(100)), "u1")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert len(server.members()) == 100


class SaysYesToAll(AsksBoth):
    """Ignores the member in the filter."""

    def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
        if wanted and " and " in wanted:
            return self.listed(list(self.groups.values()), start, count)
        return super().list_groups(wanted, start, count)


async def test_a_question_that_is_not_heeded_tells_nothing() -> None:
    """Who says yes to every member has not been asked: a person decides."""
    server = SaysYesToAll(PEOPLE, [group("g1", *(f"x{n}" for n in range(100)))])
    seen, _, _ = await ended(server, ANN)

    assert unread(seen) == [(FaultCategory.UNEXPECTED_ANSWER, "members_may_be_cut")]


class Own(Hidden):
    """Only the user's own record tells; by its spelling of the group."""

    def groups_of(self, user: Thing) -> list[object]:
        holds = [one for one in self.groups.values() if user["id"] in self.members(one["id"])]
        return [{"value": one["id"], "display": one["displayName"]} for one in holds]

    def show(self, user: Thing) -> Thing:
        return {**user, "groups": self.groups_of(user)}


class OwnByRef(Own):
    def groups_of(self, user: Thing) -> list[object]:
        return [{"$ref": f"../Groups/{one['value']}"} for one in super().groups_of(user)]  # type: ignore[index] - made above


class OwnUpper(Own):
    def show(self, user: Thing) -> Thing:
        return {**user, "Groups": [{"Value": one["value"]} for one in self.groups_of(user)]}  # type: ignore[index] - made above


@pytest.mark.parametrize("kind", [Own, OwnByRef, OwnUpper])
async def test_the_users_own_groups_count(kind: type[OddScim]) -> None:
    """Where members are hidden, what the user's record names stands, and is left."""
    server = kind(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u1")])

    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert (server.members(), server.members("g2")) == (["u2"], [])
    assert len(actions) == 3


async def test_both_sides_are_looked_at() -> None:
    """What only one side shows stands: here the user's record names a group that denies it."""

    class Disagreeing(OddScim):
        def show(self, user: Thing) -> Thing:
            return {**user, "groups": [{"value": "g2"}]}

    server = Disagreeing(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u2")])
    async with connected(server) as connector:
        seen = await connector.read_back(ANN, Transcript())

    assert {way.ref for way in seen.standing} == {"u1", "g1", "g2"}


async def test_a_group_through_another_one_is_left_with_that_one() -> None:
    """An indirect membership cannot be removed by itself, and is not tried."""

    class Nested(OddScim):
        def show(self, user: Thing) -> Thing:
            direct = "u1" in self.members()
            inner = {"value": "g1", "type": "direct"}
            outer = {"value": "g2", "type": "indirect"}
            return {**user, "groups": [inner, outer] if direct else []}

    server = Nested(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u2")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert server.writes == ["PATCH /v2/Users/u1", "PATCH /v2/Groups/g1"]


@pytest.mark.parametrize("shown", ["list", "alone"])
async def test_members_may_be_shown_in_one_place_only(shown: str) -> None:
    """A list without members is followed by the groups themselves; the other way needs no more."""

    class Half(NoMemberFilter):
        def show_group(self, one: Thing, *, alone: bool) -> Thing:
            return one if alone == (shown == "alone") else {**one, "members": []}

    server = Half(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members() == ["u2"]


@pytest.mark.parametrize("page", [None, HTML])
@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, FaultCategory.UNEXPECTED_ANSWER),
        (403, FaultCategory.PERMISSION_MISSING),
        (404, FaultCategory.MISCONFIGURED),
        (405, FaultCategory.MISCONFIGURED),
        (500, FaultCategory.VENDOR_ERROR),
        (501, FaultCategory.MISCONFIGURED),
        (200, FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_the_door_is_shut_whatever_groups_do(
    status: int, category: FaultCategory, page: str | None
) -> None:
    """The first write shuts the sign-in; groups stay open with their own fault."""

    class Broken(OddScim):
        def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
            return (status, page) if page else error(status)

    server = Broken(PEOPLE, [group("g1", "u1", "u2")])
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert not server.users["u1"]["active"]
    assert [row[0] for row in unread(seen)] == [category]
    assert [action.operation for action in actions] == ["users.deactivate"]
    before = server.calls[: [method for method, _, _ in server.calls].index("PATCH")]
    assert not [path for _, path, _ in before if "Groups" in path]


async def test_groups_that_hang_keep_no_door_open() -> None:
    """A list that does not answer in time is unread, and passes."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "Groups" in request.url.path:
            raise httpx.ReadTimeout("slow", request=request)
        return server.answer(request)

    server = OddScim(PEOPLE)
    async with connected(server) as connector:
        connector._client._http._transport = httpx.MockTransport(answer)
        seen, _, _ = await end(connector, ANN)

    assert unread(seen) == [(FaultCategory.TIMEOUT, "ReadTimeout")]
    assert not seen.signs_in


@pytest.mark.parametrize("missing", [error(404), (404, HTML), error(501)])
async def test_a_server_may_say_that_it_has_no_groups(missing: Answer) -> None:
    """Groups are optional in SCIM: /ResourceTypes says so, a missing list alone does not."""

    class NoGroups(OddScim):
        def types(self) -> Answer:
            return 200, {"totalResults": 1, "Resources": [{"id": "User", "name": "User"}]}

        def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
            return missing

    seen, _, _ = await ended(NoGroups(PEOPLE), ANN)
    async with connected(NoGroups(PEOPLE)) as connector:
        health = await connector.health(Transcript())

    assert seen.is_closed
    assert health.problems == ()


async def test_the_other_member_filter_is_tried() -> None:
    """A server that knows ``members`` only is searched by it."""

    class Other(OddScim):
        def list_groups(self, wanted: str | None, start: int, count: int) -> Answer:
            if wanted and wanted.startswith("members.value"):
                return error(400, "invalidFilter")
            return super().list_groups(wanted, start, count)

    server = Other(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert [query["filter"] for _, _, query in server.calls if "filter" in query][-1] == (
        'members eq "u1"'
    )


async def test_a_large_group_is_read() -> None:
    """A group of 50,000 is no fault of the vendor's, with a filter on members and without."""
    everybody = [
        {"value": f"x{n}", "$ref": f"https://x.test/v2/Users/x{n}", "display": f"Person {n} of all"}
        for n in range(50_000)
    ]
    server = NoMemberFilter(PEOPLE, [group("g1", *everybody, "u1"), group("g2", "u1", "u2")])
    async with connected(server) as connector:
        seen = await connector.read_back(ANN, Transcript())

    assert {way.ref for way in seen.standing} == {"u1", "g1", "g2"}
    assert seen.unread == ()


async def test_a_page_too_large_for_us_is_asked_for_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our bound is met by fewer groups per page, and named as ours where one group passes it."""
    monkeypatch.setattr("connectors.scim.pages.LONG_ANSWER_BYTES", 40_000)
    large = [group(f"g{n}", *(f"x{m}" for m in range(333)), "u1") for n in range(9)]
    async with connected(NoMemberFilter(PEOPLE, large)) as connector:
        seen = await connector.read_back(ANN, Transcript())
    async with connected(
        NoMemberFilter(PEOPLE, [group("g1", *(f"x{m}" for m in range(3333)))])
    ) as connector:
        too_large = await connector.read_back(ANN, Transcript())

    assert len(seen.standing) == 10
    assert unread(too_large) == [(FaultCategory.UNEXPECTED_ANSWER, "answer_too_large")]


async def test_a_usual_leaver_costs_few_calls() -> None:
    """Once a filter was proved, a whole revocation of two groups takes ten calls."""
    server = OddScim(
        [person("u0", "cay"), *PEOPLE], [group("g1", "u0", "u1", "u2"), group("g2", "u0", "u1")]
    )
    async with connected(server) as connector:
        await end(connector, Account("u0"))
        server.calls.clear()
        door = Observation("u1", exists=True, standing=(Access(AccessKind.SIGN_IN, "u1"),))
        await connector.contain(ANN, door, Transcript())
        inside = await connector.read_back(ANN, Transcript())
        await connector.strip(ANN, inside, Transcript())
        assert (await connector.read_back(ANN, Transcript())).is_closed

    assert len(server.calls) == 8


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        *((size, False) for size in (0, 1, 10, 15, 20, 25, 30, 40, 99, 101, 150, 1100, 50_000)),
        *((size, True) for size in (50, 100, 200, 250, 500, 1000, 10_000)),
    ],
)
def test_round_numbers_may_be_cut(*, size: int, cut: bool) -> None:
    """A list of exactly so many may be the start of a longer one; a team of ten is whole."""
    assert may_be_cut(size) is cut


async def test_health_says_that_members_are_not_seen() -> None:
    """Who sets a system up hears it before the first leaver."""
    async with connected(Hidden(PEOPLE, [group("g1", "u1")])) as connector:
        health = await connector.health(Transcript())

    assert health.is_ready
    assert [problem.code for problem in health.problems] == ["members_not_seen"]


async def test_health_proves_the_searches() -> None:
    """A filter that does not find is named, with what follows."""

    class Blind(OddScim):
        def matching(self, things: list[Any], wanted: str) -> list[Any]:
            return [] if wanted.startswith("emails") else super().matching(things, wanted)

    async with connected(Blind(PEOPLE), strip_groups=False) as connector:
        health = await connector.health(Transcript())

    assert health.is_ready
    [problem] = health.problems
    assert problem.code == "search_not_proved"
    assert "emails.value" in problem.summary


def test_a_fault_of_a_list_keeps_its_reason() -> None:
    """What could not be read says why, for the person who mends it."""
    told = ConnectorFault(
        FaultCategory.PERMISSION_MISSING,
        connector="scim",
        operation="groups.list",
        code="403",
        missing="read access to users and groups",
    )

    row = steps.unread(AccessKind.GROUP, told)

    assert (row.category, row.missing) == (told.category, told.missing)
