"""Ways in, and what a session is worth at any time."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update

from lockstep.control.people.sessions import Sessions
from lockstep.domain.rights import Role
from lockstep.storage.tables.sign_in import sessions
from tests.web.console.conftest import COOKIE, ORIGIN, SETTINGS, text_of
from tests.web.console.test_access import sql


async def test_a_session_ends_by_idleness_and_by_age(site):
    """Whichever comes first; using it keeps it from the one and not from the other."""
    sessions = Sessions(
        site.stores,
        idle=timedelta(minutes=30),
        lifetime=timedelta(hours=10),
    )
    browser = await site.sign_in(Role.VIEWER)
    cookie = browser.client.cookies[COOKIE]
    past = "update sessions set {} = now() - interval '1 second'"
    await sql(site, past.format("idle_until"))
    assert await sessions.read(cookie) is None
    await sql(site, "update sessions set idle_until = now() + interval '1 minute'")
    assert await sessions.read(cookie) is not None
    await sql(site, "update sessions set seen_at = now() - interval '5 minutes'")
    await sessions.read(cookie)
    [(left,)] = await sql(site, "select idle_until - now() > interval '29 minutes' from sessions")
    assert left
    await sql(site, past.format("expires_at"))
    assert await sessions.read(cookie) is None


@pytest.mark.parametrize("cookie", ["", "x", "x" * 43, "x" * 300, "\x00", "é", "' or 1=1"])
async def test_a_made_up_cookie_is_nobodys(site, cookie):
    """And breaks nothing."""
    assert await site.sessions.read(cookie) is None


async def test_what_is_long_over_goes_with_the_next_sign_in(site):
    """Sessions of three months ago hold a name that nobody needs; one of last week is known."""
    for days in (91, 7):
        await site.sign_in(Role.VIEWER, subject="s-1")
        async with site.engine.begin() as connection:
            await connection.execute(
                update(sessions)
                .where(sessions.c.expires_at > func.now())
                .values(expires_at=func.now() - timedelta(days=days))
            )
    await site.sign_in(Role.VIEWER, subject="s-1")
    async with site.engine.connect() as connection:
        left = await connection.scalar(select(func.count()).select_from(sessions))
    assert left == 2


async def test_a_link_signs_in_once(site):
    """Looking at it does not use it up; a new session is made, with a cookie kept from scripts."""
    secret = await site.sessions.make_link()
    visitor = await site.visitor()
    link = f"/console/sign-in/link?key={secret}"
    assert (await visitor.get(link)).status_code == 200
    answer = await visitor.post("/console/sign-in/link", data={"key": secret})
    flags = answer.headers["set-cookie"].lower()

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    assert "httponly" in flags
    assert "samesite=lax" in flags
    assert "path=/" in flags
    assert "domain" not in flags
    again = await (await site.visitor()).post("/console/sign-in/link", data={"key": secret})
    assert again.status_code == 403
    [(name,)] = await sql(site, "select count(*) from sessions")
    assert name == 1


async def test_signing_out_ends_the_session_itself(site):
    """Not only the cookie: a copy of it is worth nothing."""
    browser = await site.sign_in(Role.OPERATOR)
    cookie = browser.client.cookies[COOKIE]
    await browser.post("/console/sign-out")

    assert await site.sessions.read(cookie) is None


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com",
        "//evil.example.com",
        "/\\evil",
        "/console/\r\nX: y",
        "/api/score",
    ],
)
async def test_the_way_back_leads_to_the_console_only(site, target):
    """Whoever is signed in already is not led elsewhere by a link."""
    browser = await site.sign_in(Role.OPERATOR)
    answer = await browser.get("/console/sign-in", params={"next": target})

    assert answer.headers["location"] == "/console/"
    assert "x" not in answer.headers


async def test_a_page_that_was_wanted_comes_after_signing_in(site):
    """With its query, and only where a browser can go back to it."""
    visitor = await site.visitor()
    wanted = await visitor.get("/console/?state=late&x=%22%3E%3Cscript%3E")
    assert wanted.status_code == 303
    where = httpx.URL(wanted.headers["location"])
    assert where.path == "/console/sign-in"
    assert where.params["next"].startswith("/console/?state=late")
    page = await visitor.get(str(where))
    assert "<script>" not in page.text.replace('<script src="/console/static/', "")
    part = await visitor.get("/console/", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (204, "/console/sign-in")


class TestBehindTls:
    """The same where browsers come by TLS."""

    @pytest.fixture
    def site_settings(self) -> str:
        return SETTINGS + '\n[console]\norigin = "https://lockstep.example.com"\n'

    async def test_the_cookie_is_bound_to_this_host_and_to_tls(self, site):
        """`__Host-`, Secure, no domain; and browsers shall never come without TLS."""
        secret = await site.sessions.make_link()
        visitor = await site.visitor()
        answer = await visitor.post("/console/sign-in/link", data={"key": secret})
        flags = answer.headers["set-cookie"]

        assert flags.startswith("__Host-lockstep=")
        for flag in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
            assert flag in flags
        assert "Domain" not in flags
        assert "max-age=31536000" in answer.headers["strict-transport-security"]

    async def test_the_cookie_of_an_unprotected_page_is_none(self, site):
        """A neighbour in clear could have planted it."""
        browser = await site.sign_in(Role.OPERATOR)
        assert (await browser.get("/console/")).status_code == 303


class TestBoundToTheNetwork:
    """The same where other machines can reach it."""

    @pytest.fixture
    def site_settings(self) -> str:
        return SETTINGS + '\n[web]\nbind = "0.0.0.0"\n'

    async def test_there_are_no_links(self, site):
        """A link that signs an administrator in is for this machine only."""
        assert not site.settings.one_time_links
        visitor = await site.visitor()
        secret = await site.sessions.make_link()
        answer = await visitor.post("/console/sign-in/link", data={"key": secret})
        assert answer.status_code == 404
        assert "No way to sign in is configured" in text_of(await visitor.get("/console/sign-in"))


async def test_the_way_in_carries_every_protection(site):
    """Headers of a page, whoever asks."""
    answer = await (await site.visitor()).get("/console/sign-in")

    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert ORIGIN not in answer.text
