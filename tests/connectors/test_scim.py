"""The generic SCIM connector: finding people, health, options, and the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.saas.scim import ScimConnector
from lockstep.domain.access import ProblemSeverity
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys
from tests.connectors.dialogue import Turn
from tests.connectors.harness_scim import ScimHarness
from tests.connectors.harness_scim import harness as scim_server
from tests.connectors.scim_script import (
    CONFIG,
    EMPLOYEE,
    ENTERPRISE,
    ERROR,
    FIRST_PAGE,
    keys,
    listed,
    search,
    talking,
    user,
)


async def test_filter_values_are_json_strings() -> None:
    """A quote or a backslash in a name stays inside the filter's string."""
    name = 'o"brien\\'
    async with talking(
        CONFIG, search(r'userName eq "o\"brien\\"', answer=listed(user(userName=name)))
    ) as connector:
        location = await connector.locate(keys(username=name), Transcript())

    assert location.matches[0].account.id == "u1"


async def test_one_accepted_attribute_is_enough() -> None:
    """Refused attributes are not called tried, and nobody is listed once the person is found."""
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
    assert location.keys_tried == (KeyKind.USERNAME, KeyKind.EMAIL)


async def test_a_server_that_refuses_every_filter_is_listed() -> None:
    """All pages are read, and the person is found in the second."""
    refused = [
        search(f'{name} eq "ann@example.test"', 400) for name in ("emails.value", "userName")
    ]
    wanted = user(emails=[{"value": "Ann@Example.test"}])
    async with talking(
        CONFIG,
        *refused,
        Turn(f"GET /v2/Users?{FIRST_PAGE}", answer=listed({"id": "u0"}, total=2)),
        Turn("GET /v2/Users?startIndex=2&count=100", answer=listed(wanted, total=2)),
    ) as connector:
        location = await connector.locate(keys(email="ann@example.test"), Transcript())

    assert [match.account.id for match in location.matches] == ["u1"]
    assert location.keys_tried == (KeyKind.EMAIL,)


async def test_a_server_without_filters_is_not_asked_for_one() -> None:
    """filter.supported = false in /ServiceProviderConfig is believed, and read once."""
    config = {"filter": {"supported": False}, "patch": {"supported": True}}
    everybody = Turn(f"GET /v2/Users?{FIRST_PAGE}", answer=listed(user()))
    async with talking(
        Turn("GET /v2/ServiceProviderConfig", answer=config), everybody, everybody
    ) as connector:
        for _ in range(2):
            location = await connector.locate(keys(username="ann"), Transcript())

    assert len(location.matches) == 1


async def test_a_server_that_ignores_filters_finds_nobody_else() -> None:
    """Somebody else in a filtered answer is never taken for the leaver."""
    other = {"id": "u9", "userName": "bob"}
    async with talking(
        CONFIG,
        search('userName eq "ann"', answer=listed(other)),
        Turn(f"GET /v2/Users?{FIRST_PAGE}", answer=listed(other)),
    ) as connector:
        location = await connector.locate(keys(username="ann"), Transcript())

    assert location.matches == ()
    assert location.keys_tried == (KeyKind.USERNAME,)


@pytest.mark.parametrize(
    "turns",
    [
        [
            search(
                'externalId eq "w1"',
                answer=listed(user(externalId="w1"), user(id="u2", externalId="w1")),
            )
        ],
        [
            search('externalId eq "w1"', answer=listed(user(externalId="w1"), total=2)),
            search('externalId eq "w1"', answer=listed(user(externalId="w1"), total=2)),
            Turn(
                'GET /v2/Users?startIndex=2&count=100&filter=externalId eq "w1"',
                answer=listed(user(id="u2", externalId="w1"), total=2),
            ),
        ],
    ],
    ids=["one page", "two pages"],
)
async def test_two_users_for_one_key_are_ambiguous(turns: list[Turn]) -> None:
    """A person decides which of two accounts is the leaver's, also when the second is on page 2."""
    async with talking(CONFIG, *turns) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys(external_id="w1"), Transcript())

    assert caught.value.category is FaultCategory.AMBIGUOUS_MATCH


async def test_a_foreign_employee_number_is_ambiguous() -> None:
    """An address that was recycled to somebody else does not revoke that person."""
    recycled = user(emails=[{"value": "ann@example.test"}], **{ENTERPRISE: {"employeeNumber": "8"}})
    async with talking(
        CONFIG,
        search(f'{EMPLOYEE} eq "7"', answer=listed()),
        search('externalId eq "7"', answer=listed()),
        search('emails.value eq "ann@example.test"', answer=listed(recycled)),
        search('userName eq "ann@example.test"', answer=listed()),
    ) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(
                keys(employee_number="7", email="ann@example.test"), Transcript()
            )

    assert caught.value.category is FaultCategory.AMBIGUOUS_MATCH


async def test_a_second_account_by_address_only_is_ambiguous() -> None:
    """The employee number finds one account, the address another: a person decides."""
    ours = user(**{ENTERPRISE: {"employeeNumber": "7"}})
    other = user(id="u2", userName="ann@example.test")
    async with talking(
        CONFIG,
        search(f'{EMPLOYEE} eq "7"', answer=listed(ours)),
        search('externalId eq "7"', answer=listed()),
        search('emails.value eq "ann@example.test"', answer=listed()),
        search('userName eq "ann@example.test"', answer=listed(other)),
    ) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(
                keys(employee_number="7", email="ann@example.test"), Transcript()
            )

    assert caught.value.category is FaultCategory.AMBIGUOUS_MATCH


async def test_a_given_account_id_settles_what_is_ambiguous() -> None:
    """Once somebody named the account, others with the same address are left alone."""
    ours = user(userName="ann", **{ENTERPRISE: {"employeeNumber": "old-7"}})
    other = user(id="u2", userName="ann")
    given = LeaverKeys(
        (
            Key(KeyKind.ACCOUNT_ID, "u1", "scim-test"),
            Key(KeyKind.EMPLOYEE_NUMBER, "7"),
            Key(KeyKind.USERNAME, "ann"),
        )
    )
    async with talking(
        Turn("GET /v2/Users/u1", answer=ours),
        CONFIG,
        search(f'{EMPLOYEE} eq "7"', answer=listed()),
        search('externalId eq "7"', answer=listed()),
        search('userName eq "ann"', answer=listed(ours, other)),
    ) as connector:
        location = await connector.locate(given, Transcript())

    assert [match.account.id for match in location.matches] == ["u1"]


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
        {"totalResults": 3, "Resources": []},
    ],
)
async def test_a_list_that_hides_something_is_unexpected(answer: object) -> None:
    """What is no list, has users without an id, or ends before its total proves nothing."""
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
        ({"disable": "purge"}, {"token": "t"}, "disable"),
        ({"strip_groups": "perhaps"}, {"token": "t"}, "strip_groups"),
        ({"session_bound_s": "-1"}, {"token": "t"}, "session_bound_s"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """The message begins with the option that is wrong."""
    settings = {"base_url": "https://scim.example.test", **settings}
    with pytest.raises(ValueError, match=f"^{named}: "):
        ScimConnector(ConnectorOptions("scim-test", settings, secrets))


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
    connector = server.connector(**settings)
    if settings.get("without_patch"):
        options = ConnectorOptions("s", {"base_url": server.base_url}, {"token": server.secret})
        connector = ScimConnector(options, transport=WithoutPatch())
    location = await connector.locate(known, Transcript())
    account = location.matches[0].account
    before = await connector.read_back(account, Transcript())
    assert not before.is_closed
    await connector.revoke(account, before, Transcript())
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
