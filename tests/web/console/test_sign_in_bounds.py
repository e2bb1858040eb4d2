"""Beginning to sign in leaves a row each time: how many may begin, and that they go away."""

from __future__ import annotations

import time

import httpx
import pytest
from fastapi import FastAPI, Request

from lockstep.web.allowances import Allowances
from lockstep.web.console.gate import (
    SIGN_INS_AT_ONCE,
    SIGN_INS_OF_ALL_PER_MINUTE,
    SIGN_INS_PER_MINUTE,
    ConsoleGate,
    Refusal,
)
from tests.support import identity_provider
from tests.web.console.conftest import ORIGIN, SETTINGS, Site, text_of

START = "/console/oidc/start"
CALLBACK = f"{ORIGIN}/console/oidc/callback"


@pytest.fixture(scope="module")
def provider():
    with identity_provider.running(redirects=[CALLBACK], people={}) as made:
        yield made


@pytest.fixture
def site_settings(provider) -> str:
    return f"""{SETTINGS}
[oidc]
issuer = "{provider.issuer}"
client_id = "lockstep"

[groups.ops]
group = "ops"
roles = ["operator"]
partners = ["*"]
"""


def come_from(app: FastAPI, address: str) -> httpx.AsyncClient:
    """A browser at an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


async def rows(site: Site) -> int:
    async with site.engine.connect() as connection:
        answer = await connection.exec_driver_sql("select count(*) from sign_ins")
        return int(answer.scalar_one())


async def test_one_address_cannot_fill_the_table(site):
    """429 on a page that says so, with the time to wait, and no row; other addresses go on."""
    async with come_from(site.app, "192.0.2.7") as flood, come_from(site.app, "::1") as other:
        began = time.monotonic()
        statuses = [(await flood.get(START)).status_code for _ in range(SIGN_INS_AT_ONCE)]
        before = await rows(site)
        late = [await flood.get(START) for _ in range(SIGN_INS_AT_ONCE)]
        refused = [answer for answer in late if answer.status_code == 429]
        refilled = (time.monotonic() - began) * SIGN_INS_PER_MINUTE / 60

        assert set(statuses) == {303}
        assert refused
        assert len(late) - len(refused) <= refilled + 1
        assert await rows(site) - before == len(late) - len(refused)
        assert int(refused[-1].headers["retry-after"]) >= 1
        assert refused[-1].headers["content-type"].startswith("text/html")
        assert "set-cookie" not in refused[-1].headers
        assert "Too many sign-ins" in text_of(refused[-1])
        assert (await other.get(START)).status_code == 303
        assert (await flood.get("/console/sign-in")).status_code == 200


async def test_rows_that_have_expired_go_with_the_next_sign_in(site):
    """Of every kind: nothing is left of a flood ten minutes later."""
    async with come_from(site.app, "192.0.2.7") as client:
        for _ in range(3):
            await client.get(START)
        await site.sessions.make_link()
        async with site.engine.begin() as connection:
            await connection.exec_driver_sql("update sign_ins set expires_at = now()")
        await client.get(START)

    assert await rows(site) == 1


def from_address(address: str) -> Request:
    return Request({"type": "http", "client": (address, 1), "headers": []})


def gate(site: Site, *, of_one: Allowances, of_all: Allowances) -> ConsoleGate:
    return ConsoleGate(site.sessions, ORIGIN, sign_ins=of_one, sign_ins_of_all=of_all)


async def test_all_addresses_together_have_a_measure_too(site):
    """However many there are; what one address has too many takes nothing from the others."""
    still = {"clock": lambda: 0.0}
    door = gate(site, of_one=Allowances(2, **still), of_all=Allowances(4, **still))
    for _ in range(2):
        door.admit_sign_in(from_address("192.0.2.1"))
    for _ in range(5):
        with pytest.raises(Refusal):
            door.admit_sign_in(from_address("192.0.2.1"))
    door.admit_sign_in(from_address("192.0.2.2"))
    door.admit_sign_in(from_address("192.0.2.3"))
    with pytest.raises(Refusal) as refused:
        door.admit_sign_in(from_address("192.0.2.4"))

    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) > 0


async def test_an_office_behind_one_address_comes_in_at_the_shifts_start(site):
    """3,000 people within half an hour, spread evenly over its seconds, and nobody is refused."""
    now = 0.0
    of_one = Allowances(SIGN_INS_PER_MINUTE, burst=SIGN_INS_AT_ONCE, clock=lambda: now)
    door = gate(site, of_one=of_one, of_all=Allowances(SIGN_INS_OF_ALL_PER_MINUTE))
    for number in range(3000):
        now = number * 1800 / 3000
        door.admit_sign_in(from_address("203.0.113.9"))
