"""Groups at SCIM servers as they are: both sides, and any naming."""

from __future__ import annotations

import re

import httpx
import pytest

from connectors.base import Transcript
from connectors.scim.members import may_be_cut
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.scim.odd import (
    HTML,
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
UNEXPECTED = FaultCategory.UNEXPECTED_ANSWER
MAY_BE_CUT = [(UNEXPECTED, "members_may_be_cut")]


def unread(seen: Observation) -> list[tuple[FaultCategory | None, str]]:
    assert {row.kind for row in seen.unread} <= {AccessKind.GROUP}
    return [(row.category, row.code) for row in seen.unread]


def crowd(number: int, letter: str = "x") -> list[str]:
    return [f"{letter}{n}" for n in range(number)]


async def read_back(server: OddScim) -> Observation:
    async with connected(server) as connector:
        return await connector.read_back(ANN, Transcript())


def no_filter(self: OddScim, wanted: str | None, start: int, count: int) -> Answer:
    if wanted:
        return error(400, "invalidFilter")
    return OddScim.list_groups(self, None, start, count)


def finds_nobody(self: OddScim, wanted: str | None, start: int, count: int) -> Answer:
    """A filter on members is answered 200, and finds nobody."""
    if wanted:
        return self.listed([], start, count)
    return OddScim.list_groups(self, None, start, count)


def only_first(most: int) -> Base:
    """The start of a group's members is shown, and no filter taken."""
    return odd(NO_FILTER, show_group=lambda _, one, **__: {**one, "members": one["members"][:most]})


NO_FILTER = odd(list_groups=no_filter)
FILTERS = {
    "that finds": OddScim,
    "that is refused": NO_FILTER,
    "that finds nobody": odd(list_groups=finds_nobody),
    "that is ignored": odd(
        matching=lambda self, things, wanted: (
            things if wanted.startswith("members") else OddScim.matching(self, things, wanted)
        )
    ),
    "that takes no attributes": odd(
        refuses=lambda _, request: error(400) if "attributes" in request.url.params else None
    ),
}
NAMED = {
    "id": ["u1", "u2"],
    "bare": None,
    "user name": ["ANN@example.test", "bob@example.test"],
    "$ref": [{"$ref": "https://x.test/v2/Users/u1"}, {"$ref": "../Users/u2"}],
    "ref as value": ["https://x.test/v2/Users/u1", "https://x.test/v2/Users/u2"],
}


@pytest.mark.parametrize("kind", [name for name in FILTERS if name != "that takes no attributes"])
@pytest.mark.parametrize("named", NAMED)
async def test_the_person_leaves_however_members_are_named(kind: str, named: str) -> None:
    """By id, name in any case, ``$ref`` or bare string: the person goes, the colleague stays."""
    held = NAMED[named]
    one = group("g1", *held) if held else {"id": "g1", "members": ["u1", "u2"]}
    server = FILTERS[kind](PEOPLE, [one, group("g2", "u2")])
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert len(server.members()) == 1
    assert [action.access.kind for action in actions] == [AccessKind.SIGN_IN, AccessKind.GROUP]


@pytest.mark.parametrize("kind", ["that finds", "that is refused", "that takes no attributes"])
async def test_ids_are_compared_as_text(kind: str) -> None:
    """A member 53 and a user "53", or the other way, are one."""
    people = [person(53), person("54", "bob@example.test")]
    server = FILTERS[kind](people, [group(7, 53, 54), group("8", "53", "54")])
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
    server = NO_FILTER(people, [group("g1", "u2"), group("g2", "u1")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert (server.members(), server.members("g2")) == (["u2"], [])


def claims_more(self: OddScim, things: list[Thing], start: int, count: int) -> Answer:
    status, body = OddScim.listed(self, things, start, count)
    assert isinstance(body, dict)
    return status, {**body, "totalResults": len(things) + 1}


HIDDEN = odd(list_groups=finds_nobody, show_group=lambda _, one, **__: {**one, "members": []})
UNSEEN = {
    "members are empty": (HIDDEN, ["u2", "u1"], "members_never_seen"),
    "members are not there": (
        odd(HIDDEN, show_group=lambda _, one, **__: {"id": one["id"]}),
        ["u2", "u1"],
        "members_never_seen",
    ),
    "the user's own groups are empty too": (
        odd(HIDDEN, show=lambda _, user: {**user, "groups": []}),
        ["u2", "u1"],
        "members_never_seen",
    ),
    "members are cut": (only_first(100), [*crowd(150), "u1"], "members_may_be_cut"),
    "groups are kept back": (odd(NO_FILTER, listed=claims_more), ["u2"], "list_not_whole"),
}


@pytest.mark.parametrize("kind", UNSEEN)
async def test_what_is_never_seen_is_not_proved(kind: str) -> None:
    """The sign-in is shut, and a person decides about groups that nobody shows us."""
    made, members, code = UNSEEN[kind]
    seen, actions, fault = await ended(made(PEOPLE, [group("g1", *members)]), ANN)

    assert fault is None
    assert not seen.is_closed
    assert not seen.signs_in
    assert unread(seen) == [(UNEXPECTED, code)]
    assert [action.operation for action in actions] == ["users.deactivate"]


async def test_several_groups_of_one_round_size_may_be_cut() -> None:
    """A cut that is not a usual one shows where several lists end at it; alike ones are no sign."""
    several = [group("g1", *crowd(25), "u1"), group("g2", *crowd(25, "y"))]
    alike = [group("g1", *crowd(20)), group("g2", *crowd(20))]

    assert unread((await ended(only_first(20)(PEOPLE, several), ANN))[0]) == MAY_BE_CUT
    assert (await ended(NO_FILTER(PEOPLE, alike), ANN))[0].is_closed


def asks_both(attribute: str, *, heeds: bool = True) -> Base:
    """Takes a filter on the group and the member at once, and no other on members."""
    base = only_first(100)

    def answered(self: OddScim, wanted: str | None, start: int, count: int) -> Answer | None:
        both = re.fullmatch(rf'id eq "(.*)" and {re.escape(attribute)} eq "(.*)"', wanted or "")
        if both is None:
            return None
        one, other = both[1], both[2]
        held, member = (other, one) if attribute == "groups.value" else (one, other)
        holds = not heeds or (held in self.groups and member in self.members(held))
        return self.listed([{"id": one}] if holds else [], start, count)

    def list_groups(self: OddScim, wanted: str | None, start: int, count: int) -> Answer:
        return answered(self, wanted, start, count) or no_filter(self, wanted, start, count)

    def list_users(self: OddScim, wanted: str | None, start: int, count: int) -> Answer:
        return answered(self, wanted, start, count) or OddScim.list_users(
            self, wanted, start, count
        )

    if attribute == "groups.value":
        return odd(base, list_users=list_users)
    return odd(base, list_groups=list_groups)


# The list is cut, the group's own record is not.
SHOWS_ALL_ALONE = odd(
    NO_FILTER,
    show_group=lambda _, one, *, alone: one if alone else {**one, "members": one["members"][:100]},
)
TELLING = {
    **{name: asks_both(name) for name in ("members.value", "members", "groups.value")},
    "alone": SHOWS_ALL_ALONE,
}


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, size) for kind in TELLING for size in (100, 130) if (kind, size) != ("alone", 100)],
)
async def test_a_group_of_a_hundred_asks_nobody_where_the_server_can_tell(
    kind: str, number: int
) -> None:
    """A whole group of a round size is no alarm where a question is proved to see beyond it."""
    outside, _, _ = await ended(TELLING[kind](PEOPLE, [group("g1", *crowd(number))]), ANN)
    server = TELLING[kind](PEOPLE, [group("g1", *crowd(number), "u1")])
    inside, _, fault = await ended(server, ANN)

    assert outside.is_closed
    assert fault is None
    assert inside.is_closed
    assert "u1" not in server.members()


async def test_a_question_that_is_not_heeded_tells_nothing() -> None:
    """Who says yes to every member has not been asked: a person decides."""
    yes_to_all = asks_both("members.value", heeds=False)
    seen, _, _ = await ended(yes_to_all(PEOPLE, [group("g1", *crowd(100))]), ANN)

    assert unread(seen) == MAY_BE_CUT


async def test_a_list_that_was_longer_before_is_not_cut() -> None:
    """Without the leaver the group has a round size; with the leaver the server showed more."""
    server = NO_FILTER(PEOPLE, [group("g1", *crowd(100), "u1")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert len(server.members()) == 100


def groups_of(self: OddScim, user: Thing) -> list[str]:
    return [str(one) for one in self.groups if user["id"] in self.members(str(one))]


OWN = {
    "value": lambda self, user: {
        **user,
        "groups": [{"value": one, "display": "a group"} for one in groups_of(self, user)],
    },
    "$ref": lambda self, user: {
        **user,
        "groups": [{"$ref": f"../Groups/{one}"} for one in groups_of(self, user)],
    },
    "in another case": lambda self, user: {
        **user,
        "Groups": [{"Value": one} for one in groups_of(self, user)],
    },
}


@pytest.mark.parametrize("spelled", OWN)
async def test_the_users_own_groups_count(spelled: str) -> None:
    """Where members are hidden, what the user's record names stands, and is left."""
    own = odd(HIDDEN, show=OWN[spelled])
    server = own(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u1")])
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert (server.members(), server.members("g2")) == (["u2"], [])
    assert len(actions) == 3


async def test_both_sides_are_looked_at() -> None:
    """What only one side shows stands: here the user's record names a group that denies it."""
    disagreeing = odd(show=lambda _, user: {**user, "groups": [{"value": "g2"}]})
    seen = await read_back(disagreeing(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u2")]))

    assert {way.ref for way in seen.standing} == {"u1", "g1", "g2"}


async def test_a_group_through_another_one_is_left_with_that_one() -> None:
    """An indirect membership cannot be removed by itself, and is not tried."""
    both = [{"value": "g1", "type": "direct"}, {"value": "g2", "type": "indirect"}]
    nested = odd(show=lambda self, user: {**user, "groups": both if "u1" in self.members() else []})
    server = nested(PEOPLE, [group("g1", "u1", "u2"), group("g2", "u2")])
    seen, _, _ = await ended(server, ANN)

    assert seen.is_closed
    assert server.writes == ["PATCH /v2/Users/u1", "PATCH /v2/Groups/g1"]


@pytest.mark.parametrize("shown", ["list", "alone"])
async def test_members_may_be_shown_in_one_place_only(shown: str) -> None:
    """A list without members is followed by the groups themselves; the other way needs no more."""
    half = odd(
        NO_FILTER,
        show_group=lambda _, one, *, alone: (
            one if alone == (shown == "alone") else {**one, "members": []}
        ),
    )
    server = half(PEOPLE, [group("g1", "u1", "u2")])
    seen, _, fault = await ended(server, ANN)

    assert fault is None
    assert seen.is_closed
    assert server.members() == ["u2"]


@pytest.mark.parametrize("page", [None, HTML])
@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, UNEXPECTED),
        (403, FaultCategory.PERMISSION_MISSING),
        (404, FaultCategory.MISCONFIGURED),
        (405, FaultCategory.MISCONFIGURED),
        (500, FaultCategory.VENDOR_ERROR),
        (501, FaultCategory.MISCONFIGURED),
        (200, UNEXPECTED),
    ],
)
async def test_the_door_is_shut_whatever_groups_do(
    status: int, category: FaultCategory, page: str | None
) -> None:
    """The first write shuts the sign-in; groups stay open with their own fault."""
    broken = odd(list_groups=lambda *_: (status, page) if page else error(status))
    server = broken(PEOPLE, [group("g1", "u1", "u2")])
    seen, actions, fault = await ended(server, ANN)

    assert fault is None
    assert not server.users["u1"]["active"]
    assert [row[0] for row in unread(seen)] == [category]
    assert [action.operation for action in actions] == ["users.deactivate"]
    before = server.calls[: [method for method, _, _ in server.calls].index("PATCH")]
    assert not [path for _, path, _ in before if "Groups" in path]


async def test_groups_that_hang_keep_no_door_open() -> None:
    """A list that does not answer in time is unread, and passes."""
    server = OddScim(PEOPLE)

    def hangs(request: httpx.Request) -> httpx.Response:
        if "Groups" in request.url.path:
            raise httpx.ReadTimeout("slow", request=request)
        return server.answer(request)

    async with connected(server, through=hangs) as connector:
        seen, _, _ = await end(connector, ANN)

    assert unread(seen) == [(FaultCategory.TIMEOUT, "ReadTimeout")]
    assert not seen.signs_in


@pytest.mark.parametrize("missing", [error(404), (404, HTML), error(501)])
async def test_a_server_may_say_that_it_has_no_groups(missing: Answer) -> None:
    """Groups are optional in SCIM: /ResourceTypes says so, a missing list alone does not."""
    types = {"totalResults": 1, "Resources": [{"id": "User", "name": "User"}]}
    no_groups = odd(types=lambda _: (200, types), list_groups=lambda *_: missing)
    seen, _, _ = await ended(no_groups(PEOPLE), ANN)
    async with connected(no_groups(PEOPLE)) as connector:
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
    filters = [query["filter"] for _, _, query in server.calls if "filter" in query]

    assert seen.is_closed
    assert filters[-1] == 'members eq "u1"'


async def test_a_large_group_is_read() -> None:
    """A group of 50,000 is no fault of the vendor's, with a filter on members and without."""
    everybody = [
        {"value": f"x{n}", "$ref": f"https://x.test/v2/Users/x{n}", "display": f"Person {n} of all"}
        for n in range(50_000)
    ]
    seen = await read_back(
        NO_FILTER(PEOPLE, [group("g1", *everybody, "u1"), group("g2", "u1", "u2")])
    )

    assert {way.ref for way in seen.standing} == {"u1", "g1", "g2"}
    assert seen.unread == ()


async def test_a_page_too_large_for_us_is_asked_for_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our bound is met by fewer groups per page, and named as ours where one group passes it."""
    monkeypatch.setattr("connectors.scim.pages.LONG_ANSWER_BYTES", 40_000)
    large = [group(f"g{n}", *(f"x{m}" for m in range(333)), "u1") for n in range(9)]
    seen = await read_back(NO_FILTER(PEOPLE, large))
    too_large = await read_back(NO_FILTER(PEOPLE, [group("g1", *crowd(3333))]))

    assert len(seen.standing) == 10
    assert unread(too_large) == [(UNEXPECTED, "answer_too_large")]


async def test_a_usual_leaver_costs_few_calls() -> None:
    """Once a filter was proved, a whole revocation of two groups takes eight calls."""
    server = OddScim(
        [person("u0", "cay"), *PEOPLE], [group("g1", "u0", "u1", "u2"), group("g2", "u0", "u1")]
    )
    door = Observation("u1", exists=True, standing=(Access(AccessKind.SIGN_IN, "u1"),))
    async with connected(server) as connector:
        await end(connector, Account("u0"))
        server.calls.clear()
        await connector.contain(ANN, door, Transcript())
        inside = await connector.read_back(ANN, Transcript())
        await connector.strip(ANN, inside, Transcript())
        assert (await connector.read_back(ANN, Transcript())).is_closed

    assert len(server.calls) == 8


def test_round_numbers_may_be_cut() -> None:
    """A list of exactly so many may be the start of a longer one; a team of ten is whole."""
    cut = (50, 100, 200, 250, 500, 1000, 10_000)
    whole = (0, 1, 10, 15, 20, 25, 30, 40, 99, 101, 150, 1100, 50_000)

    assert [size for size in sorted((*cut, *whole)) if may_be_cut(size)] == list(cut)


BLIND_FOR_ADDRESSES = odd(
    matching=lambda self, things, wanted: (
        [] if wanted.startswith("emails") else OddScim.matching(self, things, wanted)
    )
)


@pytest.mark.parametrize(
    ("server", "groups", "code", "named"),
    [
        (HIDDEN(PEOPLE, [group("g1", "u1")]), True, "members_not_seen", "member"),
        (BLIND_FOR_ADDRESSES(PEOPLE), False, "search_not_proved", "emails.value"),
    ],
    ids=["members", "searches"],
)
async def test_health_says_what_cannot_be_proved(
    server: OddScim, groups: object, code: str, named: str
) -> None:
    """Who sets a system up hears it before the first leaver; it limits, and blocks nothing."""
    async with connected(server, strip_groups=groups) as connector:
        health = await connector.health(Transcript())

    assert health.is_ready
    assert [problem.code for problem in health.problems] == [code]
    assert named in health.problems[0].summary
