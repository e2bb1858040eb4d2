"""Signing in by a one-time link, and what a browser may do afterwards."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from lockstep.domain.rights import Role

pytestmark = pytest.mark.e2e


async def test_a_link_signs_one_browser_in_once(window, stage, administrator):
    """Whoever comes second with the link that `lockstep up` printed is told, and stays outside."""
    second = await window()
    second.expected.add(403)
    await second.page.goto(stage.link())
    await second.page.get_by_role("button").click()

    await expect(second.page.locator("main")).to_contain_text("This link was used")
    assert await second.context.cookies() == []


async def test_a_page_is_found_again_after_signing_in(window, stage):
    """Without a session every page leads to the sign-in, which remembers where one wanted to."""
    look = await window()
    await look.open("/console/systems?x=1")

    assert look.page.url == f"{stage.origin}/console/sign-in?next=%2Fconsole%2Fsystems%3Fx%3D1"
    assert await look.page.get_by_role("heading", level=1).count() == 1


async def test_the_menu_has_what_the_role_allows(window, stage):
    """A viewer sees the metric, nothing else, and is refused everywhere else in plain words."""
    look = await window(cookie=await stage.member("Vera Viewer", Role.VIEWER))
    look.expected.add(403)
    await look.open("/console/people-metric")
    names = await look.page.get_by_role("navigation", name="Pages").get_by_role("link").all()

    assert [await name.inner_text() for name in names] == ["People metric"]
    await look.open("/console/")
    assert look.page.url == f"{stage.origin}/console/people-metric"
    for path in ("/console/systems", "/console/evidence", "/console/access"):
        assert await look.open(path) == 403
        assert "Your role does not include this" in await look.text()


async def test_whoever_signs_out_is_out(window, stage):
    """The session ends at the server: the same cookie opens nothing afterwards."""
    cookie = await stage.member("Olivia Operator", Role.OPERATOR)
    look = await window(cookie=cookie)
    await look.open("/console/")
    await look.page.locator("details.who summary").click()
    await look.page.get_by_role("button", name="Sign out").click()
    await look.page.wait_for_url("**/console/sign-in")

    again = await window(cookie=cookie)
    await again.open("/console/")
    assert "/console/sign-in" in again.page.url
