"""The hook: acknowledged means stored; not stored means told so."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

import pytest
from sqlalchemy import text

from lockstep.control.intake.events import TerminationEvent
from lockstep.web.hooks.signatures import Verifier
from tests.support.casework import EMAIL, NAME, WORKER
from tests.web.conftest import LIMIT, NEXT_SECRET, SECRET, WRONG_SECRET, Hook, body, signed

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


async def test_a_signed_event_is_stored_and_acknowledged(hook: Hook):
    """202 means that the raw bytes are committed, under the sender's id."""
    raw = body()
    answer = await hook.deliver(raw)
    [event] = await hook.inbox.claim(10)

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert (event.source, event.dedupe_key, event.body) == ("hr", "evt_1", raw)


async def test_a_duplicate_is_acknowledged_and_stored_once(hook: Hook):
    """A sender may repeat itself, with a new timestamp and signature, as often as it likes."""
    answers = [await hook.deliver(body(), age=timedelta(seconds=n)) for n in (9, 5, 0)]

    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert answers[1].json() == {"status": "duplicate"}
    assert await hook.counts() == {"pending": 1}


async def test_a_corrected_event_under_the_old_id_is_taken(hook: Hook):
    """A sender that mends a refused event and keeps its id is not told that it is known."""
    refused = await hook.deliver(body(kind="fired"))
    raw = body(kind="involuntary")
    accepted = await hook.deliver(raw)

    assert (refused.status_code, accepted.status_code) == (422, 202)
    assert [event.body for event in await hook.inbox.claim(10)] == [raw]


async def test_duplicates_that_race_are_one_event(hook: Hook):
    """Ten deliveries of one id at once: one is new."""
    answers = await asyncio.gather(*(hook.deliver(body()) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert await hook.counts() == {"pending": 1}


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
async def test_either_of_two_active_secrets_is_accepted(hook: Hook, secret):
    """A secret can be rotated without a gap."""
    assert (await hook.deliver(body(), secret=secret)).status_code == 202


async def test_one_good_signature_among_several_is_enough(hook: Hook):
    """A sender that signs with its old and its new secret is understood."""
    raw = body()
    headers = signed(raw)
    other = signed(raw, secret=WRONG_SECRET)["webhook-signature"]
    headers["webhook-signature"] = f"{other} {headers['webhook-signature']}"

    assert (await hook.deliver(raw, headers)).status_code == 202


@pytest.mark.parametrize("position", [0, 20, -2])
async def test_an_altered_body_is_refused(hook: Hook, position):
    """One changed byte anywhere, and nobody's access is touched."""
    raw = body()
    altered = bytearray(raw)
    altered[position] ^= 1

    assert (await hook.deliver(bytes(altered), signed(raw))).status_code == 401
    assert await hook.counts() == {}


async def test_a_signature_is_for_one_id_only(hook: Hook):
    """A recorded delivery cannot be sent again under another id."""
    raw = body()
    headers = {**signed(raw), "webhook-id": "evt_2"}

    assert (await hook.deliver(raw, headers)).status_code == 401


@pytest.mark.parametrize("age", [-240, 0, 240])
async def test_clocks_may_differ_by_less_than_five_minutes(hook: Hook, age):
    """A sender whose clock is a little off is heard."""
    assert (await hook.deliver(body(), age=timedelta(seconds=age))).status_code == 202


async def test_a_dismissal_overtakes(hook: Hook):
    """Involuntary terminations leave the inbox first."""
    await hook.deliver(body(kind="voluntary"), event_id="evt_calm")
    await hook.deliver(body(kind="involuntary"), event_id="evt_urgent")

    assert [e.dedupe_key for e in await hook.inbox.claim(10)] == ["evt_urgent", "evt_calm"]


async def test_without_the_database_the_sender_is_told_and_nothing_is_lost(hook: Hook):
    """503 with Retry-After while it is away; the same delivery is taken once it is back."""
    raw = body()
    hook.database(up=False)
    refused = await hook.deliver(raw)
    ready = await hook.client.get("/readyz")
    alive = await hook.client.get("/healthz")
    hook.database(up=True)
    accepted = await hook.deliver(raw)

    assert (refused.status_code, refused.json()) == (503, {"error": "cannot_store_now"})
    assert refused.headers["retry-after"] == "30"
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert accepted.status_code == 202
    assert (await hook.client.get("/readyz")).status_code == 200
    assert [event.body for event in await hook.inbox.claim(10)] == [raw]


async def test_a_database_lost_between_two_events_costs_neither(hook: Hook):
    """Connections that died in the pool are not an answer to the next sender's event."""
    await hook.deliver(body(), event_id="evt_1")
    hook.database(up=False)
    hook.database(up=True)
    statuses = [(await hook.deliver(body(), event_id="evt_2")).status_code for _ in range(2)]

    assert statuses in ([202, 200], [503, 202])
    assert await hook.counts() == {"pending": 2}


async def test_every_answer_carries_the_security_headers(hook: Hook):
    """Accepted, refused, unknown, unreachable: the same headers."""
    await hook.deliver(body())
    await hook.deliver(b"{}", event_id="evt_2")
    await hook.deliver(body(), secret=WRONG_SECRET)
    await hook.deliver(body(), source="other")
    answers = [*hook.seen, await hook.client.get("/healthz"), await hook.client.get("/nowhere")]

    assert {answer.status_code for answer in answers} == {200, 202, 401, 404, 422}
    for answer in answers:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
        assert "default-src" in answer.headers["content-security-policy"]


async def raw_post(hook: Hook, headers: dict[str, str], receive) -> int:
    """Post without a client, so that nothing is read ahead; return the status."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/hooks/hr",
        "raw_path": b"/hooks/hr",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("lockstep", 80),
    }
    await asyncio.wait_for(hook.app(scope, receive, send), 60)
    return sent[0]["status"]


async def test_an_endless_body_is_not_read_to_its_end(hook: Hook):
    """Without a declared length, reading stops soon after the limit: 10 MB are never held."""
    handed_out = 0

    async def receive():
        nonlocal handed_out
        handed_out += 64 * 1024
        return {"type": "http.request", "body": b" " * 64 * 1024, "more_body": True}

    assert await raw_post(hook, signed(b""), receive) == 413
    assert LIMIT < handed_out <= 2 * LIMIT
    assert await hook.counts() == {}


async def test_a_declared_length_is_refused_before_the_body(hook: Hook):
    """A sender that announces 10 MB is told without one byte being read."""
    read = []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    headers = {**signed(b""), "content-length": "10000000"}
    assert await raw_post(hook, headers, receive) == 413
    assert read == []


async def test_the_stored_row_shows_nobody(hook: Hook, engine):
    """An accepted event is unreadable at rest."""
    await hook.deliver(body())
    async with engine.connect() as connection:
        row = await connection.scalar(text("select inbox::text from inbox"))

    for secret in (NAME, EMAIL, WORKER):
        assert secret not in row
        assert secret.encode().hex() not in row


async def test_the_description_holds_schema_and_every_answer(hook: Hook):
    """An integrator finds the event's schema, the three headers and each status in OpenAPI."""
    described = (await hook.client.get("/openapi.json")).json()
    operation = described["paths"]["/hooks/{source}"]["post"]
    schema = described["components"]["schemas"]["TerminationEvent"]

    assert set(operation["responses"]) == {
        *("200", "202", "400", "401", "403", "404", "409", "413", "415", "422", "503")
    }
    assert set(schema["properties"]) == set(TerminationEvent.model_fields)
    content = operation["requestBody"]["content"]["application/json"]
    names = [row["$ref"].rpartition("/")[2] for row in content["schema"]["oneOf"]]
    assert names == ["TerminationEvent", "FeedHeartbeat"]
    assert set(described["components"]["schemas"]) >= set(names)
    headers = {row["name"] for row in operation["parameters"] if row["in"] == "header"}
    assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}


async def test_every_reference_in_the_description_resolves(hook: Hook):
    """A code generator can use the description as it is."""
    described = (await hook.client.get("/openapi.json")).json()
    wanted: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                wanted.append(node["$ref"])
            for item in node.values():
                walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(described)
    for reference in wanted:
        node = described
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_no_page_loads_scripts_from_elsewhere(hook: Hook, path):
    """FastAPI's interactive pages are off."""
    assert (await hook.client.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_answered(hook: Hook, method):
    """Anything else is refused as a method."""
    assert (await hook.client.request(method, "/hooks/hr")).status_code == 405


def test_a_source_needs_a_secret():
    """A verifier that would accept or refuse everything is not built."""
    with pytest.raises(ValueError, match="needs a secret"):
        Verifier([])


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_" + base64.b64encode(b"short").decode()])
def test_an_unusable_secret_is_refused_at_the_start(secret):
    """An empty or short secret is a setting's error, found before the first event."""
    with pytest.raises(ValueError, match="secret") as caught:
        Verifier([secret])
    if len(secret) > 6:
        assert secret not in str(caught.value)
