"""The generic SCIM connector: finding, health, options, the read-back, and the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from connectors.base import Connector, ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.steps import attempt
from connectors.scim.connector import ScimConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, ProblemSeverity, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.dialogue import Turn
from tests.connectors.revoking import revoke
from tests.connectors.scim.harness import ScimHarness
from tests.connectors.scim.harness import harness as scim_server
from tests.connectors.scim.script import (
    ACCOUNT,
    CONFIG,
    EMPLOYEE,
    ENTERPRISE,
    ERROR,
    FIRST_PAGE,
    SIGN_IN,
    keys,
    listed,
    reads,
    search,
    talking,
    user,
)

MADE = {"created": "2020-01-02T03:04:05Z"}


async def test_filter_values_are_json_strings() -> None:
    """A quote or a backslash in a name stays inside the filter's string."""
    name = 'o"brien\\'
    async with talking(
        CONFIG, search(r'userName eq "o\"brien\\"', answer=listed(user(userName=name)))
    ) as connector:
        location = await connector.locate(keys(username=name), Transcript())

    assert location.matches[0].account.id == "u1"


async def test_one_accepted_attribute_is_enough() -> None:
    """Nobody is listed once the person is found; what was refused is not called proved."""
    refused = {**ERROR, "scimType": "invalidFilter"}
    async with talking(
        CONFIG,
        search('externalId eq "w1"', 400, refused),
        search(f'{EMPLOYEE} eq "w1"', 400, refused),
        search('userName eq "Ann"', answer=listed(user())),
        search('emails.value eq "ann@example.test"', 501),
        search('userName eq "ann@example.test"', answer=listed()),
    ) as connector:
        location = await connector.locate(
            keys(worker_id="w1", username="Ann", email="ann@example.test"), Transcript()
        )

    assert [match.found_by for match in location.matches] == [KeyKind.USERNAME]
    assert [search.proof for search in location.searches] == [
        Proof.UNPROVED,
        Proof.PROVED,
        Proof.UNPROVED,
    ]


async def test_the_search_spares_the_first_look() -> None:
    """What the answer says of the sign-in is told, and that nobody has read the groups yet."""
    found = search('userName eq "ann"', answer=listed(user(displayName="Ann Lee", meta=MADE)))
    off = search('userName eq "ann"', answer=listed(user(active=False)))
    silent = search('userName eq "ann"', answer=listed({"id": "u1", "userName": "ann"}))
    async with talking(CONFIG, found, off, silent, strip_groups=True) as connector:
        told = [await connector.locate(keys(username="ann"), Transcript()) for _ in range(3)]

    on, inactive, unsaid = (location.matches[0] for location in told)
    assert (on.name, on.created_at) == ("Ann Lee", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert on.seen is not None
    assert on.seen.signs_in
    assert [(row.kind, row.category) for row in on.seen.unread] == [(AccessKind.GROUP, None)]
    assert inactive.seen is not None
    assert not inactive.seen.signs_in
    assert unsaid.seen is None, "a list that leaves out `active` says nothing of it"


async def test_every_account_is_told() -> None:
    """Two users for one key, an old number, a second page: nothing is dropped or decided."""
    first, second = user(externalId="w1"), user(id="u2", externalId="w1")
    only = 'filter=externalId eq "w1"'
    async with talking(
        CONFIG,
        search('externalId eq "w1"', answer=listed(first, total=2)),
        Turn(f"GET /v2/Users?startIndex=2&count=100&{only}", answer=listed(second, total=2)),
        Turn(f"GET /v2/Users?startIndex=3&count=100&{only}", answer=listed(total=2)),
    ) as connector:
        location = await connector.locate(keys(external_id="w1"), Transcript())

    assert [match.account.id for match in location.matches] == ["u1", "u2"]


async def test_an_account_stands_under_its_strongest_key() -> None:
    """HR's id comes first; the same account found by a name is not told twice."""
    given = LeaverKeys((Key(KeyKind.ACCOUNT_ID, "u1", "scim-test"), Key(KeyKind.USERNAME, "ann")))
    other = user(id="u2", userName="ANN")
    async with talking(
        Turn("GET /v2/Users/u1", answer=user()),
        CONFIG,
        search('userName eq "ann"', answer=listed(user(), other)),
    ) as connector:
        location = await connector.locate(given, Transcript())

    assert [(match.account.id, match.found_by) for match in location.matches] == [
        ("u1", KeyKind.ACCOUNT_ID),
        ("u2", KeyKind.USERNAME),
    ]
    assert location.searches[0].proof is Proof.BY_ID


async def test_the_servers_keys_are_handed_on() -> None:
    """known_keys holds what the server itself knows the account by."""
    held = user(
        externalId="x1",
        emails=[{"value": "ann@example.test"}],
        **{ENTERPRISE: {"employeeNumber": "7"}},
    )
    async with talking(CONFIG, search('userName eq "ann"', answer=listed(held))) as connector:
        location = await connector.locate(keys(username="ann"), Transcript())

    assert {(key.kind, key.value) for key in location.matches[0].account.known_keys} == {
        (KeyKind.EMPLOYEE_NUMBER, "7"),
        (KeyKind.EXTERNAL_ID, "x1"),
        (KeyKind.USERNAME, "ann"),
        (KeyKind.EMAIL, "ann@example.test"),
    }


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "u1"},
        [],
        {"totalResults": 1, "Resources": [{"userName": "ann"}]},
        {"totalResults": 1, "Resources": {"id": "u1"}},
    ],
)
async def test_what_is_no_list_is_unexpected(answer: object) -> None:
    """What is no list, or has users without an id, is told."""
    hidden = Turn(f"GET /v2/Users?{FIRST_PAGE}", answer=answer)
    config = Turn("GET /v2/ServiceProviderConfig", answer={"filter": {"supported": False}})
    async with talking(config, hidden) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys(username="ann"), Transcript())

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_health_says_what_limits_and_what_blocks() -> None:
    """No filter makes searches slow; groups that cannot be read block, with a way out."""
    async with talking(
        Turn("GET /v2/Users?count=1", answer=listed(user())),
        Turn("GET /v2/ServiceProviderConfig", answer={"filter": {"supported": False}}),
        Turn("GET /v2/Groups?count=1", 403),
        strip_groups=True,
    ) as connector:
        health = await connector.health(Transcript())

    assert [(problem.code, problem.severity) for problem in health.problems] == [
        ("no_filter", ProblemSeverity.LIMITS),
        ("permission_missing", ProblemSeverity.BLOCKS),
    ]
    assert "strip_groups" in health.problems[1].fix


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {}, "token"),
        ({"base_url": "http://scim.example.test"}, {"token": "t"}, "base_url"),
        ({"profile": "okta"}, {"token": "t"}, "profile"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """The message begins with the option that is wrong; the kit's tests know the rest."""
    settings = {"base_url": "https://scim.example.test", **settings}
    with pytest.raises(ValueError, match=f"^{named}: "):
        ScimConnector(ConnectorOptions("scim-test", settings, secrets))


# The read-back, where servers differ


@pytest.mark.parametrize(
    ("told", "stands"),
    [
        *(({**user(), "active": said}, True) for said in (True, "True", " true ")),
        *(({**user(), "active": said}, False) for said in (False, "False", "false")),
        ({"id": "u1"}, True),  # what is not said to be closed is open
        *((odd, None) for odd in (user(active="maybe"), user(active=None), user(id="u2"), [])),
    ],
)
async def test_active_is_read_kindly_and_nothing_else(told: object, *, stands: bool | None) -> None:
    """Words in any case count; an odd ``active`` or another user's record is unexpected."""
    async with talking(Turn("GET /v2/Users/u1", answer=told)) as connector:
        seen = await attempt(connector.read_back(ACCOUNT, Transcript()))

    if isinstance(seen, ConnectorFault):
        assert (stands, seen.category) == (None, FaultCategory.UNEXPECTED_ANSWER)
    else:
        assert stands is not None
        assert seen.standing == ((SIGN_IN,) if stands else ())


LIVES = "GET /v2/Users?count=1"


@pytest.mark.parametrize(
    ("answer", "lives", "category"),
    [
        (None, Turn(LIVES, 404), FaultCategory.MISCONFIGURED),
        (ERROR, Turn(LIVES, 404, ERROR), FaultCategory.MISCONFIGURED),
        (None, Turn(LIVES, answer=listed()), None),
        (ERROR, Turn(LIVES, answer=listed()), None),
        (ERROR, Turn(LIVES, 400), None),  # a list that wants a filter is a sign of life
        (None, Turn(LIVES, 400), FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_404_counts_only_where_the_endpoint_lives(
    answer: object, lives: Turn, category: FaultCategory | None
) -> None:
    """A 404 of a wrong address is no proof that the user is gone; a living list is."""
    async with talking(Turn("GET /v2/Users/u1", 404, answer), lives) as connector:
        seen = await attempt(connector.read_back(ACCOUNT, Transcript()))

    if isinstance(seen, ConnectorFault):
        assert seen.category is category
    else:
        assert (seen.exists, category) == (False, None)


@pytest.mark.parametrize(("bound", "told"), [("unknown", [None]), ("60", [60]), (0, [])])
async def test_sessions_are_a_residual(bound: object, told: list[int | None]) -> None:
    """A closed account carries the bound that somebody stated, or an unknown one."""
    async with talking(reads(active=False), reads(), session_bound_s=bound) as connector:
        closed = await connector.read_back(ACCOUNT, Transcript())
        still_open = await connector.read_back(ACCOUNT, Transcript())

    assert [residual.bound_s for residual in closed.residuals] == told
    assert {residual.what for residual in closed.residuals} <= {"session"}
    assert still_open.residuals == ()


# Against the real server


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ScimHarness]:
    async with scim_server() as made:
        yield made


class WithoutPatch(httpx.AsyncHTTPTransport):
    """The real server, as if it had no PATCH for users."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and "/Users/" in request.url.path:
            return httpx.Response(501, request=request)
        return await super().handle_async_request(request)


@pytest.mark.parametrize(
    "settings",
    [
        {"profile": "rfc"},
        {"profile": "no-path"},
        {"profile": "string"},
        {"disable": "delete"},
        {"strip_groups": "false"},
        {"without_patch": True},
    ],
    ids=lambda settings: "-".join(map(str, settings.items())),
)
async def test_every_way_closes_the_real_server(
    server: ScimHarness, settings: dict[str, object]
) -> None:
    """Each profile, deletion and PUT end sign-in; colleagues stay in their groups."""
    known = await server.hire(f"real-{'-'.join(map(str, settings.values()))}")
    user_id = known.account_ids("scim-test")[0]
    if settings.get("without_patch"):
        options = ConnectorOptions("s", {"base_url": server.base_url}, {"token": server.secret})
        connector: Connector = ScimConnector(options, transport=WithoutPatch())
    else:
        connector = server.connector(**settings)
    location = await connector.locate(known, Transcript())
    account = location.matches[0].account
    before = await connector.read_back(account, Transcript())
    assert not before.is_closed
    await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    await connector.aclose()

    answer = await server.peer.get(f"/Users/{user_id}")
    assert after.is_closed
    assert after.exists is (answer.status_code == 200)
    assert answer.status_code == (404 if "disable" in settings else 200)
    assert answer.json().get("active") in {False, None}
    in_groups = await server.members_of(user_id)
    assert (user_id in in_groups) is ("strip_groups" in settings)
    assert len(in_groups - {user_id}) == 1
