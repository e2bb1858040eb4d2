"""OAuth client credentials: one token for all, renewed in time, its refusals told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect
from connectors.kit.auth.tokens import OAuthClient
from connectors.kit.rest import RestConnector
from connectors.tailscale.spec import SPEC
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.tailscale.harness import SYSTEM


async def fault_of(connector: RestConnector) -> ConnectorFault:
    keys = LeaverKeys((Key(KeyKind.EMAIL, "first@corp.example.test"),))
    with pytest.raises(ConnectorFault) as caught:
        await connector.locate(keys, Transcript())
    return caught.value


class Granting:
    """A token endpoint and an API that takes only the tokens it is told to take."""

    def __init__(self, *, lifetime: int = 3600) -> None:
        self.lifetime = lifetime
        self.granted = 0
        self.refused: set[str] = set()
        self.status = 200

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # lets other callers in between, as a network would
        if request.url.path.endswith("/oauth/token"):
            self.granted += 1
            grant = {"access_token": f"synthetic-{self.granted}", "expires_in": self.lifetime}
            return httpx.Response(self.status, headers={"Retry-After": "5"}, json=grant)
        if request.headers["Authorization"] in self.refused:
            return httpx.Response(401, json={"message": "token invalid"})
        return httpx.Response(200, json={"users": []})


def client(peer: Granting, clock: Callable[[], float]) -> httpx.AsyncClient:
    base_url = "https://api.tailscale.test/api/v2"
    dialect = Dialect(connector="tailscale")
    auth = OAuthClient(
        f"{base_url}/oauth/token", "synthetic-id", "synthetic-secret", dialect=dialect, clock=clock
    )
    return httpx.AsyncClient(base_url=base_url, transport=httpx.MockTransport(peer), auth=auth)


async def test_one_token_serves_all_callers() -> None:
    """Ten calls at once fetch one token."""
    peer = Granting()
    async with client(peer, lambda: 0.0) as http:
        answers = await asyncio.gather(*(http.get("/users") for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert peer.granted == 1


async def test_a_token_is_renewed_before_it_ends() -> None:
    """Within the last minute of its life a token is replaced."""
    peer, now = Granting(), [0.0]
    async with client(peer, lambda: now[0]) as http:
        for moment in (0.0, 3539.0, 3540.0):
            now[0] = moment
            await http.get("/users")

    assert peer.granted == 2


async def test_a_token_that_is_refused_is_replaced_once() -> None:
    """A 401 fetches one new token, for all who met it; a second 401 is the answer."""
    peer = Granting()
    async with client(peer, lambda: 0.0) as http:
        await http.get("/users")
        peer.refused = {"Bearer synthetic-1"}
        renewed = await asyncio.gather(*(http.get("/users") for _ in range(5)))
        after_first = peer.granted
        peer.refused = {"Bearer synthetic-2", "Bearer synthetic-3"}
        refused = await http.get("/users")

    assert {answer.status_code for answer in renewed} == {200}
    assert after_first == 2
    assert refused.status_code == 401
    assert peer.granted == 3


@pytest.mark.parametrize(
    ("status", "category", "wait"),
    [
        (401, FaultCategory.CREDENTIALS_REJECTED, None),
        (400, FaultCategory.CREDENTIALS_REJECTED, None),
        (429, FaultCategory.RATE_LIMITED, timedelta(seconds=5)),
        (503, FaultCategory.VENDOR_ERROR, timedelta(seconds=5)),
        (302, FaultCategory.UNEXPECTED_ANSWER, None),
    ],
)
async def test_a_refused_client_is_classified(
    status: int, category: FaultCategory, wait: timedelta | None
) -> None:
    """What the token endpoint refuses is told apart, without a word of its answer."""
    peer = Granting()
    peer.status = status
    secrets = {"client_id": "synthetic-id", "client_secret": "synthetic-secret"}
    options = ConnectorOptions(SYSTEM, {}, secrets)
    connector = RestConnector(SPEC, options, transport=httpx.MockTransport(peer))
    fault = await fault_of(connector)

    assert fault.category is category
    assert fault.retry_after == wait
    assert str(fault) == f"tailscale oauth.token: {category.value} ({status})"
