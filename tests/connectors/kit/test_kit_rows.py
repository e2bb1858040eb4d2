"""The rows of the kit, against a small scripted vendor: calls, sign-in, holdings, residuals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.auth.ways import Basic, ClientCredentials, Header, bearer, choose
from connectors.kit.calls import Call, Listed, Wire, fill
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.options import Values, read_options
from connectors.kit.pages import Shape
from connectors.kit.residuals import Outlives, shown
from connectors.kit.rest import RestConnector, manifest_of
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Category,
    Observation,
    Residual,
)
from lockstep.domain.systems.faults import FaultCategory

KEY = options.secret("key", "a key")
NAME = options.secret("name", "a name")
WORD = options.secret("word", "a password")
BASE = options.address("base_url", "where", default="https://vendor.example.test")
HARD = options.choice("how", "which way", ("softly", "hard"))
BOUND = options.bound("bound", "how long")

SESSION, KEYS, TEAM = (
    Access(AccessKind.SESSION, "s1"),
    Access(AccessKind.SECRET, "k1"),
    Access(AccessKind.GROUP, "t1"),
)


def listed(area: str) -> Listed:
    call = Call("GET", f"/{area}", f"{area}.list", area, {"of": "{id}"})
    return Listed(call, shape=Shape(at=(area,)))


def holding(area: str, kind: AccessKind, **more: Any) -> Holding:
    close = Close((Call("DELETE", f"/{area}/{{ref}}", f"{area}.delete", area),))
    return Holding(listed(area), {kind: always}, close, owner="owner", **more)


SPEC = RestSpec(
    kind="club",
    title="Club",
    category=Category.SAAS,
    options=(BASE, KEY, HARD, BOUND),
    base_url=BASE,
    auth=(bearer(KEY),),
    wire=Wire(Dialect("club"), effect_ok=frozenset({204}), missing=("see {needs}", "do {needs}")),
    record=Record(
        Call("GET", "/people/{id}", "people.get", "people"), (KeyAt(KeyKind.EMAIL, ("email",)),)
    ),
    finding=Finding(
        Listed(Call("GET", "/people", "people.list", "people"), shape=Shape(at=("people",))),
        {KeyKind.EMAIL: ("email",)},
    ),
    sign_in=SignIn(
        (Door(("active",), shut=False),),
        Close(
            option=HARD,
            by_word={
                "softly": (Call("POST", "/people/{id}/block", "people.block", "people"),),
                "hard": (Call("DELETE", "/people/{id}", "people.delete", "people"),),
            },
        ),
        guards=(Guard(("role",), "owner"),),
        takes_all=frozenset({"hard"}),
    ),
    # Not in the order in which they must be closed.
    holdings=(
        holding("teams", AccessKind.GROUP),
        holding("keys", AccessKind.SECRET, again=True, leaves={"apps": lambda key: key["app"]}),
        holding("sessions", AccessKind.SESSION),
    ),
    outlives=(Outlives("cache", BOUND), Outlives("apps", of_things=True)),
    permissions=("all",),
    lacking=("Lacks {missing}.", "Give {missing}."),
    proves="a made-up vendor",
)


class Club:
    """The vendor: one person, and what it holds; remembers every change."""

    def __init__(self) -> None:
        self.person: dict[str, Any] | None = {"id": "p1", "email": "a@x.test", "active": True}
        own = {"owner": "p1", "app": False}
        self.lists = {
            "teams": [{"id": "t1", **own}],
            "keys": [{"id": "k1", **own}],
            "sessions": [{"id": "s1", **own}],
        }
        self.changes: list[str] = []
        self.refused: dict[str, int] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        said = f"{request.method} {request.url.path}"
        if said in self.refused:
            return httpx.Response(self.refused[said], json={})
        if request.method != "GET":
            self.changes.append(said)
            return httpx.Response(204)
        area = request.url.path.split("/")[1]
        if area == "people" and request.url.path != "/people":
            status = 404 if self.person is None else 200
            return httpx.Response(status, json=self.person or {})
        return httpx.Response(200, json={area: self.lists.get(area, [self.person])})

    def connector(self, spec: RestSpec = SPEC, **settings: object) -> RestConnector:
        given = ConnectorOptions("club-test", settings, {"key": "synthetic"})
        return RestConnector(spec, given, transport=httpx.MockTransport(self))


ACCOUNT = Account("p1", locator="a@x.test")


@pytest.fixture
def club() -> Club:
    return Club()


async def seen(connector: RestConnector) -> Observation:
    return await connector.read_back(ACCOUNT, Transcript())


async def fault_of(work: Any) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await work
    return caught.value


# Holdings


async def test_everything_is_closed_in_the_order_of_its_kind(club: Club) -> None:
    """However the rows stand: sessions, then keys, then teams; the front door before all."""
    connector = club.connector()
    before = await seen(connector)
    contained = await connector.contain(ACCOUNT, before, Transcript())
    done = await connector.strip(ACCOUNT, before, Transcript())

    assert before.standing == (Access(AccessKind.SIGN_IN, "p1"), SESSION, KEYS, TEAM)
    assert club.changes == [
        "POST /people/p1/block",
        "DELETE /sessions/s1",
        "DELETE /keys/k1",
        "DELETE /teams/t1",
    ]
    assert [action.access for action in (*contained, *done)] == list(before.standing)


@pytest.mark.parametrize("area", ["teams", "keys", "sessions"])
async def test_a_list_that_cannot_be_read_is_unread_and_hides_no_other(
    club: Club, area: str
) -> None:
    """The row's own kind is unread with its reason and permission; the others are told."""
    club.refused[f"GET /{area}"] = 403
    observed = await seen(club.connector())

    [row] = observed.unread
    assert (row.operation, row.missing) == (f"{area}.list", f"see {area}")
    assert row.category is FaultCategory.PERMISSION_MISSING
    assert len(observed.standing) == 3
    assert not observed.is_closed


async def test_a_strangers_thing_makes_the_list_unread(club: Club) -> None:
    """A filter that was not heeded is noticed before anything is closed."""
    club.lists["sessions"].append({"id": "s2", "owner": "p2"})
    observed = await seen(club.connector())

    assert [(row.kind, row.code) for row in observed.unread] == [
        (AccessKind.SESSION, "other_owner")
    ]


async def test_one_refusal_keeps_nothing_else_open(club: Club) -> None:
    """What comes after is closed all the same, and the fault carries it."""
    club.refused["DELETE /sessions/s1"] = 403
    connector = club.connector()
    fault = await fault_of(connector.strip(ACCOUNT, await seen(connector), Transcript()))

    assert [action.access for action in fault.actions] == [KEYS, TEAM]
    assert fault.missing == "do sessions"


async def test_what_was_closed_since_is_not_closed_again(club: Club) -> None:
    """A row that is looked at again sends nothing for a thing that is gone."""
    connector = club.connector()
    before = await seen(connector)
    club.lists["keys"].clear()
    await connector.strip(ACCOUNT, before, Transcript())

    assert "DELETE /keys/k1" not in club.changes


async def test_what_stood_in_a_list_that_is_lost_is_neither_closed_nor_gone(club: Club) -> None:
    """The strip fails with the reason, after the rest was closed."""
    connector = club.connector()
    before = await seen(connector)
    club.refused["GET /keys"] = 500
    fault = await fault_of(connector.strip(ACCOUNT, before, Transcript()))

    assert fault.operation == "keys.list"
    assert [action.access for action in fault.actions] == [SESSION, TEAM]


async def test_a_kind_in_two_lists_is_closed_by_the_call_of_its_list(club: Club) -> None:
    """What a snapshot calls a secret may be a key or a token: the lists are asked which."""
    club.lists["tokens"] = [{"id": "x1", "owner": "p1"}]
    tokens = holding("tokens", AccessKind.SECRET)
    connector = club.connector(replace(SPEC, holdings=(*SPEC.holdings, tokens)))
    await connector.strip(ACCOUNT, await seen(connector), Transcript())

    assert {"DELETE /keys/k1", "DELETE /tokens/x1"} <= set(club.changes)
    assert "DELETE /keys/x1" not in club.changes


async def test_a_list_by_a_name_that_changed_is_asked_for_anew(club: Club) -> None:
    """What the old name's list shows is another's by now; the other lists are kept as they were."""
    assert club.person is not None
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/devices":
            return club(request)
        asked.append(request.url.params["user"])
        devices = {"a@x.test": [{"id": "old", "tag": 1}], "new@x.test": [{"id": "d1", "tag": 0}]}
        return httpx.Response(200, json={"devices": devices[asked[-1]]})

    call = Call("GET", "/devices", "devices.list", "devices", {"user": "{locator}"})
    devices = Holding(
        Listed(call, shape=Shape(at=("devices",))),
        {AccessKind.DEVICE: always},
        Close(),
        leaves={"apps": lambda device: bool(device["tag"])},
    )
    club.person["email"] = "new@x.test"
    club.person["active"] = False
    club.refused["GET /teams"] = 503
    spec = replace(SPEC, holdings=(*SPEC.holdings, devices), things_outlive_it=True)
    given = ConnectorOptions("club-test", {}, {"key": "synthetic"})
    observed = await seen(RestConnector(spec, given, transport=httpx.MockTransport(answer)))

    assert asked == ["a@x.test", "new@x.test"]
    assert observed.standing == (SESSION, KEYS, Access(AccessKind.DEVICE, "d1"))
    assert [row.operation for row in observed.unread] == ["teams.list"]
    assert [each.what for each in observed.residuals] == ["cache"]


async def test_nothing_is_read_where_nothing_is_left_to_strip(club: Club) -> None:
    """A closed account costs no call."""
    transcript = Transcript()
    before = Observation("p1", exists=True, standing=(Access(AccessKind.SIGN_IN, "p1"),))

    assert await club.connector().strip(ACCOUNT, before, transcript) == ()
    assert transcript.exchanges == []


async def test_things_of_an_account_that_is_gone_are_looked_for_where_they_outlive_it(
    club: Club,
) -> None:
    """Unless the vendor takes them along, a key may stand after its maker."""
    club.person = None
    gone = await seen(club.connector())
    left = await seen(club.connector(replace(SPEC, things_outlive_it=True)))

    assert (gone.exists, gone.standing) == (False, ())
    assert (left.exists, left.standing) == (False, (SESSION, KEYS, TEAM))


# Sign-in


@pytest.mark.parametrize("said", [True, None, 0, "false", ""])
async def test_only_what_is_said_to_be_shut_is_shut(club: Club, said: object) -> None:
    """An odd or missing field is an open door."""
    assert club.person is not None
    club.person["active"] = said
    assert (await club.connector().look(ACCOUNT, Transcript())).signs_in


async def test_a_guard_needs_a_person(club: Club) -> None:
    """Nothing is sent for an account that the vendor lets nobody block."""
    assert club.person is not None
    club.person["role"] = "owner"
    connector = club.connector()
    fault = await fault_of(connector.contain(ACCOUNT, await seen(connector), Transcript()))

    assert fault.category is FaultCategory.PROTECTED_ACCOUNT
    assert club.changes == []


async def test_the_settings_choose_the_write_and_what_it_takes_along(club: Club) -> None:
    """A deletion ends all that stood, and says so."""
    connector = club.connector(how="hard")
    before = await seen(connector)
    done = await connector.contain(ACCOUNT, before, Transcript())

    assert club.changes == ["DELETE /people/p1"]
    assert [action.access for action in done] == list(before.standing)


async def test_a_200_where_the_vendor_says_204_is_not_success(club: Club) -> None:
    """What is not documented as accepted is not taken for done."""
    club.refused["POST /people/p1/block"] = 200
    connector = club.connector()
    fault = await fault_of(connector.contain(ACCOUNT, await seen(connector), Transcript()))

    assert fault.category is FaultCategory.UNEXPECTED_ANSWER


# Residuals


@pytest.mark.parametrize(
    ("signs_in", "things", "bound", "expected"),
    [
        (True, {"apps"}, 60, ()),
        (False, set(), 60, (Residual("cache", 60),)),
        (False, {"apps"}, 60, (Residual("cache", 60), Residual("apps", None))),
        (False, {"apps"}, 0, (Residual("apps", None),)),
        (False, set(), "unknown", (Residual("cache", None),)),
    ],
)
def test_when_a_residual_is_told(
    signs_in: bool,  # noqa: FBT001 - a row of the table
    things: set[str],
    bound: object,
    expected: tuple[Residual, ...],
) -> None:
    """Once the door is shut; of things, while one is seen; never with a bound of 0."""
    values = read_options((BOUND,), ConnectorOptions("any", {"bound": bound}), kind="any")

    assert shown(SPEC.outlives, values, signs_in=signs_in, seen=things) == expected


async def test_a_thing_that_outlives_its_maker_is_told_and_not_closed(club: Club) -> None:
    """It is a residual, and no way in that a strip could close."""
    assert club.person is not None
    club.person["active"] = False
    club.lists["keys"][0]["app"] = True
    observed = await seen(club.connector())

    assert observed.standing == (SESSION, TEAM)
    assert [each.what for each in observed.residuals] == ["cache", "apps"]


# Calls


@pytest.mark.parametrize("account_id", ["", ".", ".."])
async def test_an_id_that_would_be_another_path_is_never_sent(club: Club, account_id: str) -> None:
    """It is refused before the call; nothing is concluded from a 404 of another address."""
    transcript = Transcript()
    fault = await fault_of(club.connector().look(Account(account_id), transcript))

    assert fault.code == "not_an_id"
    assert transcript.exchanges == []


async def test_an_id_is_quoted_in_a_path(club: Club) -> None:
    """A slash or a question mark in an id stays in its place."""
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(404)

    given = ConnectorOptions("club-test", {}, {"key": "synthetic"})
    connector = RestConnector(SPEC, given, transport=httpx.MockTransport(answer))
    await connector.look(Account("a/b?c"), Transcript())

    assert asked == [b"/people/a%2Fb%3Fc"]


async def test_ids_have_the_form_that_the_vendor_gives_them(club: Club) -> None:
    """Where it is known, another one is an error and not an absent account."""
    wire = replace(SPEC.wire, ids=re.compile("[0-9]+"))
    fault = await fault_of(club.connector(replace(SPEC, wire=wire)).look(ACCOUNT, Transcript()))

    assert fault.code == "not_an_id"


def test_words_fill_texts_at_any_depth() -> None:
    """Numbers, flags and nulls stay what they are."""
    body = {"of": ["{id}", 1, None], "on": False}

    assert fill(body, {"id": "p1"}) == {"of": ["p1", 1, None], "on": False}


async def test_another_persons_record_is_not_believed(club: Club) -> None:
    """The answer to a read by id must name that id."""
    assert club.person is not None
    club.person["id"] = "p2"
    fault = await fault_of(club.connector().look(ACCOUNT, Transcript()))

    assert fault.code == "other_user"


# Signing in


def values_of(**secrets: str) -> Values:
    rows = (KEY, NAME, WORD)
    return read_options(rows, ConnectorOptions("any", {}, secrets), kind="any")


@pytest.mark.parametrize(
    ("secrets", "headers"),
    [
        ({"key": "a-key-0"}, {"Authorization": "Token a-key-0"}),
        (
            {"name": "somebody", "word": "passed-on"},
            {"Authorization": "Basic c29tZWJvZHk6cGFzc2VkLW9u"},
        ),
    ],
)
def test_the_way_that_is_given_signs_in(secrets: dict[str, str], headers: dict[str, str]) -> None:
    """Each way puts the credential where the vendor wants it."""
    ways = (Header(KEY, "Token {}"), Basic(NAME, WORD))
    values = values_of(**secrets)
    signed_in = choose(ways, values).sign_in(values, "https://a.test", Dialect("any"))

    assert signed_in.headers == headers
    assert not any(secret in repr(signed_in) for secret in secrets.values())


@pytest.mark.parametrize(
    ("secrets", "named"),
    [
        ({}, "key"),
        ({"name": "n"}, "word"),
        ({"word": "w"}, "name"),
        ({"key": "k", "word": "w"}, "word"),
    ],
)
def test_exactly_one_way_is_given_whole(secrets: dict[str, str], named: str) -> None:
    """The option that is missing or too much is named."""
    with pytest.raises(ValueError, match=f"^{named}: .*give key or name and word"):
        choose((bearer(KEY), ClientCredentials(NAME, WORD)), values_of(**secrets))


# Health and manifest


async def test_health_names_what_is_missing_and_goes_on(club: Club) -> None:
    """Every list is tried; a refusal says what to do."""
    club.refused = {"GET /keys": 403, "GET /teams": 403}
    health = await club.connector().health(Transcript())

    assert [(one.code, one.summary, one.fix) for one in health.problems] == [
        ("permission_missing.see teams", "Lacks see teams.", "Give see teams."),
        ("permission_missing.see keys", "Lacks see keys.", "Give see keys."),
    ]


@pytest.mark.parametrize(("status", "reachable"), [(401, True), (503, True), (404, True)])
async def test_health_ends_where_nothing_more_can_be_learnt(
    club: Club,
    status: int,
    reachable: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """A passing trouble blocks: what could not be checked is not ready."""
    club.refused = {"GET /people": status}
    health = await club.connector().health(Transcript())

    assert health.reachable is reachable
    assert not health.is_ready
    assert len(health.problems) == 1


def test_the_manifest_is_the_specs() -> None:
    """What the registry knows of a vendor is made from its rows."""
    manifest = manifest_of(SPEC)
    build: Callable[..., Any] = manifest.build

    assert dict(manifest.residual_s) == {"cache": None, "apps": None}
    assert build(ConnectorOptions("s", {}, {"key": "k"})).kind == manifest.kind == "club"
    with pytest.raises(ValueError, match=r"^key: "):
        build(ConnectorOptions("s", {}))
