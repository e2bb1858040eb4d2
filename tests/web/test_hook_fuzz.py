"""Whatever is sent, the hook answers: never 5xx, never half a row."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.conftest import SECRET, Hook, event, signed

ANSWERS = {200, 202, 400, 401, 404, 413, 415, 422}
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

header_names = st.sampled_from(
    [
        *("webhook-id", "webhook-timestamp", "webhook-signature", "content-type"),
        *("content-length", "content-encoding", "x-forwarded-for", "expect"),
    ]
)
header_values = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet="v1,=+/ 0123456789.eE-naif\xb2\x00", max_size=60).map(str.encode),
    st.integers().map(lambda number: str(number).encode()),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**15, max_value=10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["\x00", "\ud800", "Asia/Manila", "America", "2026-11-30", "0001-01-01", "9" * 99]
    ),
    st.dates().map(str),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}+14:00"),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}-23:59"),
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
paths = st.sampled_from(
    [(name,) for name in event()]
    + [("spell",), ("action",), ("partner",), ("site",), ("schema_version",)]
    + [("worker", name) for name in ("id", "name", "emails", "usernames", "accounts")]
    + [
        ("dates", name)
        for name in ("zone", "access_ends_at", "last_working_day", "garden_leave_start",
                     "employment_ends_on")
    ]
)  # fmt: skip


def changed(edits) -> bytes:
    document = event()
    for path, value in edits:
        node = document
        for part in path[:-1]:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[path[-1]] = value
    return json.dumps(document).encode()


beats = st.dictionaries(
    st.sampled_from(["timestamp", "data", "revision", "x"]), documents, max_size=2
).map(lambda more: json.dumps({"type": "feed.heartbeat", **more}).encode())
bodies = st.one_of(
    st.binary(max_size=300),
    beats,
    documents.map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(paths, documents), min_size=1, max_size=3).map(changed),
)


async def answered(hook: Hook, answer) -> None:
    assert answer.status_code in ANSWERS, answer.text
    assert answer.json()
    assert SECRET not in answer.text


@SETTINGS
@given(raw=bodies, number=st.integers(min_value=0, max_value=10**9))
async def test_no_signed_body_breaks_the_hook(hook: Hook, raw, number):
    """Any bytes and any document, properly signed, get an answer of the description."""
    answer = await hook.deliver(raw, signed(raw, event_id=f"evt_{number}"))

    await answered(hook, answer)
    assert answer.status_code in {200, 202, 400, 401, 422}


@SETTINGS
@given(
    headers=st.lists(st.tuples(header_names, header_values), max_size=6),
    source=st.one_of(st.just("hr"), st.text(alphabet="hr-.%\\é\x00A ", min_size=1, max_size=6)),
)
async def test_no_header_breaks_the_hook(hook: Hook, headers, source):
    """Headers of any bytes, doubled or missing, get an answer of the description."""
    raw = json.dumps(event()).encode()
    given_names = {name for name, _ in headers}
    base = [(n.encode(), v.encode()) for n, v in signed(raw).items() if n not in given_names]
    sent = [*base, *((name.encode(), value) for name, value in headers)]
    url = "/hooks/" + quote(source, safe="")
    answer = await hook.client.post(url, content=raw, headers=sent)

    assert answer.status_code in ANSWERS, answer.text


@SETTINGS
@given(event_id=st.text(alphabet=st.characters(max_codepoint=255), min_size=1, max_size=40))
async def test_no_id_breaks_the_hook(hook: Hook, event_id):
    """Ids of any Latin-1 characters, properly signed, are stored or refused."""
    raw = json.dumps(event()).encode()
    headers = {k: v.encode("latin-1") for k, v in signed(raw, event_id=event_id).items()}
    answer = await hook.deliver(raw, headers)

    assert answer.status_code in {200, 202, 401}
