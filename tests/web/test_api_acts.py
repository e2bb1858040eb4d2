"""The same acts by API: by token, described, and never with an answer that is not."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from lockstep.control.people.api_tokens import ApiTokenDesk, Wish
from lockstep.domain.rights import Role
from tests.support.ledgers import plain
from tests.web.console.conftest import Site, site  # noqa: F401 - the fixture
from tests.web.console.ward import (
    BADGE,
    DOOR,
    TOKENS,
    VAULT,
    Ward,
    eventually,
    ward_settings,
    warding,
    write_tokens,
)

WHY = "the scope was granted"
JSON = "application/json"
PDF = base64.b64encode(b"%PDF-1.7\nproof\n%%EOF").decode()


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    write_tokens(tmp_path)
    return ward_settings(temporal.address)


@pytest.fixture
async def ward(site: Site, client) -> AsyncIterator[Ward]:  # noqa: F811 - the fixture
    async with warding(site, client) as made:
        yield made


class Caller:
    """A program with one token."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}"}

    async def post(self, path: str, **body: object) -> httpx.Response:
        return await self._client.post(path, json=body, headers=self._headers)

    async def raw(self, path: str, content: bytes, media: str) -> httpx.Response:
        headers = {**self._headers, "content-type": media}
        return await self._client.post(path, content=content, headers=headers)

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers)


@pytest.fixture
async def acting(ward) -> Caller:
    return Caller(await ward.site.visitor(), TOKENS["act"])


@pytest.fixture
async def approving(ward) -> Caller:
    return Caller(await ward.site.visitor(), TOKENS["approve"])


def system(case, name: str, what: str) -> str:
    return f"/api/cases/{case.case_id}/systems/{name}/{what}"


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def test_a_retry_by_token(ward, acting):
    """Carried out, and recorded as a token's."""
    case = await ward.stuck()
    answer = await acting.post(system(case, DOOR, "retry"), reason=WHY)

    assert answer.status_code == 200, answer.text
    assert answer.json()["outcome"] is None
    await ward.until(case, DOOR, "revoked")
    entries = await ward.work.entries(case.case_id)
    [entry] = [entry for entry in entries if entry["kind"] == "access:acted"]
    assert entry["actor"] == {"type": "token", "ref": "act"}


async def test_attest_waive_and_approve_by_token(ward, acting, approving):
    """With an artefact it waits; another token is the second person."""
    case = await ward.stuck()
    alone = await acting.post(system(case, BADGE, "attest"), reason=WHY)
    assert (alone.status_code, alone.json()["outcome"]) == (200, "attested")

    file = {"name": "proof.pdf", "content": PDF}
    asked = await acting.post(system(case, VAULT, "attest"), reason=WHY, artefact=file)
    assert asked.status_code == 202
    waiting = await Caller(await ward.site.visitor(), TOKENS["see_cases"]).get("/api/requests")
    assert [row["request_id"] for row in waiting.json()["requests"]] == [asked.json()["request_id"]]
    one = f"/api/requests/{asked.json()['request_id']}"
    assert (await acting.post(f"{one}/approve")).status_code == 403
    done = await approving.post(f"{one}/approve")
    assert done.json()["outcome"] == "attested"
    assert (await ward.work.row(case.case_id, VAULT)).grade == "C"
    assert (await approving.post(f"{one}/refuse", reason="late")).status_code == 409

    waived = await acting.post(system(case, DOOR, "waive"), reason=WHY, until=in_days(1))
    assert waived.status_code == 202
    other = f"/api/requests/{waived.json()['request_id']}"
    assert (await approving.post(f"{other}/refuse", reason="no")).status_code == 200
    again = await acting.post(system(case, DOOR, "waive"), reason=WHY, until=in_days(1))
    third = f"/api/requests/{again.json()['request_id']}"
    assert (await acting.post(f"{third}/withdraw")).status_code == 200


async def test_two_tokens_at_once_decide_once(ward, acting, database):
    """Exactly one wins, even where nothing says what was seen."""
    case = await ward.stuck()
    path = system(case, DOOR, "retry")
    waiting = "select count(*) from pg_locks where relation = 'acts'::regclass and not granted"

    async def all_wait() -> bool:
        cursor = await gate.execute(waiting)
        return await cursor.fetchone() == (5,)

    # All have read the case before the first one is carried out: that is at once.
    async with await psycopg.AsyncConnection.connect(plain(database.superuser_url)) as gate:
        await gate.execute("lock table acts in exclusive mode")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(acting.post(path, reason=WHY)) for _ in range(5)]
            await eventually(all_wait, "five who wait for their turn")
            await gate.rollback()
    answers = [task.result() for task in tasks]
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert len(await ward.decisions(case.case_id)) == 1


async def test_dates_comments_and_assignments(ward, acting):
    """Acts on the case as a whole."""
    case = await ward.open(due=timedelta(hours=2))
    olivia = await ward.site.sign_in(Role.OPERATOR)
    path = f"/api/cases/{case.case_id}"
    moved = await acting.post(f"{path}/reschedule", reason=WHY, access_ends_at=in_days(3))
    assert moved.status_code == 200, moved.text
    busy = await acting.post(f"{path}/rescind", reason=WHY)
    assert busy.status_code == 409, "the first event is not carried out yet"
    while await ward.dispatcher.drain_once():
        pass
    assert (await acting.post(f"{path}/rescind", reason=WHY)).status_code == 200
    while await ward.dispatcher.drain_once():
        pass

    async def rescinded() -> bool:
        return (await ward.work.case(case.case_id))["status"] == "rescinded"

    await eventually(rescinded, "rescinded")
    assert (await acting.post(f"{path}/comment", text="called HR")).status_code == 200
    given = await acting.post(f"{path}/assign", user=olivia.principal.user_id)
    assert given.status_code == 200
    assert (await acting.post(f"{path}/assign", user="nobody")).status_code == 422


async def test_a_token_of_one_partner_knows_of_no_other(ward, ring):
    """404 for every act on another partner's case."""
    case = await ward.stuck(partner="northwind")
    admin = (await ward.site.sign_in(Role.ADMIN, Role.OPERATOR)).principal
    wish = Wish("contoso's", frozenset({Role.OPERATOR}), frozenset({"contoso"}))
    token, _ = await ApiTokenDesk(ward.site.stores).make(wish, by=admin)
    stranger = Caller(await ward.site.visitor(), token)
    until = in_days(1)
    for name, what, more in (
        (DOOR, "retry", {}),
        (BADGE, "attest", {}),
        (DOOR, "waive", {"until": until}),
    ):
        answer = await stranger.post(system(case, name, what), reason=WHY, **more)
        assert answer.status_code == 404, what
    for what, body in (
        ("rescind", {"reason": WHY}),
        ("reschedule", {"reason": WHY, "access_ends_at": until}),
        ("comment", {"text": WHY}),
        ("assign", {"user": admin.user_id}),
    ):
        answer = await stranger.post(f"/api/cases/{case.case_id}/{what}", **body)
        assert answer.status_code == 404, what
    assert (await stranger.get("/api/requests")).status_code == 200
    assert not await ward.decisions(case.case_id)


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"{}", JSON, 422),
        (b"[]", JSON, 422),
        (b"{", JSON, 422),
        (b'{"reason": ""}', JSON, 422),
        (b'{"reason": "x", "more": 1}', JSON, 422),
        (b'{"reason": "' + b"x" * 2001 + b'"}', JSON, 422),
        (b'{"reason": "x", "artefact": {"name": "a.pdf", "content": "!"}}', JSON, 422),
        (b'{"reason": "x", "artefact": {"name": "a.exe", "content": "eA=="}}', JSON, 422),
        (b"reason=x", "application/x-www-form-urlencoded", 415),
        (b" " * (14 * 1024 * 1024 + 1), JSON, 413),
    ],
)  # fmt: skip
async def test_nonsense_is_refused_in_words(ward, acting, body, media, status):
    """Whatever is sent, and nothing of it is repeated."""
    case = await ward.stuck()
    answer = await acting.raw(system(case, BADGE, "attest"), body, media)
    assert answer.status_code == status
    assert set(answer.json()) <= {"error", "problems"}


@pytest.mark.parametrize("reason", ["\u0000", " ", "\ud800", "\u202e" * 3])
async def test_odd_text_never_breaks_anything(ward, acting, reason):
    """Refused or kept, and the page shows it."""
    case = await ward.stuck()
    raw = json.dumps({"reason": reason}).encode()
    answer = await acting.raw(system(case, BADGE, "attest"), raw, JSON)
    assert answer.status_code in {200, 422}
    olivia = await ward.site.sign_in(Role.OPERATOR)
    assert (await olivia.get(f"/console/cases/{case.case_id}")).status_code == 200


@pytest.mark.parametrize("case_id", ["no-such-case", "x" * 81, "%00", "..%2f..", "a b"])
async def test_what_is_no_case_is_not_there(ward, acting, case_id):
    """Neither an error nor another case."""
    answer = await acting.post(f"/api/cases/{case_id}/comment", text="x")
    assert answer.status_code in {404, 422}


async def test_every_act_needs_a_token_with_its_right(ward):
    """None, an unknown one, and one with another right."""
    case = await ward.stuck()
    visitor = await ward.site.visitor()
    path = system(case, DOOR, "retry")
    assert (await visitor.post(path, json={"reason": WHY})).status_code == 401
    seeing = Caller(visitor, TOKENS["see_cases"])
    assert (await seeing.post(path, reason=WHY)).status_code == 403
    assert await ward.denied() == ["POST /api/cases/{case_id}/systems/{system}/retry"]
