"""The generic SCIM connector's read-back, where servers differ."""

from __future__ import annotations

import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.access import Access
from lockstep.domain.faults import FaultCategory
from tests.connectors.dialogue import Turn
from tests.connectors.scim_script import (
    ACCOUNT,
    CONFIG,
    FIRST_PAGE,
    GROUP,
    SIGN_IN,
    keys,
    listed,
    members,
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


async def test_404_counts_only_where_scim_answers() -> None:
    """A bare 404 of a wrong address is no proof that the user is gone; a living list is."""
    bare, lives = Turn("GET /v2/Users/u1", 404), "GET /v2/Users?count=1"
    async with talking(bare, Turn(lives, 404)) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.read_back(ACCOUNT, Transcript())
    async with talking(bare, Turn(lives, answer=listed())) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER
    assert not observation.exists


@pytest.mark.parametrize(("bound", "expected"), [(600, [600]), ("60", [60]), (0, [])])
async def test_sessions_are_a_residual(bound: object, expected: list[int]) -> None:
    """SCIM ends no session: a closed account carries the configured bound, an open one nothing."""
    async with talking(reads(active=False), reads(), session_bound_s=bound) as connector:
        closed = await connector.read_back(ACCOUNT, Transcript())
        still_open = await connector.read_back(ACCOUNT, Transcript())

    assert [residual.bound_s for residual in closed.residuals] == expected
    assert {residual.what for residual in closed.residuals} <= {"session"}
    assert still_open.residuals == ()


async def test_groups_are_listed_where_they_cannot_be_searched() -> None:
    """Two refused filters, then the list; a group that shows no members is read by its id.

    The refusals are remembered, so the second look goes straight to the list.
    """
    groups = listed({"id": "g1", "members": [{"value": "u1"}]}, {"id": "g2"}, {"id": "g/3"})
    look = [
        Turn(f"GET /v2/Groups?{FIRST_PAGE}", answer=groups),
        Turn("GET /v2/Groups/g2", answer={"members": [{"value": "u1"}]}),
        Turn("GET /v2/Groups/g/3", answer={"members": [{"value": "u2"}]}),
    ]
    async with talking(
        reads(),
        CONFIG,
        members("members.value", 400),
        members("members", 400),
        *look,
        reads(),
        *look,
        strip_groups=True,
    ) as connector:
        for _ in range(2):
            observation = await connector.read_back(ACCOUNT, Transcript())

    assert {way.ref for way in observation.standing} == {"u1", "g1", "g2"}


async def test_the_other_member_filter_is_tried() -> None:
    """A server that knows ``members`` only is searched by it, and an empty answer is believed."""
    async with talking(
        reads(),
        CONFIG,
        members("members.value", 400),
        members("members", answer=listed()),
        strip_groups=True,
    ) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert observation.standing == (SIGN_IN,)


async def test_a_server_that_ignores_member_filters_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Groups for a member whom nobody can be betray that the filter is not read."""

    class Nobody:
        hex = "nobody"

    monkeypatch.setattr("connectors.saas.scim_client.uuid4", Nobody)
    everything = listed({"id": "g1"}, {"id": "g2"})
    full = listed({"id": "g1", "members": [{"value": "u1"}]}, {"id": "g2", "members": []})
    nobodys = [
        Turn(
            f'GET /v2/Groups?{FIRST_PAGE}&filter={name} eq "nobody"&attributes=id',
            answer=everything,
        )
        for name in ("members.value", "members")
    ]
    async with talking(
        reads(),
        CONFIG,
        members("members.value", answer=everything),
        nobodys[0],
        members("members", answer=everything),
        nobodys[1],
        Turn(f"GET /v2/Groups?{FIRST_PAGE}", answer=full),
        strip_groups=True,
    ) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert observation.standing == (SIGN_IN, GROUP)


async def test_a_server_without_groups_has_none() -> None:
    """The Group resource is optional in SCIM."""
    async with talking(
        reads(), CONFIG, members("members.value", 404), strip_groups=True
    ) as connector:
        observation = await connector.read_back(ACCOUNT, Transcript())

    assert observation.standing == (SIGN_IN,)


async def test_a_list_that_repeats_itself_is_unexpected() -> None:
    """A server that answers page one for every page hides the rest."""
    same = listed({"id": "u2", "userName": "bob"}, total=3)
    config = Turn("GET /v2/ServiceProviderConfig", answer={"filter": {"supported": False}})
    async with talking(
        config,
        Turn(f"GET /v2/Users?{FIRST_PAGE}", answer=same),
        Turn("GET /v2/Users?startIndex=2&count=100", answer=same),
    ) as connector:
        with pytest.raises(ConnectorFault) as caught:
            await connector.locate(keys(username="ann"), Transcript())

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER
    assert caught.value.code == "list_without_end"
