"""What somebody tries who has just been dismissed and has a quarter of an hour."""

from __future__ import annotations

import pytest

from lockstep.domain.rights import Permission, Role
from lockstep.web.console.gate import safe_next
from tests.web.console.conftest import COOKIE, ORIGIN, SETTINGS
from tests.web.console.test_refusals import GETS, SECURE


async def test_a_copied_cookie_is_worth_nothing_after_signing_out(site):
    """Neither for a page, nor a form with the token that was good, nor the stream."""
    browser = await site.sign_in(*Role)
    cookie = browser.client.cookies[COOKIE]
    await browser.post("/console/sign-out")
    thief = await site.visitor()
    thief.cookies.set(COOKIE, cookie)

    assert (await thief.get("/console/")).status_code == 303
    assert (await thief.get("/console/live")).status_code == 303
    sent = await thief.post("/console/views", data={"csrf": browser.csrf, "name": "x"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/console/sign-in")


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({}, "theirs"),
        ({"origin": "https://evil.example.com"}, "mine"),
        ({"origin": "http://wiki.127.0.0.1:8080"}, "mine"),
        ({"origin": "null"}, "mine"),
        ({"origin": "http://127.0.0.1:80"}, "mine"),
        ({"origin": ORIGIN, "x-csrf-token": "x"}, "mine"),
    ],
)
async def test_another_site_sends_no_form_of_ours(site, headers, token):
    """Not a neighbour's page, nor with the token of a session that the neighbour has."""
    mine, theirs = await site.sign_in(Role.ADMIN), await site.sign_in(Role.ADMIN)
    tokens = {"mine": mine.csrf, "theirs": theirs.csrf, "": ""}
    user = theirs.principal.user_id
    form = {"csrf": tokens[token]}
    path = f"/console/access/sessions/{user}/end"
    answer = await mine.client.post(path, data=form, headers=headers)

    assert answer.status_code == 403
    assert (await theirs.get("/console/access")).status_code == 200


async def test_a_cookie_that_a_neighbour_plants_takes_no_form_of_mine(site):
    """A token is bound to its session, not to a second cookie that a sibling domain could set."""
    mine, theirs = await site.sign_in(Role.ADMIN), await site.sign_in(Role.ADMIN)
    path = f"/console/access/sessions/{mine.principal.user_id}/end"
    visitor = await site.visitor()
    for cookie, token in ((mine, theirs), (theirs, mine)):
        cookies = f"csrf={token.csrf}; {COOKIE}={cookie.client.cookies[COOKIE]}"
        answer = await visitor.post(path, data={"csrf": token.csrf}, headers={"cookie": cookies})
        assert answer.status_code == 403
    assert (await mine.get("/console/access")).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example.com",
        "//evil.example.com",
        "//[",
        "http://[",
        "/console/..//evil.example.com",
        "/console/../api/score",
        "/console/%2e%2e/api/score",
        "/console/./x",
        "/console/\\..\\evil",
        "/console/\t/evil",
        "/console",
        "/consolex/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/console/é",
        "/console/" + "x" * 1000,
        "",
    ],
)
async def test_after_signing_in_one_is_in_the_console(site, wanted):
    """Whatever the link said; and the page that carries it on is not broken by it either."""
    assert safe_next(wanted) == "/console/"
    browser = await site.sign_in(Role.OPERATOR)
    answer = await browser.get("/console/sign-in", params={"next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    stranger = await (await site.visitor()).get("/console/sign-in", params={"next": wanted})
    assert stranger.status_code == 200


@pytest.mark.parametrize("wanted", ["/console/cases/c1?x=..", "/console/hr?before=9", "/console/"])
def test_a_page_of_ours_is_gone_on_to(wanted):
    """With what stands in its query."""
    assert safe_next(wanted) == wanted


@pytest.mark.parametrize("path", [path for path in GETS if path != "/console/live"])
async def test_no_page_is_kept_or_framed_or_guessed_at(site, path):
    """Names are on them: no cache of a browser or a proxy keeps one, and no page frames one."""
    browser = await site.sign_in(*Role, more=[Permission.SEALED])
    answer = await browser.get(path)

    for name, value in SECURE.items():
        assert answer.headers[name] == value
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


class TestBehindTls:
    """The same where browsers come by TLS."""

    @pytest.fixture
    def site_settings(self) -> str:
        return SETTINGS + '\n[console]\norigin = "https://lockstep.example.com"\n'

    async def test_a_sibling_domain_cannot_plant_a_session(self, site):
        """Browsers take `__Host-` cookies from this host only; any other name opens nothing."""
        browser = await site.sign_in(Role.OPERATOR)
        cookie = browser.client.cookies[COOKIE]
        visitor = await site.visitor()
        for name, status in ((COOKIE, 303), ("__Secure-lockstep", 303), ("__Host-lockstep", 200)):
            answer = await visitor.get("/console/", headers={"cookie": f"{name}={cookie}"})
            assert answer.status_code == status

    @pytest.mark.parametrize(
        "origin", ["https://wiki.example.com", "http://lockstep.example.com", "null", ORIGIN]
    )
    async def test_a_form_comes_from_this_origin_alone(self, site, origin):
        """Not from a sibling, nor from the same name in clear."""
        browser = await site.sign_in(Role.OPERATOR)
        cookie = f"__Host-lockstep={browser.client.cookies[COOKIE]}"
        visitor = await site.visitor()
        headers = {"cookie": cookie, "origin": origin}
        answer = await visitor.post(
            "/console/sign-out", data={"csrf": browser.csrf}, headers=headers
        )
        assert answer.status_code == 403
