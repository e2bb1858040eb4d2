"""The generic SCIM connector's read-back, where servers differ."""

from __future__ import annotations

import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.systems.access import Access
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.dialogue import Turn
from tests.connectors.scim.script import (
    ACCOUNT,
    ERROR,
    SIGN_IN,
    listed,
    reads,
    talking,
    user,
)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"active": True}, (SIGN_IN,)),
        ({"active": "True"}, (SIGN_IN,)),
        ({"active": " true "}, (SIGN_IN,)),
        ({"active": False}, ()),
        ({"active": "False"}, ()),
        ({"active": "false"}, ()),
    ],
)
async def test_active_may_be_a_string(
    more: dict[str, object], expected: tuple[Access, ...]
) -> None:
    """Some servers answer the words true and false in any case."""
    async with talking(reads(**more)) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert observation.standing == expected


async def test_a_user_without_active_still_stands() -> None:
    """What is not said to be closed is open."""
    async with talking(Turn("GET /v2/Users/u1", answer={"id": "u1"})) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert observation.standing == (SIGN_IN,)


@pytest.mark.parametrize("answer", [user(active="maybe"), user(active=None), user(id="u2"), []])
async def test_an_answer_about_something_else_is_no_proof(answer: object) -> None:
    """An odd ``active`` or another user's resource is unexpected."""
    async with talking(Turn("GET /v2/Users/u1", answer=answer)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.read_back(ACCOUNT, Transcript())

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


@pytest.mark.parametrize("answer", [None, ERROR])
async def test_404_counts_only_where_the_endpoint_lives(answer: object) -> None:
    """A 404 of a wrong address is no proof that the user is gone; a living list is."""
    gone, lives = Turn("GET /v2/Users/u1", 404, answer), "GET /v2/Users?count=1"
    async with talking(gone, Turn(lives, 404, answer)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.read_back(ACCOUNT, Transcript())
    async with talking(gone, Turn(lives, answer=listed())) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert not observation.exists


async def test_a_list_that_wants_a_filter_is_a_sign_of_life() -> None:
    """Where the 404 is SCIM's own and the list is refused, the server still knows the user not."""
    refused = Turn("GET /v2/Users?count=1", 400)
    async with talking(Turn("GET /v2/Users/u1", 404, ERROR), refused) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())
    async with talking(Turn("GET /v2/Users/u1", 404), refused) as connector:
        with pytest.raises(ConnectorFault):
            await connector.read_back(ACCOUNT, Transcript())

    assert not observation.exists


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [None]),
        ({"session_bound_s": "unknown"}, [None]),
        ({"session_bound_s": 600}, [600]),
        ({"session_bound_s": "60"}, [60]),
        ({"session_bound_s": 0}, []),
    ],
)
async def test_sessions_are_a_residual(
    settings: dict[str, object], expected: list[int | None]
) -> None:
    """A closed account carries the bound that somebody stated, or an unknown one."""
    async with talking(reads(active=False), reads(), **settings) as connector:
        closed = await connector.read_back(ACCOUNT, Transcript())
        still_open = await connector.read_back(ACCOUNT, Transcript())

    assert [residual.bound_s for residual in closed.residuals] == expected
    assert {residual.what for residual in closed.residuals} <= {"session"}
    assert still_open.residuals == ()
