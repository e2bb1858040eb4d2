"""What health and the options say before the first leaver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from connectors.base import ConnectorOptions, Transcript
from connectors.okta.connector import MANIFEST
from lockstep.domain.systems.access import ProblemSeverity
from tests.connectors.okta.dialogue import (
    BASE,
    SEARCH,
    TOKEN,
    Dialogue,
    answer,
    connect,
    lists,
    user,
)
from tests.connectors.okta.harness import OktaHarness, harness
from tests.connectors.okta.people import People


@pytest.fixture
async def okta() -> AsyncIterator[OktaHarness]:
    async with harness() as peer:
        yield peer


async def test_a_good_token_is_ready(okta: OktaHarness) -> None:
    """With every permission nothing hinders a revocation, and health changes nothing."""
    keys = await okta.hire("healthy")

    health = await okta.connector().health(Transcript())

    assert health.is_ready
    assert okta.script.effects == []
    assert await okta.still_in(keys)


@pytest.mark.parametrize(
    ("area", "code"),
    [
        ("users", "users_forbidden"),
        ("groups", "groups_forbidden"),
        ("grants", "clients_forbidden"),
        ("factors", "factors_forbidden"),
        ("roles", "roles_forbidden"),
    ],
)
async def test_each_missing_permission_is_a_problem(
    okta: OktaHarness, area: str, code: str
) -> None:
    """Health names each list that the token may not read, with a fix, and is not ready."""
    await okta.hire("sample")
    await okta.limit_token(f"lacks-{area}", area)

    health = await okta.connector(secret=f"lacks-{area}").health(Transcript())

    assert code in {problem.code for problem in health.problems}
    assert all("okta." in problem.fix for problem in health.problems if problem.code == code)
    assert not health.is_ready


async def test_a_wrong_token_is_a_problem_and_never_shown(okta: OktaHarness) -> None:
    """A rejected token is one problem that says how to make a new one, not an exception."""
    health = await okta.connector(secret="wrong-token-value").health(Transcript())

    assert [problem.code for problem in health.problems] == ["token_rejected"]
    assert health.reachable
    assert not health.is_ready
    assert "wrong-token-value" not in repr(health)


async def test_a_token_that_may_only_read_is_a_problem() -> None:
    """A token of a read-only administrator reads everything, and health still says no."""
    dialogue = Dialogue(
        {
            SEARCH: answer([user()]),
            "GET /api/v1/users/LEA@CORP.EXAMPLE.TEST": answer(user()),
            "GET /api/v1/groups": answer([]),
            "GET /api/v1/users/me": answer(user()),
            **lists(roles=answer([{"id": "r1", "type": "READ_ONLY_ADMIN"}])),
        }
    )

    health = await connect(dialogue).health(Transcript())

    assert [problem.code for problem in health.problems] == ["token_cannot_change_users"]
    assert health.problems[0].severity is ProblemSeverity.BLOCKS


async def test_a_search_that_does_not_find_a_known_user_is_a_problem() -> None:
    """Health asks for a listed user by each key; an attribute that finds nobody is named."""
    people = People(
        {"00u1": {"login": "a@a.example", "email": "a@a.example", "employeeNumber": "1"}},
        unknown=frozenset({"employeeNumber"}),
    )

    health = await connect(people).health(Transcript())

    named = [one for one in health.problems if one.code.startswith("search_not_proved")]
    assert [one.code for one in named] == ["search_not_proved.profile.employeeNumber"]
    assert named[0].severity is ProblemSeverity.LIMITS


async def test_no_answer_at_all_is_not_reachable() -> None:
    """A refused connection is health without reach, not an exception."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    health = await connect(Dialogue({SEARCH: refuse})).health(Transcript())

    assert not health.reachable
    assert [problem.code for problem in health.problems] == ["unreachable"]


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {"token": TOKEN}, "base_url"),
        ({"base_url": "http://example.okta.test"}, {"token": TOKEN}, "base_url"),
        ({"base_url": BASE}, {}, "token"),
        ({"base_url": BASE, "disable": "delete"}, {"token": TOKEN}, "disable"),
        ({"base_url": BASE, "ad_mastered": "no"}, {"token": TOKEN}, "ad_mastered"),
        ({"base_url": BASE, "strip_roles": "maybe"}, {"token": TOKEN}, "strip_roles"),
        ({"base_url": BASE, "access_token_s": -1}, {"token": TOKEN}, "access_token_s"),
        ({"base_url": BASE, "worker_id_attribute": "a b"}, {"token": TOKEN}, "worker_id_attribute"),
        ({"base_url": BASE, "disabel": "suspend"}, {"token": TOKEN}, "disabel"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """A missing, wrong or misspelt option is a ValueError that begins with its name."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        MANIFEST.build(ConnectorOptions("okta", settings, secrets))


def test_the_manifest_describes_what_is_parsed() -> None:
    """Every option's default in the manifest is one that the connector accepts."""
    defaults = {spec.name: spec.default for spec in MANIFEST.options if spec.default is not None}

    MANIFEST.build(ConnectorOptions("okta", {"base_url": BASE, **defaults}, {"token": TOKEN}))

    assert [spec.name for spec in MANIFEST.options if spec.required] == ["base_url", "token"]
