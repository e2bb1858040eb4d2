"""Behind each token that asks or approves stands a person, and nobody is two people."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from lockstep.control.people.bars import Bars
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.rights import Role
from tests.web.console.conftest import site  # noqa: F401 - a fixture
from tests.web.console.ward import DOOR, act, request_of, soon, ward_settings, write_tokens
from tests.web.test_api_acts import (  # noqa: F401 - a fixture
    WHY,
    Caller,
    in_days,
    system,
    ward,
)

KIM = '{ email = "Kim.Ong@example.com", worker_id = "W-77" }'
MORE = {
    "nobody-asks": ("act", ""),
    "nobody-approves": ("approve", ""),
    "kim-asks": ("act", KIM),
    "kim-approves": ("approve", '{ username = "kim.ong@EXAMPLE.com" }'),
}


def secret(name: str) -> str:
    return f"{name}-token-0123456789abcdefghijklmnop"


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    """Two tokens of nobody, and two of one person who is named in two ways."""
    write_tokens(tmp_path)
    settings = ward_settings(temporal.address)
    for name, (right, owner) in MORE.items():
        (tmp_path / f"{name}.token").write_text(secret(name))
        settings += f'\n[tokens.{name}]\nsecret = "file:{name}.token"\nrights = ["{right}"]\n'
        settings += f"owner = {owner}\n" if owner else ""
    return settings


async def caller(ward, name: str) -> Caller:  # noqa: F811
    return Caller(await ward.site.visitor(), secret(name))


async def denials(ward) -> list[tuple[str, str]]:  # noqa: F811
    query = text("select body from ledger_entries where kind = 'access:denied' order by id")
    async with ward.work.engine.connect() as connection:
        bodies = [json.loads(body) for body in (await connection.scalars(query)).all()]
    return [(body["data"]["act"], body["data"]["why"]) for body in bodies]


async def test_a_token_of_nobody_is_neither_of_two_people(ward):  # noqa: F811
    """It asks for nothing that needs a pair and approves nothing; that it tried is on record."""
    case = await ward.stuck()
    asking, approving = await caller(ward, "nobody-asks"), await caller(ward, "nobody-approves")
    path = system(case, DOOR, "waive")
    refused = await asking.post(path, reason=WHY, until=in_days(1))
    assert refused.status_code == 403
    assert "give it an owner" in refused.text
    assert await ward.work.count("requests") == 0

    asked = await (await caller(ward, "kim-asks")).post(path, reason=WHY, until=in_days(1))
    one = f"/api/requests/{asked.json()['request_id']}"
    assert (await approving.post(f"{one}/approve")).status_code == 403
    assert (await approving.post(f"{one}/refuse", reason=WHY)).status_code == 403
    assert await denials(ward) == [
        ("case.ask_waive", "token_without_owner"),
        ("case.approve", "token_without_owner"),
        ("case.refuse", "token_without_owner"),
    ]
    retried = await asking.post(system(case, DOOR, "retry"), reason=WHY)
    assert retried.status_code == 200, "what needs nobody else needs no owner"


async def test_two_tokens_of_one_person_are_one_person(ward):  # noqa: F811
    """However their keys are written."""
    case = await ward.stuck()
    path = system(case, DOOR, "waive")
    asked = await (await caller(ward, "kim-asks")).post(path, reason=WHY, until=in_days(1))
    approving = await caller(ward, "kim-approves")
    answer = await approving.post(f"/api/requests/{asked.json()['request_id']}/approve")
    assert (answer.status_code, "asked for this yourself" in answer.text) == (403, True)


async def test_a_person_and_their_token_are_one_person(ward):  # noqa: F811
    """Whoever asked in the console approves by no token that is theirs."""
    case = await ward.stuck()
    keys = (Key(KeyKind.EMAIL, "kim.ong@example.com"),)
    kim = await ward.site.sign_in(Role.OPERATOR, name="Kim", keys=keys)
    assert (await act(kim, case, "waive", DOOR, until=soon(days=1))).status_code < 400
    one = f"/api/requests/{await request_of(ward, case)}/approve"
    approving = await caller(ward, "kim-approves")
    assert (await approving.post(one)).status_code == 403


async def test_a_token_of_the_settings_ends_with_its_owner(ward):  # noqa: F811
    """From their cutoff on it is no token any more, under any of their keys; others' go on."""
    kim, nobody = await caller(ward, "kim-asks"), await caller(ward, "nobody-asks")
    other = await ward.open("W-8", due=timedelta(hours=1))
    path = f"/api/cases/{other.case_id}/comment"
    assert (await kim.post(path, text="x")).status_code == 200
    keys = (Key(KeyKind.WORKER_ID, "W-7"), Key(KeyKind.EMAIL, "kim.ong@example.com"))
    gone = await ward.open("W-7", keys=LeaverKeys(keys))
    await ward.until(gone, DOOR, "settled")

    refused = await kim.post(path, text="y")
    assert (refused.status_code, refused.json()["error"]) == (401, "token_needed")
    assert (await nobody.post(path, text="z")).status_code == 200

    admin = await ward.site.sign_in(Role.ADMIN)
    bars = Bars(ward.work.stores)
    assert await bars.lift(gone.case_id, reason="hired again", by=admin.principal)
    assert (await kim.post(path, text="y")).status_code == 200
