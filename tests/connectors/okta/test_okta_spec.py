"""Every call of the Okta connector, compared with Okta's management specification."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account
from tests.connectors.okta.dialogue import OPEN, Dialogue, answer, connect, user
from tests.connectors.okta.harness import OktaHarness, harness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Dialogue as Exchanged
from tests.connectors.vendor_spec import Operation, Recorder, judge, undocumented
from tests.support.loopback import loopback

USER = "/api/v1/users/{id}"
# From okta/okta-management-openapi-spec, 2026.06, dist/current/management-minimal.yaml.
TRANSCRIBED = (
    Operation("GET /api/v1/users", {"search": (), "limit": (), "after": ()}),
    Operation("GET /api/v1/groups", {"limit": ()}),
    Operation(
        "GET /api/v1/logs",
        {"since": (), "until": (), "filter": (), "limit": (), "after": (), "sortOrder": ()},
    ),
    Operation("GET /api/v1/api-tokens"),
    Operation(f"GET {USER}"),
    Operation(f"GET {USER}/clients"),
    Operation(f"GET {USER}/factors"),
    Operation(f"GET {USER}/roles"),
    Operation(f"GET {USER}/groups"),
    Operation(f"POST {USER}/lifecycle/suspend"),
    Operation(
        f"POST {USER}/lifecycle/deactivate",
        {"sendEmail": ("false",)},
        required=frozenset({"sendEmail"}),
    ),
    Operation(f"POST {USER}/lifecycle/reset_factors"),
    Operation(  # both default to what leaves tokens and remembered devices standing
        f"DELETE {USER}/sessions",
        {"oauthTokens": ("true",), "forgetDevices": ("true",)},
        required=frozenset({"oauthTokens", "forgetDevices"}),
    ),
    Operation(f"DELETE {USER}/grants"),
    Operation(f"DELETE {USER}/clients/{{clientId}}/tokens"),
    Operation(f"DELETE {USER}/roles/{{roleAssignmentId}}"),
    Operation("DELETE /api/v1/groups/{groupId}/users/{userId}"),
)
# By operation, what the specification documents beside 429; 401 and 5xx belong to every call.
DOCUMENTED = {"GET": {200, 403, 404}, "POST": {200, 400, 403, 404}, "DELETE": {204, 403, 404}}


@pytest.fixture(scope="module")
async def heard() -> AsyncIterator[list[Exchanged]]:
    """Whole revocations with both policies, every key, health, and refusals, on one wire."""
    wire = Recorder(loopback())
    async with harness() as peer:
        for disable in ("deactivate", "suspend"):
            for status in ("ACTIVE", "LOCKED_OUT", "SUSPENDED"):
                await revocation(peer, wire, disable=disable, status=status)
    yield wire.heard
    await wire.aclose()


async def revocation(peer: OktaHarness, wire: Recorder, *, disable: str, status: str) -> None:
    """Locate, look, revoke, look, revoke again, check health."""
    keys = await peer.hire(f"spec-{status}", status=status)
    connector = peer.connect(wire, disable=disable, worker_id_attribute="title")
    transcript = Transcript()
    odd = (Key(KeyKind.USERNAME, 'a/"b'), Key(KeyKind.ACCOUNT_ID, "00uNOBODY"))
    location = await connector.locate(LeaverKeys((*keys.keys, *odd)), transcript)
    account = location.matches[0].account
    before = await connector.read_back(account, transcript)
    for _ in range(2):
        try:
            await revoke(connector, account, before, transcript)
        except ConnectorFault as fault:
            assert (status, disable) == ("LOCKED_OUT", "suspend"), fault  # noqa: PT017
    await connector.read_back(account, transcript)
    await connector.health(transcript)
    _ = [page async for page in connector.list_active(transcript)]
    await connector.activity_since(account, datetime.now(UTC), transcript)
    await connector.list_owned(account, transcript)


async def test_every_call_is_one_that_okta_documents(heard: list[Exchanged]) -> None:
    """Method, path, query and body of each, and each status that was shown to the connector."""
    unused = [each.call for each in TRANSCRIBED if not any(map(each.fits, heard))]

    assert undocumented(heard, TRANSCRIBED) == []
    assert unused == []
    assert [each.call for each in heard if each.status not in DOCUMENTED[each.method]] == []
    if spec := os.environ.get("LOCKSTEP_OKTA_SPEC"):
        # The specification gives answers to effects an empty `content`, which openapi-core 0.23
        # takes for missing data.
        verdict = judge(heard, Path(spec), host="https://subdomain.okta.com", answers={"GET"})
        assert verdict.errors == verdict.beside == []
        assert verdict.checked


async def test_what_is_never_sent_is_not_transcribed() -> None:
    """Deleting a user, a mail to the leaver, and kept tokens or devices would be noticed."""
    wire = Recorder(httpx.MockTransport(lambda _: httpx.Response(200)))
    async with httpx.AsyncClient(transport=wire, base_url="https://o.test/api/v1/users") as client:
        await client.delete("/00u1")
        await client.post("/00u1/lifecycle/deactivate", params={"sendEmail": "true"})
        await client.post("/00u1/lifecycle/deactivate")
        await client.delete("/00u1/sessions")
        await client.delete("/00u1/sessions", params={"oauthTokens": "true"})

    assert len(undocumented(wire.heard, TRANSCRIBED)) == len(wire.heard) == 5


async def test_ids_are_one_path_segment_each() -> None:
    """An id with a slash or a question mark cannot reach another operation."""
    odd = "00u1/../x?y"
    dialogue = Dialogue({f"GET /api/v1/users/{odd}": answer(user())})

    with pytest.raises(ConnectorFault):
        await revoke(connect(dialogue), Account(odd), OPEN, Transcript())

    assert dialogue.requests[0].url.raw_path == b"/api/v1/users/00u1%2F..%2Fx%3Fy"
