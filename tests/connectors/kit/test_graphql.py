"""GraphQL against a real peer: cursors in variables, errors under 200, half a list is none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.http import VendorHttp
from connectors.kit import graphql
from connectors.kit.calls import Api, Wire
from lockstep.domain.systems.faults import FaultCategory
from sandbox.kit.wire import Listener, Reply, Request, Response, json_response

QUERY = """
query people($team: ID!, $first: Int!, $after: String) {
  team(id: $team) { people(first: $first, after: $after) {
    nodes { id email } pageInfo { hasNextPage endCursor } } }
}
"""
PEOPLE = graphql.connection(
    graphql.call(QUERY, "people.list", "people", team="{id}"), ("team", "people"), size=2
)


@dataclass(slots=True)
class Peer:
    """A vendor with five people, that answers 200 to everything."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    errors: list[object] = field(default_factory=list)
    info: dict[str, object] | None = None

    def __call__(self, request: Request) -> Reply:
        asked = json.loads(request.body)
        self.asked.append(asked["variables"])
        begin = int(asked["variables"].get("after") or 0)
        end = begin + asked["variables"]["first"]
        nodes = [{"id": str(number)} for number in range(begin, min(end, 5))]
        info = {"hasNextPage": end < 5, "endCursor": str(end)} if self.info is None else self.info
        told: dict[str, object] = {"data": {"team": {"people": {"nodes": nodes, "pageInfo": info}}}}
        if self.errors:
            told["errors"] = self.errors
        answer: Response = json_response(200, told)
        assert asked["query"] == QUERY
        assert not request.query_string
        return Reply(answer)


@asynccontextmanager
async def api(peer: Peer) -> AsyncIterator[Api]:
    listener = Listener(peer)
    await listener.start("127.0.0.1", 0)
    dialect = graphql.dialect("desk")
    http = VendorHttp(dialect, listener.url, headers={})
    made = Api(http, Wire(dialect), {})
    try:
        yield made
    finally:
        await made.aclose()
        await listener.stop()


async def people(peer: Peer) -> list[str]:
    async with api(peer) as made:
        found = await made.whole(PEOPLE, {"id": 'team-"7"'}, Transcript())
    return [one["id"] for one in found]


async def test_a_connection_is_walked_by_its_cursor() -> None:
    """Each page asks after the last one, in the variables; what names somebody stays there too."""
    peer = Peer()

    assert await people(peer) == ["0", "1", "2", "3", "4"]
    assert [one.get("after") for one in peer.asked] == [None, "2", "4"]
    assert {one["team"] for one in peer.asked} == {'team-"7"'}


@pytest.mark.parametrize(
    ("error", "category", "code"),
    [
        ({"extensions": {"code": "FORBIDDEN"}}, FaultCategory.PERMISSION_MISSING, "FORBIDDEN"),
        ({"type": "RATE_LIMITED"}, FaultCategory.RATE_LIMITED, "RATE_LIMITED"),
        (
            {"extensions": {"code": "UNAUTHENTICATED"}},
            FaultCategory.CREDENTIALS_REJECTED,
            "UNAUTHENTICATED",
        ),
        (
            {"extensions": {"code": "INTERNAL_SERVER_ERROR"}},
            FaultCategory.VENDOR_ERROR,
            "INTERNAL_SERVER_ERROR",
        ),
        ({"message": "first@corp.example.test"}, FaultCategory.UNEXPECTED_ANSWER, "error"),
        ("first@corp.example.test", FaultCategory.UNEXPECTED_ANSWER, "error"),
    ],
)
async def test_errors_under_200_are_a_refusal(
    error: object, category: FaultCategory, code: str
) -> None:
    """Also beside data that could be read; by their code, and never by a message."""
    with pytest.raises(ConnectorFault) as caught:
        await people(Peer(errors=["odd", error]))

    assert caught.value.category is category
    assert caught.value.code.endswith(code)
    assert "first@" not in str(caught.value)


@pytest.mark.parametrize(
    "info",
    [{}, {"hasNextPage": None}, {"hasNextPage": True}, {"hasNextPage": True, "endCursor": "0"}],
)
async def test_a_list_that_does_not_say_that_it_ends_is_not_whole(info: dict[str, object]) -> None:
    """No word, no cursor, or the same cursor again: nobody may conclude from such a list."""
    with pytest.raises(ConnectorFault) as caught:
        await people(Peer(info=info))

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER
    assert "page_repeated" in caught.value.code
