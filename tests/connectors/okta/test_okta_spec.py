"""Every call of the Okta connector, compared with Okta's management specification."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

import sandbox
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account
from tests.connectors.okta.dialogue import OPEN, Dialogue, answer, connect, user
from tests.connectors.okta.harness import SYSTEM, TOKEN, OktaHarness
from tests.connectors.revoking import revoke
from tests.connectors.vendor_spec import Dialogue as Exchanged
from tests.connectors.vendor_spec import Operation, Recorder, undocumented
from tests.support.loopback import loopback

USER = "/api/v1/users/{id}"
# From okta/okta-management-openapi-spec, 2026.06, dist/current/management-minimal.yaml.
TRANSCRIBED = (
    Operation("GET /api/v1/users", {"search": (), "limit": (), "after": ()}),
    Operation("GET /api/v1/groups", {"limit": ()}),
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
DOCUMENTED = {
    "GET": {200, 403, 404},
    "POST": {200, 400, 403, 404},
    "DELETE": {204, 403, 404},
}
HOST = "https://subdomain.okta.com"


@pytest.fixture(scope="module")
async def heard() -> AsyncIterator[Recorder]:
    """Whole revocations with both policies, every key, health, and refusals, on one wire."""
    wire = Recorder(loopback())
    async with sandbox.running() as urls:
        peer = OktaHarness(urls["okta"])
        for disable in ("deactivate", "suspend"):
            for status in ("ACTIVE", "LOCKED_OUT", "SUSPENDED"):
                await revocation(peer, urls["okta"], wire, disable=disable, status=status)
        await peer.aclose()
    yield wire
    await wire.aclose()


async def revocation(
    peer: OktaHarness, url: str, wire: Recorder, *, disable: str, status: str
) -> None:
    """Locate, look, revoke, look, revoke again, check health."""
    keys = await peer.hire(f"spec-{status}", status=status)
    settings = {"base_url": url, "disable": disable, "worker_id_attribute": "title"}
    connector = OktaConnector(ConnectorOptions(SYSTEM, settings, {"token": TOKEN}), transport=wire)
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


def refused(heard: list[Exchanged], spec: Path) -> list[str]:
    """Requests that Okta's specification refuses, and lists and users that it would not write.

    Answers to effects are left out: the specification gives them an empty `content`, which
    openapi-core 0.23 takes for missing data.
    """
    openapi = OpenAPI.from_dict(json.loads(spec.read_text()))
    found = []
    for each in heard:
        request = MockRequest(
            HOST, each.method, each.path, args=dict(each.query), headers=each.headers
        )
        try:
            openapi.validate_request(request)
            if (each.method, each.status) == ("GET", 200):
                openapi.validate_response(request, MockResponse(each.answer, each.status))
        except Exception as error:  # noqa: BLE001 - whatever the validator says is the finding
            found.append(f"{each.call} -> {each.status}: {error!r} {error.__cause__!r}")
    return found


async def test_every_call_is_one_that_okta_documents(heard: Recorder) -> None:
    """Method, path and query of every call stand in the specification; a DELETE of a user never."""
    unused = [each.call for each in TRANSCRIBED if not any(map(each.fits, heard.heard))]

    assert undocumented(heard.heard, TRANSCRIBED) == []
    assert unused == []
    if spec := os.environ.get("LOCKSTEP_OKTA_SPEC"):
        assert refused(heard.heard, Path(spec)) == []


async def test_every_answer_was_one_that_okta_documents(heard: Recorder) -> None:
    """The connector was shown documented statuses, so that it was not proved against fiction."""
    odd = {(each.call, each.status) for each in heard.heard} - {
        (each.call, status) for each in heard.heard for status in DOCUMENTED[each.method]
    }

    assert odd == set()


async def test_no_effect_has_a_body(heard: Recorder) -> None:
    """None of these operations has a request body in the specification."""
    assert {each.body for each in heard.heard} == {b""}


async def test_the_transcription_check_can_fail() -> None:
    """Deleting a user, a mail to the leaver, a kept token and an unknown path are each noticed."""
    wire = Recorder(httpx.MockTransport(lambda _: httpx.Response(200)))
    async with httpx.AsyncClient(transport=wire, base_url=f"{HOST}/api/v1") as client:
        await client.delete("/users/00u1")
        await client.post("/users/00u1/lifecycle/deactivate", params={"sendEmail": "true"})
        await client.delete("/users/00u1/sessions")
        await client.delete("/users/00u1/sessions", params={"oauthTokens": "false"})
        await client.post("/users/00u1/lifecycle/reset_factors", json={"factor": "all"})
        await client.get("/users/00u1/secrets")
        await client.post("/users/00u1/lifecycle/deactivate", params={"sendEmail": "maybe"})

    assert len(undocumented(wire.heard, TRANSCRIBED)) == len(wire.heard) == 7
    if spec := os.environ.get("LOCKSTEP_OKTA_SPEC"):
        assert len(refused(wire.heard[-2:], Path(spec))) == 2


async def test_ids_are_one_path_segment_each() -> None:
    """An id with a slash or a question mark cannot reach another operation."""
    odd = "00u1/../x?y"
    dialogue = Dialogue({f"GET /api/v1/users/{odd}": answer(user())})

    with pytest.raises(ConnectorFault):
        await revoke(connect(dialogue), Account(odd), OPEN, Transcript())

    assert dialogue.requests[0].url.raw_path == b"/api/v1/users/00u1%2F..%2Fx%3Fy"
