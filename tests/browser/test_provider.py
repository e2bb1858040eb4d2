"""Signing in at a real OpenID provider, in a real browser."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.looks import complaints
from tests.browser.stage import Stage
from tests.e2e.processes import eventually, put_down, spawn
from tests.support import identity_provider
from tests.support.identity_provider import SECRET, IdentityProvider
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

PEOPLE = {
    "olivia": {
        "name": "Olivia <b>Operator</b>",
        "email": "olivia@example.com",
        "preferred_username": "olivia",
        "groups": ["ops"],
    },
    "edda": {"name": "Edda", "email": "edda@example.com", "groups": ["canteen"]},
}


@dataclass(frozen=True)
class Company:
    """Pages of the installation that only the company's provider leads into."""

    origin: str
    provider: IdentityProvider


@pytest.fixture(scope="module")
async def company(stage: Stage) -> AsyncIterator[Company]:
    """A second web server on the same database, with a provider in its settings."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    home = stage.installation.home
    with identity_provider.running(
        redirects=[f"{origin}/console/oidc/callback"], people=PEOPLE
    ) as provider:
        (home / ".lockstep" / "oidc.secret").write_text(SECRET)
        text = stage.installation.file.read_text()
        text = text.replace(f"port = {stage.installation.settings.web.port}\n", f"port = {port}\n")
        file = home / "provider.toml"
        file.write_text(text + _tables(provider))
        argv = [sys.executable, "-m", "lockstep.cli.main", "web", "--config", str(file)]
        process = spawn(argv, home / "provider.log", env=dict(os.environ))
        try:
            await _answers(origin)
            yield Company(origin, provider)
        finally:
            await put_down(process)


async def test_somebody_signs_in_at_the_provider_and_out(window, company):
    """The browser comes back to the page it wanted, with the rights that the groups give."""
    look = await window(origin=company.origin)
    await look.open("/console/brake")
    await look.page.get_by_role("link", name="Sign in with Acme").click()
    await look.page.locator('input[name="login"]').fill("olivia")
    await look.page.locator('input[name="password"]').fill("any")
    await look.page.get_by_role("button").first.click()
    await look.page.get_by_role("button", name="Continue").click()
    await look.page.wait_for_url(f"{company.origin}/console/brake")

    await expect(look.page.locator(".who-name")).to_have_text("Olivia <b>Operator</b>")
    assert await look.page.get_by_role("link", name="Access").count() == 0
    await look.page.locator("details.who summary").click()
    await look.page.get_by_role("button", name="Sign out").click()
    await look.page.wait_for_url("**/console/signed-out")
    await look.open("/console/brake")
    assert "/console/sign-in" in look.page.url


async def test_somebody_without_a_role_is_told(window, company):
    """The provider knows them, we have nothing for them: a page says so, and no session begins."""
    look = await window(origin=company.origin)
    look.expected.add(403)
    await look.open("/console/sign-in")
    await look.page.get_by_role("link", name="Sign in with Acme").click()
    await look.page.locator('input[name="login"]').fill("edda")
    await look.page.locator('input[name="password"]').fill("any")
    await look.page.get_by_role("button").first.click()
    await look.page.get_by_role("button", name="Continue").click()

    await expect(look.page.locator("main")).to_contain_text("no role")
    names = {cookie["name"] for cookie in await look.context.cookies(company.origin)}
    assert "lockstep" not in names


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/oidc/callback?state=x&code=y", 403),
        ("/console/sign-in", 200),
        ("/console/signed-out", 200),
    ],
)
async def test_pages_around_the_provider_can_be_read(window, company, axe, path, status):
    """Signing in, one that failed, and having signed out: without a barrier in every size."""
    look = await window(origin=company.origin, script=axe)
    look.expected.add(status)

    assert await look.open(path) == status
    assert await complaints(look.page) == []


async def test_one_time_links_are_no_way_in(window, company):
    """Where there is a provider, nobody comes in beside it."""
    look = await window(origin=company.origin)
    look.expected.add(404)
    assert await look.open("/console/sign-in/link?key=any") == 404


def _tables(provider: IdentityProvider) -> str:
    return f"""
[oidc]
issuer = "{provider.issuer}"
client_id = "lockstep"
client_secret = "file:.lockstep/oidc.secret"
name = "Acme"

[groups.ops]
group = "ops"
roles = ["operator"]
partners = ["*"]
"""


async def _answers(origin: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:

        async def healthy() -> bool:
            try:
                return (await http.get(f"{origin}/healthz")).status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False

        await eventually(healthy, what="the second web server")
