"""Bad input → clear answer, nothing lost, nothing half-done.

Each row: what is wrong, the delivery, the answer (status, error), what the answer must name, and
what the inbox holds afterwards. A signed event is kept even if it is unusable; an unsigned one
leaves no trace.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.support.casework import EMAIL, NAME, WORKER
from tests.web.conftest import LIMIT, WRONG_SECRET, Hook, body, event, signed

NOTHING: dict[str, int] = {}
KEPT = {"refused": 1}


@dataclass(frozen=True)
class Row:
    """One bad delivery and its answer."""

    what: str
    raw: bytes
    status: int
    error: str
    left: dict[str, int]
    names: tuple[str, ...] = ()
    headers: dict[str, str | None] = field(default_factory=dict)
    sign: dict[str, object] = field(default_factory=dict)
    source: str = "hr"


def dates(**changes: object) -> bytes:
    return body(dates={"zone": "Asia/Manila", **changes})


def nested(depth: int) -> bytes:
    return body().replace(b'"voluntary"', b"[" * depth + b"]" * depth)


def huge(size: int) -> bytes:
    return body(partner="x" * size)


GOOD = body()
ORDER = dates(last_working_day="2026-11-30", employment_ends_on="2026-11-01")
GARDEN = dates(garden_leave_start="2026-11-30", employment_ends_on="2026-11-01")
UTF16 = json.dumps(event()).encode("utf-16-le")
TWICE = GOOD.replace(b'"revision": 1', b'"revision": 1, "revision": 2')
NAN = GOOD.replace(b'"revision": 1', b'"revision": NaN')
DIGITS = GOOD.replace(b'"revision": 1', b'"revision": ' + b"9" * 5000)
BIG = GOOD.replace(b'"revision": 1', b'"revision": ' + b"9" * 300)
NUL_SITE = body(site="cebu\x00")
NUL_KEY = body(**{"sur\x00name": "x"})
HALF = GOOD.replace(b'"voluntary"', rb'"\ud800"')
HALF_KEY = GOOD.replace(b'"kind"', rb'"\ud800"')
HALF_NAME = GOOD.replace(NAME.encode(), rb"Maria \ud800")
NAME_AS_KEY = body(**{NAME: EMAIL})
JSON, SHAPE, SIGNATURE = "not_json", "not_a_termination_event", "bad_signature"

ROWS = [
    # Who sent it?
    Row("unknown source", GOOD, 404, "unknown_source", NOTHING, source="other"),
    Row("source that cannot be", GOOD, 404, "unknown_source", NOTHING, source="HR%20Prod!"),
    Row("no signature", GOOD, 401, SIGNATURE, NOTHING, headers={"webhook-signature": None}),
    Row("no id", GOOD, 401, SIGNATURE, NOTHING, headers={"webhook-id": None}),
    Row("no timestamp", GOOD, 401, SIGNATURE, NOTHING, headers={"webhook-timestamp": None}),
    Row("signature without comma", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-signature": "x"}),
    Row("signature of commas", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-signature": "v1,,,"}),
    Row("not base64", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-signature": "v1,\xe9"}),
    Row("other version", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-signature": "v1a,AAAA"}),
    Row("timestamp in words", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-timestamp": "now"}),
    Row("timestamp NaN", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-timestamp": "nan"}),
    Row("timestamp 1e400", GOOD, 401, SIGNATURE, NOTHING, (), {"webhook-timestamp": "1e400"}),
    Row("oversized id", GOOD, 401, SIGNATURE, NOTHING, sign={"event_id": "e" * 257}),
    Row("wrong secret", GOOD, 401, SIGNATURE, NOTHING, sign={"secret": WRONG_SECRET}),
    Row("6 minutes old", GOOD, 401, SIGNATURE, NOTHING, sign={"age": timedelta(minutes=6)}),
    Row("6 minutes ahead", GOOD, 401, SIGNATURE, NOTHING, sign={"age": -timedelta(minutes=6)}),
    # Is it a body at all?
    Row("no content type", GOOD, 415, "content_type", NOTHING, headers={"content-type": None}),
    Row("form", GOOD, 415, "content_type", NOTHING, (), {"content-type": "text/plain"}),
    Row("compressed", GOOD, 415, "compressed", NOTHING, (), {"content-encoding": "gzip"}),
    Row("10 MB body", huge(10_000_000), 413, "too_large", NOTHING),
    Row("one byte too many", b" " * (LIMIT + 1), 413, "too_large", NOTHING),
    Row("absurd length", GOOD, 413, "too_large", NOTHING, (), {"content-length": "9" * 5000}),
    Row("not UTF-8", b"\xff\xfe{}", 400, "not_utf8", NOTHING),
    Row("empty body", b"", 400, JSON, KEPT),
    Row("malformed JSON", b'{"revision": 1,', 400, JSON, KEPT),
    Row("two documents", GOOD + GOOD, 400, JSON, KEPT),
    Row("UTF-16", UTF16, 400, JSON, KEPT),
    Row("NaN", NAN, 400, JSON, KEPT),
    Row("5000 digits", DIGITS, 400, JSON, KEPT),
    Row("nested 100 000 deep", b"[" * 100_000, 400, JSON, KEPT),
    # Is it a termination?
    Row("a list", b"[]", 422, SHAPE, KEPT, ("body: not a JSON object",)),
    Row("nested 12 deep", nested(12), 422, SHAPE, KEPT, ("body: nested deeper than 12",)),
    Row("nested 400 deep", nested(400), 422, SHAPE, KEPT, ("body: nested deeper than 12",)),
    Row("nested 900 deep", nested(900), 422, SHAPE, KEPT, ("body: nested deeper than 12",)),
    Row("a key twice", TWICE, 422, SHAPE, KEPT, ("body: the key revision stands twice",)),
    Row("nothing in it", b"{}", 422, SHAPE, KEPT, ("revision:", "worker:", "dates:", "kind:")),
    Row("unknown field", body(wrker={}), 422, SHAPE, KEPT, ("wrker:",)),
    Row("a name as a field", NAME_AS_KEY, 422, SHAPE, KEPT, ("?:",)),
    Row("unknown kind", body(kind="fired"), 422, SHAPE, KEPT, ("kind:",)),
    Row("unknown action", body(action="hired"), 422, SHAPE, KEPT, ("action:",)),
    Row("a later schema", body(schema_version=2), 422, SHAPE, KEPT, ("schema_version:",)),
    Row("revision 0", body(revision=0), 422, SHAPE, KEPT, ("revision:",)),
    Row("revision of 300 digits", BIG, 422, SHAPE, KEPT, ("revision:",)),
    Row("true as revision", body(revision=True), 422, SHAPE, KEPT, ("revision:",)),
    Row("true as version", body(schema_version=True), 422, SHAPE, KEPT, ("schema_version:",)),
    Row("no zone of its own", body(recorded_at="2026-11-23T10:00"), 422, SHAPE, KEPT,
        ("recorded_at:",)),
    Row("recorded in year 1", body(recorded_at="0001-01-01T00:00:00+14:00"), 422, SHAPE, KEPT,
        ("recorded_at:",)),
    Row("ends in year 9999", dates(access_ends_at="9999-12-31T23:59:59-12:00"), 422, SHAPE, KEPT,
        ("dates.access_ends_at:",)),
    Row("last day in year 9999", dates(last_working_day="9999-12-31"), 422, SHAPE, KEPT,
        ("dates.last_working_day:",)),
    Row("unknown zone", body(dates={"zone": "Asia/Atlantis", "last_working_day": "2026-11-30"}),
        422, SHAPE, KEPT, ("dates.zone:",)),
    Row("zone that is a folder", body(dates={"zone": "America", "last_working_day": "2026-11-30"}),
        422, SHAPE, KEPT, ("dates.zone:",)),
    Row("zone that is a path", body(dates={"zone": "../passwd", "last_working_day": "2026-11-30"}),
        422, SHAPE, KEPT, ("dates.zone:",)),
    Row("no date at all", dates(), 422, SHAPE, KEPT, ("dates:",)),
    Row("30 February", dates(last_working_day="2026-02-30"), 422, SHAPE, KEPT,
        ("dates.last_working_day:",)),
    Row("dates out of order", ORDER, 422, SHAPE, KEPT,
        ("dates.employment_ends_on: lies before dates.last_working_day",)),
    Row("garden leave out of order", GARDEN, 422, SHAPE, KEPT,
        ("dates.employment_ends_on: lies before dates.garden_leave_start",)),
    Row("ten years ahead", dates(last_working_day="2036-11-30"), 422, SHAPE, KEPT, ("dates:",)),
    Row("no worker id", body(worker={"id": " "}), 422, SHAPE, KEPT, ("worker.id:",)),
    Row("mail without @", body(worker={"id": "1", "emails": ["x"]}), 422, SHAPE, KEPT,
        ("worker.emails:",)),
    Row("an invisible character", body(worker={"id": "1", "emails": ["m.san\u200btos@x.com"]}), 422,
        SHAPE, KEPT, ("worker.emails: \u2039m.san<U+200B>tos@",)),
    Row("a look-alike letter", body(worker={"id": "1", "usernames": ["jsm\u0456th"]}), 422,
        SHAPE, KEPT, ("worker.usernames:",)),
    Row("an account of no system", body(worker={"id": "1", "accounts": {"oktaa": "00u1"}}), 422,
        SHAPE, KEPT, ("worker.accounts.oktaa: no system has this name; there are aws, okta",)),
    Row("accounts of no system", body(worker={"id": "1", "accounts": {"oktaa": ["1", "2"]}}), 422,
        SHAPE, KEPT, ("worker.accounts.oktaa:",)),
    Row("an empty list of accounts", body(worker={"id": "1", "accounts": {"okta": []}}), 422,
        SHAPE, KEPT, ("worker.accounts.okta",)),
    Row("eleven mails", body(worker={"id": "1", "emails": ["a@b"] * 11}), 422, SHAPE, KEPT,
        ("worker.emails:",)),
    Row("a null byte in a name", body(worker={"id": "1", "name": "a\x00b"}), 422, SHAPE, KEPT,
        ("worker.name:",)),
    Row("a null byte in a site", NUL_SITE, 422, SHAPE, KEPT, ("site:",)),
    Row("a null byte in a key", NUL_KEY, 422, SHAPE, KEPT, ("?:",)),
    Row("half a character", HALF, 422, SHAPE, KEPT, ("kind:",)),
    Row("half a character in a key", HALF_KEY, 422, SHAPE, KEPT, ("body:",)),
    Row("half a character in a name", HALF_NAME, 422, SHAPE, KEPT, ("worker.name:",)),
]  # fmt: skip


async def send(hook: Hook, row: Row, event_id: str = "evt_1"):
    headers: dict[str, str | bytes] = dict(signed(row.raw, **{"event_id": event_id, **row.sign}))
    for name, value in row.headers.items():
        headers.pop(name, None)
        if value is not None:
            headers[name] = value.encode("latin-1")
    return await hook.deliver(row.raw, headers, source=row.source)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_bad_input_gets_a_clear_answer(hook: Hook, row: Row):
    """The answer has the right status, names what is wrong, and quotes nobody's data."""
    answer = await send(hook, row)

    assert answer.status_code == row.status, answer.text
    assert answer.json()["error"].startswith(row.error) or row.error in answer.json()["error"]
    problems = answer.json().get("problems", [])
    for name in row.names:
        assert any(problem.startswith(name) for problem in problems), problems
    for secret in (NAME, EMAIL, WORKER, "whsec_", "Traceback", "Value error"):
        assert secret not in answer.text
    assert await hook.counts() == row.left
    assert await hook.inbox.claim(10) == []


async def test_after_all_bad_input_the_next_event_is_taken(hook: Hook):
    """Nothing that anybody sends, not all of it together, keeps the next leaver out."""
    for number, row in enumerate(ROWS):
        await send(hook, row, event_id=f"evt_bad_{number}")
    answer = await hook.deliver(GOOD, event_id="evt_next")

    assert answer.status_code == 202
    assert [item.dedupe_key for item in await hook.inbox.claim(10)] == ["evt_next"]
    assert (await hook.counts())["refused"] == sum(bool(row.left) for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row.left], ids=lambda row: row.what)
async def test_what_was_signed_is_kept_byte_for_byte(hook: Hook, row: Row, engine, ring):
    """An unusable event stays for people to look at, encrypted; sent again it is there once."""
    await send(hook, row)
    again = await send(hook, row)
    async with engine.connect() as connection:
        stored = (await connection.execute(text("select body, error from inbox"))).one()

    assert again.status_code == row.status
    assert await hook.counts() == row.left
    assert ring.decrypt(bytes(stored.body), context=b"inbox\x00hr\x00evt_1") == row.raw
    for secret in (NAME, EMAIL, WORKER, "m.san"):
        assert secret not in stored.error
