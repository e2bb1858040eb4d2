"""The checks against vendors' references can fail."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.connectors.vendor_spec import Operation, Recorder, judge, undocumented

ASSIGNEE = frozenset({"assignee_type", "assignee_id"})
DOCUMENTED = (
    Operation("GET /logins", {"user_id": ()}, required=frozenset({"user_id"})),
    Operation("GET /roles", {"assignee_type": ("User",), "assignee_id": ()}, together=ASSIGNEE),
    Operation("PATCH /users/{id}", body={"user": {"access_enabled": False}}),
)
TINY_SPEC = """
openapi: 3.1.0
info: {title: synthetic, version: "1"}
servers: [{url: https://api.vendor.test}]
paths:
  /logins:
    get:
      parameters: [{name: user_id, in: query, schema: {type: [integer, string]}}]
      responses: {"200": {description: ok}}
"""


async def test_the_transcription_check_can_fail() -> None:
    """A filter that is unknown, missing or alone, a wrong body, a foreign path: each is seen."""
    wire = Recorder(httpx.MockTransport(lambda _: httpx.Response(200)))
    async with httpx.AsyncClient(transport=wire, base_url="https://vendor.test") as client:
        await client.get("/roles", params={"user_id": 7})
        await client.get("/roles", params={"assignee_id": 7})
        await client.get("/logins")
        await client.patch("/users/7", json={"user": {"access_enabled": True}})
        await client.delete("/members/7")

    assert len(undocumented(wire.heard, DOCUMENTED)) == len(wire.heard) == 5


async def test_the_specification_check_can_fail(tmp_path: Path) -> None:
    """A status that the specification does not have is an error; what it lacks is set apart."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(TINY_SPEC)
    statuses = iter((200, 204, 200))
    wire = Recorder(httpx.MockTransport(lambda _: httpx.Response(next(statuses), json=[])))
    async with httpx.AsyncClient(transport=wire, base_url="https://api.vendor.test") as client:
        for path in ("/logins", "/logins", "/elsewhere"):
            await client.get(path, params={"user_id": 7})
    verdict = judge(wire.heard, spec, host="https://api.vendor.test")

    assert verdict.checked == ["GET /logins -> 200"]
    assert len(verdict.errors) == 1
    assert verdict.beside == ["GET /elsewhere"]
